"""The writer: values as they were given, parts of a sensible size, no row lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sweep.errors import StoreError, SweepError
from sweep.store import Store, Writer
from tests.store.small_store import CURVES, OURS, RUNS, failing, names, opened


def writer(folder: Path, **more: Any) -> Writer:
    return Writer(opened(folder), RUNS, CURVES, OURS, **more)


def test_values_arrive_as_they_were_given(tmp_path: Path) -> None:
    columns = {
        "trial": np.array([3, 1]),
        "n": [None, 7],
        "lr": np.array([np.nan, 0.5], np.float32),
        "steps": np.array([4, 5], np.int32),
        "test_loss": [None, float("nan")],
        "status": np.array(["converged", "nonfinite"]),
        "bias": np.array([True, False]),
    }
    with writer(tmp_path) as into:
        into.add("b", 8, columns, {"trial": [3, 3], "step": [1, 0], "train_loss": [0.5, None]})
    assert into.rows == 2
    found = pq.read_table(tmp_path / "runs").select([*columns, "problem"]).to_pydict()
    assert str(found) == str(
        {
            "trial": [1, 3],
            "n": [7, None],
            "lr": [0.5, float("nan")],
            "steps": [5, 4],
            "test_loss": [float("nan"), None],
            "status": ["nonfinite", "converged"],
            "bias": [False, True],
            "problem": [None, None],
        }
    )
    curves = pq.read_table(tmp_path / "curves").select(["step", "train_loss"]).to_pylist()
    assert curves == [{"step": 0, "train_loss": None}, {"step": 1, "train_loss": 0.5}]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"trial": [1], "learning_rate": [0.1], "zeta": [1]}, "no column learning_rate, zeta"),
        ({"trial": [1], "n": [0.5]}, "truncated"),
        ({"trial": [1, 2], "n": [1]}, "length"),
    ],
)
def test_what_the_schema_cannot_hold_is_refused_and_nothing_of_it_kept(
    tmp_path: Path, columns: dict[str, list[Any]], what: str
) -> None:
    with writer(tmp_path) as into:
        with pytest.raises(ValueError, match=what):
            into.add("b", 8, columns)
        into.add("b", 8, {"trial": [5]})
    assert Store(tmp_path).done().tolist() == [5]


def test_a_part_is_committed_when_enough_rows_wait(tmp_path: Path) -> None:
    with writer(tmp_path, max_rows=4) as into:
        for trial in range(10):
            into.add(f"bucket-{trial % 2}", 8, {"trial": [trial]})
            assert into.rows == (trial + 1) // 4 * 4
        into.add("bucket-0", 8, {"trial": [10]}, {"trial": [10], "step": [0]})
        assert into.rows == 11
    assert len(names(tmp_path / "runs")) == 3


def test_a_part_is_committed_when_its_first_row_waited_long_enough(tmp_path: Path) -> None:
    now = [0.0]
    into = writer(tmp_path, min_seconds=2.0, max_seconds=30.0, clock=lambda: now[0])
    early = [(1.0, 0), (2.0, 0), (3.5, 3), (6.0, 3), (11.0, 3), (12.0, 6)]
    for now[0], committed in [
        *early,
        (100.0, 6),
        (129.0, 6),
        (130.0, 9),
        (150.0, 9),
        (179.0, 9),
        (180.0, 12),
    ]:
        into.add("b", 8, {"trial": [int(now[0])]})
        assert into.rows == committed


def test_it_is_told_what_was_committed(tmp_path: Path) -> None:
    told: list[int] = []
    with writer(
        tmp_path, max_rows=2, committed=lambda trials: told.extend(trials.tolist())
    ) as into:
        for trial, want in enumerate([0, 2, 2, 4, 4]):
            into.add("b", 8, {"trial": [trial]})
            assert len(told) == want
    assert told == [0, 1, 2, 3, 4]


def test_blocks_are_kept_by_bucket(tmp_path: Path) -> None:
    with writer(tmp_path) as into:
        into.add("a", 8, {"trial": [1]})
        into.add("b", 16, {"trial": [2]})
        into.add("a", 8, {"trial": [3]})
        assert into.rows == 0
        into.add("a", 4, {"trial": [4]})
        assert into.rows == 3, "rows of another lane count are another part"
    assert Store(tmp_path).blocks() == {"a": 4, "b": 16}


@pytest.mark.promise(13)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, SweepError, RuntimeError])
def test_rows_are_never_thrown_away(tmp_path: Path, error: type[BaseException]) -> None:
    def sweep() -> None:
        with writer(tmp_path) as into:
            into.add("b", 8, {"trial": [1]})
            raise error

    with pytest.raises(error):
        sweep()
    assert Store(tmp_path).done().tolist() == [1]


@pytest.mark.promise(7)
def test_rows_wait_on_where_a_commit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = writer(tmp_path, max_rows=2)
    into.add("b", 8, {"trial": [1]})
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing(errno.ENOSPC))
        with pytest.raises(StoreError):
            into.add("b", 8, {"trial": [2]})
    assert (into.rows, Store(tmp_path).done().tolist()) == (0, [])
    into.flush()
    into.flush()
    assert (into.rows, Store(tmp_path).done().tolist()) == (2, [1, 2])
