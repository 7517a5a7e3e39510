"""Replay: rows of a store trained once more come out to the bit, and rows that are not what was trained are seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sweep.__main__ import app
from sweep.commands.replay import _recorded, replay
from sweep.engine import programs
from sweep.engine.recorder import Recorder
from sweep.errors import StoreError
from sweep.observables.losses import Losses
from sweep.run import sweep
from sweep.schema import LATER_OBSERVABLES
from sweep.store import Store, compact, verify
from tests.shell import environment, jax_as_it_was, table, write_grid
from tests.store.small_store import without_digest
from tests.workers.test_worker import small

pytestmark = pytest.mark.thorough

GRID = """
name: replayed
seed: {range: [0, 2]}
data: {kind: separable, n: 8, d: 16, margin: 0.1}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
train: {steps: 30}
test_points: 16
record: {points: 0}
"""
FINER = GRID.replace("{kind: gd, lr: 0.2}", "[{kind: gd, lr: 0.2}, {kind: momentum, lr: 0.1}]")


@pytest.fixture(scope="module", autouse=True)
def _cache() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"])
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two grids and two programs, the first in blocks of one lane and the second of sixteen. Read only."""
    home = tmp_path_factory.mktemp("replay")
    with jax_as_it_was():
        sweep(write_grid(home, GRID), home / "store", workers=1, lanes=1, quiet=True)
        found = sweep(write_grid(home, FINER, "finer.yaml"), home / "store", workers=1, quiet=True)
    assert sorted(Store(found).blocks().values()) == [1, 16]
    return found


def change(
    store: Path, copy: Path, optimizer: str, column: str, value: Callable[[object], object]
) -> int:
    """Copy the store and change a value of one row of an optimizer, whose trial is returned."""
    shutil.copytree(store, copy)
    trial = int(table(copy).query("optimizer == @optimizer")["trial"].iloc[-1])
    for path in (copy / "runs").glob("part-*"):
        rows = without_digest(pq.read_table(path))
        place, kind, values = (
            rows.column_names.index(column),
            rows.schema.field(column),
            rows[column].to_pylist(),
        )
        made = [
            value(old) if each == trial else old
            for each, old in zip(rows["trial"].to_pylist(), values, strict=True)
        ]
        pq.write_table(
            rows.set_column(place, kind, pa.array(made, kind.type)), path, write_page_checksum=True
        )
    return trial


PADDED = """
name: padded
seed: {range: [0, 3]}
data: {kind: feature_noise, n: 24, d: 60, sparsity: 4, snr: 1, feature_noise: 0.2}
model: {kind: cnn, width: 8, init_scale: 0.1}
optimizer: {kind: adam, lr: 0.01}
train: {steps: 100}
test_points: 16
record: {points: 0}
"""


