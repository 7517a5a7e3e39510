"""Rewritten parts take the place of the old ones only where nothing of these is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sweep.errors import StoreError
from sweep.store import Store, compact, compaction, list_parts, repair, swap, verify
from sweep.store.directory import Directory
from tests.store.small_store import MANIFEST, OURS, STEPS, points, rows

COLUMNS = {"n": "int", "lr": "float", "schedule": "str", "bias": "bool"}
TRIALS = [0, 1, 2, 3]
JOINED = "part-00000004.parquet"


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.open({**MANIFEST, "columns": COLUMNS}, "name: test\n")
    return store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of four parts with curves, each of one trial."""
    writer = opened(tmp_path)
    for trial in TRIALS:
        writer.commit(rows((trial,)), points((trial,)), OURS)
    return tmp_path


class Killed(Exception):
    """The process ends here."""


@pytest.fixture
def interrupted(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, killed in a compaction right behind `_swap`."""

    def die(*_: object) -> str:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "finish_swap", die)
        with pytest.raises(Killed):
            compaction.rewrite_parts(Directory(store), {})
    return store


def held(folder: Path, kind: str) -> list[int]:
    """The trial of each row, for a reader of all parts."""
    return sorted(pq.read_table(folder / kind)["trial"].to_pylist())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def put_curves_in_place(store: Path) -> None:
    (store / "curves").rename(store / "_old-curves")
    (store / "_new-curves").rename(store / "curves")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "runs are missing": lambda store: (store / "_new-runs" / JOINED).unlink(),
    "curves are missing": lambda store: (store / "_new-curves" / JOINED).unlink(),
    "runs are damaged": lambda store: flip(store / "_new-runs" / JOINED),
    "curves are damaged": lambda store: flip(store / "_new-curves" / JOINED),
    "no folder of runs was copied": lambda store: shutil.rmtree(store / "_new-runs"),
    "no folder of curves was copied": lambda store: shutil.rmtree(store / "_new-curves"),
    "runs are damaged once the curves are in place": lambda store: (
        put_curves_in_place(store),
        flip(store / "_new-runs" / JOINED),
    ),
    "runs are damaged between two moves": lambda store: (
        (store / "runs").rename(store / "_old-runs"),
        flip(store / "_new-runs" / JOINED),
    ),
}


@pytest.mark.promise(16)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_old_parts_stay_where_the_new_ones_are_not_whole(
    interrupted: Path, damage: Callable[[Path], object]
) -> None:
    damage(interrupted)
    (finding,) = verify(interrupted)
    assert "goes back to the old parts" in finding.cure
    repair(interrupted)
    assert held(interrupted, "runs") == TRIALS
    assert held(interrupted, "curves") == sorted(STEPS * TRIALS)
    assert verify(interrupted) == []
    assert {path.name for path in interrupted.iterdir()} == {
        *("runs", "curves", "grid.yaml", "manifest.json"),
    }


@pytest.mark.promise(16)
def test_a_run_keeps_the_old_parts_too(interrupted: Path) -> None:
    flip(interrupted / "_new-runs" / JOINED)
    assert opened(interrupted).done().tolist() == TRIALS and verify(interrupted) == []


def test_a_whole_rewrite_is_finished(interrupted: Path) -> None:
    (finding,) = verify(interrupted)
    assert finding.cure.endswith("finishes it")
    repair(interrupted)
    assert [path.name for path in list_parts(interrupted, "runs")] == [JOINED]
    assert held(interrupted, "runs") == TRIALS and verify(interrupted) == []


def test_good_new_parts_take_the_place_of_damaged_old_ones(interrupted: Path) -> None:
    flip(interrupted / "runs" / "part-00000001.parquet")
    repair(interrupted)
    assert held(interrupted, "runs") == TRIALS and verify(interrupted) == []


def test_no_runs_are_removed_where_an_earlier_version_has_removed_old_curves(
    interrupted: Path,
) -> None:
    """It removed the old curves before the new runs were in place."""
    put_curves_in_place(interrupted)
    (interrupted / "_old-curves" / "part-00000000.parquet").unlink()
    flip(interrupted / "_new-runs" / JOINED)
    opened(interrupted)
    assert held(interrupted, "runs") == TRIALS
    assert held(interrupted, "curves") == sorted(STEPS * TRIALS)


def test_an_unfinished_rewrite_of_version_0_2_is_finished(interrupted: Path) -> None:
    (interrupted / "_swap").write_bytes(b"")
    repair(interrupted)
    assert held(interrupted, "runs") == TRIALS and verify(interrupted) == []


@pytest.mark.promise(16, mutant=True)
def test_a_rewrite_that_is_believed_would_be_seen(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(interrupted / "_new-runs" / JOINED)
    monkeypatch.setattr(swap, "find_fault", lambda *_: "")
    repair(interrupted)
    assert held(interrupted, "runs") == []


@pytest.mark.promise(16)
def test_who_reads_part_by_part_meets_no_row_twice(store: Path) -> None:
    listed = list_parts(store, "runs")
    compact(store)
    assert not any(path.exists() for path in listed)


@pytest.mark.parametrize("limit", [1, 8, 12])
def test_joined_parts_follow_each_other_behind_the_old_ones(
    store: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """A part has one row of the runs and three of the curves."""
    monkeypatch.setattr(compaction, "ROWS", limit)
    listed = list_parts(store, "runs")
    compaction.rewrite_parts(Directory(store), {})
    found = list_parts(store, "runs")
    assert len(found) == {1: 4, 8: 2, 12: 2}[limit] and not {*found} & {*listed}
    assert held(store, "runs") == TRIALS and verify(store) == []
    opened(store).commit(rows((9,)), points((9,)), OURS)
    assert verify(store) == [] and compact(store).after["runs"] == {1: 5, 8: 3, 12: 2}[limit]
    assert verify(store) == [] and held(store, "runs") == [*TRIALS, 9]


@pytest.mark.promise(19)
def test_a_late_part_is_not_lost_to_the_number_of_a_joined_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper, write, committed = opened(store), compaction._write_joined, list[int]()
    sleeper.refresh()

    def wake(*arguments: object) -> None:
        write(*arguments)  # pyright: ignore[reportArgumentType]
        if not committed:
            committed.append(sleeper.commit(rows((9,)), points((9,)), OURS))

    monkeypatch.setattr(compaction, "_write_joined", wake)
    compact(store)
    assert committed == [1] and held(store, "runs") == [*TRIALS, 9] and verify(store) == []


@pytest.mark.promise(12)
def test_the_only_part_of_a_compacted_store_is_missed(store: Path) -> None:
    compact(store)
    for kind in ("runs", "curves"):
        (store / kind / JOINED).unlink()
    (finding,) = verify(store)
    assert finding.path.name == "part-00000000.parquet"
    assert "is missing, and so are the parts after it up to part-00000004" in finding.what
    repair(store)
    assert verify(store) == [] and opened(store).done().tolist() == []
    opened(store).commit(rows((0,)), points((0,)), OURS)
    assert verify(store) == []


def test_a_folder_of_a_rewrite_that_is_a_link_is_refused(interrupted: Path) -> None:
    (interrupted / "_new-runs").rename(interrupted / "elsewhere")
    (interrupted / "_new-runs").symlink_to("elsewhere")
    with pytest.raises(StoreError, match="_new-runs is a symbolic link"):
        repair(interrupted)
    assert held(interrupted, "runs") == TRIALS
