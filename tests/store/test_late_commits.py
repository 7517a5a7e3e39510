"""A process that was taken for dead wakes up while, or after, the store is compacted."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.errors import StoreError
from sweep.store import Store, compact, verify
from sweep.store.commit_log import CommitLog
from sweep.store.directory import Directory
from tests.store.small_store import MANIFEST, OURS, STEPS, points, rows

COLUMNS = {"n": "int", "lr": "float", "schedule": "str", "bias": "bool"}
CALLS = ("open", "write", "fsync", "link", "unlink", "replace", "mkdir", "rmdir")


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.open({**MANIFEST, "columns": COLUMNS}, "name: test\n")
    return store


def commit(store: Store, *trials: int) -> int:
    return store.commit(rows(trials), points(trials), OURS)


def sleeper_of(folder: Path) -> Store:
    """A process that has read the store when only trial 0 was in it; trials 1 and 2 came later."""
    commit(opened(folder), 0)
    sleeper = opened(folder)
    assert sleeper.done().tolist() == [0]
    other = opened(folder)
    commit(other, 1)
    commit(other, 2)
    return sleeper


def counts(folder: Path) -> dict[str, Counter[int]]:
    """How often each trial is in each table, for a reader of the whole folder."""
    opened(folder)  # hidden curves come to light
    return {
        kind: Counter(pq.read_table(folder / kind)["trial"].to_pylist())
        for kind in ("runs", "curves")
    }


def once(*trials: int) -> dict[str, Counter[int]]:
    return {"runs": Counter(trials), "curves": Counter(dict.fromkeys(trials, STEPS))}


@contextmanager
def interrupted(operation: int, action: Callable[[], object]) -> Iterator[list[str]]:
    """Run an action right before the n-th file operation of the block; yields its name then."""
    left, reached = itertools.count(operation, -1), list[str]()
    calls = {name: getattr(os, name) for name in CALLS}

    def counting(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if not reached and next(left) == 0:
                reached.append(name)
                action()
            return calls[name](*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, counting(name))
    try:
        yield reached
    finally:
        for name, call in calls.items():
            setattr(os, name, call)


@pytest.mark.promise(19)
def test_what_others_have_trained_is_not_committed_again_after_a_compaction(tmp_path: Path) -> None:
    sleeper = sleeper_of(tmp_path)
    compact(tmp_path)
    with pytest.raises(StoreError, match="was compacted while this process was suspended"):
        commit(sleeper, 1, 2)
    assert counts(tmp_path) == once(0, 1, 2) and verify(tmp_path) == []


def test_a_store_that_was_removed_is_not_called_compacted(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sleeper = sleeper_of(store)
    shutil.rmtree(store)
    with pytest.raises(StoreError, match="was removed"):
        commit(sleeper, 1, 2)


@pytest.mark.promise(19, mutant=True)
def test_a_log_that_opens_the_folder_at_each_commit_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = CommitLog._publish

    def reopening(log: CommitLog, *arguments: Any) -> bool:
        log._runs = log._curves = None
        return publish(log, *arguments)

    sleeper = sleeper_of(tmp_path)
    compact(tmp_path)
    monkeypatch.setattr(CommitLog, "_publish", reopening)
    monkeypatch.setattr(CommitLog, "read", lambda log: False)
    commit(sleeper, 1, 2)
    assert counts(tmp_path)["runs"][1] == 2


def compacted_at(operation: int, folder: Path, trials: tuple[int, ...]) -> tuple[int, list[str]]:
    """Commit by a sleeper with a whole compaction at its n-th operation; rows that it reports."""
    sleeper, reported = sleeper_of(folder), 0
    with interrupted(operation, lambda: compact(folder)) as reached, suppress(StoreError):
        reported = commit(sleeper, *trials)
    return reported, reached


def woken_at(operation: int, folder: Path, trials: tuple[int, ...]) -> tuple[int, list[str]]:
    """A whole commit by a sleeper at the n-th operation of a compaction; rows that it reports."""
    sleeper, reported = sleeper_of(folder), list[int]()

    def wake() -> None:
        with suppress(StoreError):
            reported.append(commit(sleeper, *trials))

    with interrupted(operation, wake) as reached:
        compact(folder)
    return sum(reported), reached


def check_each_moment(
    folder: Path, interrupt: Callable[..., tuple[int, list[str]]], stride: int = 1
) -> None:
    """A row that the sleeper reports is there, and none is there twice."""
    outcomes = set[int]()
    for operation in itertools.count(0, stride):
        place = folder / str(operation)
        reported, reached = interrupt(operation, place, (2, 3))
        if not reached:
            break
        found = counts(place)
        assert set(found["runs"].values()) == {1}, (operation, reached)
        assert set(found["curves"].values()) == {STEPS}, (operation, reached)
        assert found["runs"].keys() == found["curves"].keys() >= {0, 1, 2}
        assert 3 in found["runs"] or not reported, (operation, reached)
        assert verify(place) == [], (operation, reached)
        outcomes.add(reported)
    assert outcomes == {0, 1}


@pytest.mark.thorough
@pytest.mark.promise(19)
@pytest.mark.parametrize(("interrupt", "stride"), [(compacted_at, 2), (woken_at, 7)])
def test_no_moment_of_waking_loses_or_repeats_a_row(
    tmp_path: Path, interrupt: Callable[..., tuple[int, list[str]]], stride: int
) -> None:
    check_each_moment(tmp_path, interrupt, stride)


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [compacted_at, woken_at])
def test_the_same_at_every_moment(
    tmp_path: Path, interrupt: Callable[..., tuple[int, list[str]]]
) -> None:
    check_each_moment(tmp_path, interrupt)


@pytest.mark.thorough
@pytest.mark.promise(19, mutant=True)
def test_a_compaction_that_carries_nothing_over_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.store.swap._carry_late_parts", lambda *_: None)

    def loses(operation: int) -> bool:
        folder = tmp_path / str(operation)
        reported, reached = woken_at(operation, folder, (3,))
        return bool(reached and reported and 3 not in counts(folder)["runs"])

    assert any(map(loses, range(30, 200)))


def test_an_open_folder_is_told_from_the_one_that_took_its_place(tmp_path: Path) -> None:
    """Also where the file system gives the same inode number again, as many do at once."""
    (tmp_path / "runs").mkdir()
    folder = Directory(tmp_path).folder("runs")
    for _ in range(20):
        assert folder.is_current()
        (tmp_path / "runs").rmdir()
        assert not folder.is_current()
        (tmp_path / "runs").mkdir()
        assert not folder.is_current()
        folder = Directory(tmp_path).folder("runs")


def test_a_late_part_keeps_its_number_behind_the_joined_ones(tmp_path: Path) -> None:
    sleeper = sleeper_of(tmp_path)
    sleeper.refresh()
    compact(tmp_path)
    commit(opened(tmp_path), 3)
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["part-00000003.parquet", "part-00000004.parquet"]
    assert isinstance(pq.read_table(tmp_path / "runs"), pa.Table)