@pytest.mark.slow
def test_rows_are_replayed_in_the_program_that_trained_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not padded as in a longer grid, nor in smaller blocks that the bucket has now; before and after a compaction."""
    grid, longer = (
        write_grid(tmp_path, text, name)
        for text, name in (
            (PADDED, "grid.yaml"),
            (PADDED.replace("n: 24", "n: [24, 30]"), "longer.yaml"),
        )
    )
    store = tmp_path / "store"
    with jax_as_it_was():
        sweep(grid, store, workers=1, shard=(0, 2), lanes=8, quiet=True)
        with monkeypatch.context() as patch:
            patch.setattr(programs, "compiled_programs", small(lambda lanes, block: lanes <= 4))
            sweep(grid, store, workers=1, quiet=True)
            sweep(longer, store, workers=1, quiet=True)
    assert all(each.equal for each in replay(store, 10))
    compact(store)
    found = list(replay(store, 10))
    assert len(found) == 6 and all(each.equal for each in found)


@pytest.mark.slow
def test_a_row_that_did_not_fit_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "compiled_programs", small(lambda lanes, block: False))
    with jax_as_it_was():
        store = sweep(write_grid(tmp_path, GRID), tmp_path / "store", workers=1, quiet=True)
    with pytest.raises(StoreError, match="holds no rows that can be trained again"):
        list(replay(store, 10))


@pytest.mark.promise(17)
@pytest.mark.slow
def test_all_rows_come_out_to_the_bit(store: Path) -> None:
    """Alone and beside others, whichever grid and program they are of; in other blocks within the last digits."""
    found = list(replay(store, 10))
    assert sorted(each.trial for each in found) == Store(store).done().tolist()
    assert len({each.bucket for each in found}) == 2
    assert all((each.alone, each.beside, each.equal) == (0, 0, True) for each in found)
    assert all(each.block < 1e4 for each in found)


@pytest.mark.promise(17)
def test_rows_are_drawn_by_the_seed(store: Path) -> None:
    drawn = {seed: [each.trial for each in replay(store, 2, seed)] for seed in range(4)}
    assert (
        all(len(set(trials)) == 2 for trials in drawn.values())
        and len({*map(frozenset, drawn.values())}) > 1
    )
    assert drawn[0] == [each.trial for each in replay(store, 2, 0)]


def up(value: object) -> object:
    """The next number that single precision has."""
    assert isinstance(value, float) and value == np.float32(value)
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


@pytest.mark.promise(17, mutant=True)
@pytest.mark.parametrize(
    ("optimizer", "column", "value", "distance"),
    [
        ("gd", "train_loss", up, 1),
        ("momentum", "weight_norm", lambda value: up(up(value)), 2),
        ("gd", "test_error", lambda value: None, np.inf),
        ("momentum", "status", lambda value: "converged", np.inf),
        ("gd", "steps", lambda value: 29, np.inf),
        ("momentum", "fit_step", lambda value: 7, np.inf),
    ],
)
def test_a_row_that_was_not_trained_so_is_seen(
    store: Path,
    tmp_path: Path,
    optimizer: str,
    column: str,
    value: Callable[[object], object],
    distance: float,
) -> None:
    """As far as it is away, and no other row with it."""
    trial = change(store, tmp_path / "copy", optimizer, column, value)
    (found,) = [each for each in replay(tmp_path / "copy", 4) if not each.equal]
    assert (found.trial, found.alone, found.beside) == (trial, distance, distance)


def verified(store: Path, *options: str) -> tuple[int, str]:
    """How `verify --replay` of all rows ends in this process, and what it says."""
    with jax_as_it_was():
        answer = CliRunner().invoke(app, ["verify", str(store), "--replay", "4", *options])
    return answer.exit_code, answer.stdout


@pytest.mark.promise(17)
def test_the_command_says_how_far_rows_come_out_apart(store: Path) -> None:
    code, out = verified(store)
    assert code == 0 and out.count("alone equal to the bit, beside others equal to the bit") == 4
    code, out = verified(store, "--json")
    told = json.loads(out)["replayed"]
    assert code == 0 and sorted(each["trial"] for each in told) == Store(store).done().tolist()
    assert all((each["alone"], each["beside"], each["equal"]) == (0, 0, True) for each in told)


@pytest.mark.promise(17, mutant=True)
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("train_loss", lambda value: up(up(value)), "alone 2 units in the last place apart"),
        ("status", lambda value: "converged", "alone another outcome"),
    ],
)
def test_the_command_ends_with_1_where_they_do(
    store: Path, tmp_path: Path, column: str, value: Callable[[object], object], said: str
) -> None:
    trial = change(store, tmp_path / "copy", "gd", column, value)
    code, out = verified(tmp_path / "copy")
    (line,) = [line for line in out.splitlines() if "apart" in line or "outcome" in line]
    assert code == 1 and str(trial) in line and said in line


def test_a_store_without_rows_is_told(store: Path, tmp_path: Path) -> None:
    empty = shutil.copytree(store, tmp_path / "empty", ignore=shutil.ignore_patterns("part-*"))
    with pytest.raises(StoreError, match="holds no rows that can be trained again"):
        list(replay(empty, 3))


def test_a_store_without_the_later_observables_is_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As version 0.3 wrote it. A row that lacks them is replayed without them."""
    grid, store = write_grid(tmp_path, GRID), tmp_path / "store"
    older = {name: info for name, info in Losses.columns.items() if name not in LATER_OBSERVABLES}
    with jax_as_it_was():
        with monkeypatch.context() as patch:
            patch.setattr(Losses, "columns", older)
            patch.setattr(Recorder, "add", _without_later(Recorder.add))
            sweep(grid, store, workers=1, quiet=True)
        assert "test_ties" not in table(store)
        before = table(store)
        sweep(
            write_grid(tmp_path, GRID.replace("2]", "3]"), "more.yaml"),
            store,
            workers=1,
            quiet=True,
        )
        compact(store)
        assert verify(store) == []
    after = table(store)
    assert set(after["seed"][after["test_ties"].isna()]) == {0, 1}
    old, new = (rows.iloc[0].to_dict() for _, rows in after.groupby(after["test_ties"].notna()))
    old["test_ties"] = None
    replayed: dict[str, object] = {"test_ties": 0.0}
    assert "test_ties" not in _recorded(old, replayed)
    assert "test_ties" in _recorded(new, replayed)
    kept = after[after["trial"].isin(before["trial"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[list(before)], before, check_exact=True, check_dtype=False)


def _without_later(add: Callable[..., None]) -> Callable[..., None]:
    """Recording as it was before there were later observables."""

    def add_older(recorder: Recorder, lanes: object, steps: object, columns: dict[str, object]):
        known = {name: each for name, each in columns.items() if name not in LATER_OBSERVABLES}
        add(recorder, lanes, steps, known)

    return add_older
