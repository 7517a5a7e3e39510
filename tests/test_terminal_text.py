"""What reaches a terminal: no character that it would obey, and none that it does not have."""

from __future__ import annotations

import io

import pytest

from sweep import terminal_text
from sweep.terminal_text import accept_all_characters, echo, escape_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größe, σ → ∞\n\tnext", "plain, größe, σ → ∞\n\tnext"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("over\rwritten \x08\x7f\x9b", r"over\rwritten \x08\x7f\x9b"),
        ("turned \u202e around \u2028", r"turned \u202e around \u2028"),
        ("thin\u2009space\xa0", "thin\u2009space\xa0"),
        ("a path \udcff", r"a path \udcff"),
        ("", ""),
    ],
)
def test_controls_are_written_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


@pytest.mark.parametrize("err", [False, True])
def test_echo_goes_to_one_stream(capsys: pytest.CaptureFixture[str], err: bool) -> None:
    echo("a\x1bb", err=err)
    found = capsys.readouterr()
    assert (found.out, found.err)[:: -1 if err else 1] == ("a\\x1bb\n", "")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nothing_is_printed_where_a_stream_is_closed(
    monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setattr(terminal_text.sys, stream, None)
    accept_all_characters()
    echo("nobody listens", err=stream == "stderr")


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", rb"-> inf <= Sigma sigma ^2 gr\xf6\xdfe \u2603"),
        ("latin-1", b"-> inf <= Sigma sigma \xb2 gr\xf6\xdfe \\u2603"),
        ("utf-8", "→ ∞ ≤ Σ σ ² größe ☃".encode()),
    ],
)
def test_every_encoding_takes_every_text(
    monkeypatch: pytest.MonkeyPatch, encoding: str, written: bytes
) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(terminal_text.sys, "stdout", io.TextIOWrapper(content, encoding=encoding))
    accept_all_characters()
    echo("→ ∞ ≤ Σ σ ² größe ☃")
    assert content.getvalue() == written + b"\n"
