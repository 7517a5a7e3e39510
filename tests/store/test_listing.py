"""A list of a folder may lack a name that appeared while it was made, and show a later one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.store import Store, list_parts, parts
from sweep.store.commit_log import CommitLog
from tests.store.small_store import OURS, opened, points, rows

MISSED = "part-00000002.parquet"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of four parts, each with one trial."""
    writer = opened(tmp_path)
    for trial in range(4):
        writer.commit(rows((trial,)), points((trial,)), OURS)
    return tmp_path


def miss(monkeypatch: pytest.MonkeyPatch, is_missed: Callable[[int], bool]) -> None:
    """The n-th list of a folder, from 0, lacks a part if that is so by n."""
    listdir, count = os.listdir, [0]

    def torn(folder: int) -> list[str]:
        names = listdir(folder)
        if MISSED in names:
            count[0] += 1
            if is_missed(count[0] - 1):
                names.remove(MISSED)
        return names

    monkeypatch.setattr(os, "listdir", torn)


def committed_again(store: Store) -> int:
    """How many of the trials in the store it commits a second time."""
    return store.commit(rows((0, 1, 2, 3)), points((0, 1, 2, 3)), OURS)


@pytest.mark.promise(5)
@pytest.mark.parametrize("is_missed", [lambda n: n == 0, lambda n: True], ids=["once", "always"])
def test_a_part_that_a_list_lacks_is_not_trained_again(
    store: Path, monkeypatch: pytest.MonkeyPatch, is_missed: Callable[[int], bool]
) -> None:
    """A network file system shows the same list again for some seconds."""
    late = opened(store)
    miss(monkeypatch, is_missed)
    assert committed_again(late) == 0


def test_a_reader_sees_no_gap_of_a_moment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    miss(monkeypatch, lambda n: n == 0)
    assert [path.name for path in list_parts(store, "runs")] == [
        parts.part_name(number) for number in range(4)
    ]


def test_a_number_far_away_takes_no_time(store: Path) -> None:
    runs = store / "runs"
    (runs / "part-00000003.parquet").rename(runs / "part-99999999.parquet")
    (runs / MISSED).rename(runs / "part-99999998.parquet")
    assert opened(store).done().tolist() == [0, 1, 2, 3]


@pytest.mark.promise(5, mutant=True)
def test_a_log_that_believes_the_list_would_be_seen(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CommitLog, "_add_with_unlisted", lambda log, *at: log._add(at[1], log._decode(*at))
    )
    late = opened(store)
    miss(monkeypatch, lambda n: True)
    assert committed_again(late) == 1
