"""Numbers with nouns and units."""

from __future__ import annotations

import pytest

from sweep.wording import counted, duration_text, memory_text, rounded


def test_a_noun_agrees_with_its_number() -> None:
    texts = [counted(number, "cell") for number in (0, 1, 1024)]
    assert texts == ["0 cells", "1 cell", "1,024 cells"]


@pytest.mark.parametrize(
    ("seconds", "short", "long"),
    [
        (0.2, "0 s", "0 seconds"),
        (1, "1 s", "1 second"),
        (40, "40 s", "40 seconds"),
        (150, "2.5 min", "2.5 minutes"),
        (1800, "30 min", "30 minutes"),
        (9000, "2.5 h", "2.5 hours"),
        (90000, "25 h", "25 hours"),
        (864000, "10 days", "10 days"),
    ],
)
def test_duration_is_told_in_the_unit_of_its_size(seconds: float, short: str, long: str) -> None:
    assert duration_text(seconds, short=True) == short
    assert duration_text(seconds) == long


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1536, "1.5 KiB"),
        (285 * 1024, "285 KiB"),
        (2**20, "1.0 MiB"),
        (3 * 2**29, "1.5 GiB"),
        (2**52, "4,096 TiB"),
    ],
)
def test_memory_is_told_in_the_unit_of_its_size(size: int, text: str) -> None:
    assert memory_text(size) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (0.42, "0.42"), (9.96, "10"), (10.4, "10"), (312_353, "310,000")],
)
def test_a_rate_has_two_digits_and_no_exponent(number: float, text: str) -> None:
    assert rounded(number) == text
