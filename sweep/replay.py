"""A determinism certificate: rows of a store trained once more in other company, and how far they come out apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep import grid as grids
from sweep import plan as plans
from sweep.drive import Drive, Queue, Records
from sweep.engine import take
from sweep.errors import StoreError
from sweep.grid import Grid
from sweep.plan import Bucket, Host
from sweep.schema import OBSERVABLES, RUNS
from sweep.store import Store, parts

OUTCOME = ("status", "steps", "fit_step")
APART = ("alone", "beside", "block")


@dataclass(frozen=True)
class Replayed:
    """One row trained again. Distances are in units of the last place of float32 (float64 where the store has it).

    `alone` is the largest distance with no other trial in the program, `beside` that in another lane beside other
    trials, with more lanes; both must be 0. `block` is that under a vmap of another width, where last digits differ.
    A distance is infinite where a status, a number of steps or a null differs.
    """

    trial: int
    bucket: str
    alone: float
    beside: float
    block: float

    @property
    def equal(self) -> bool:
        """Did it come out to the bit where it has to?"""
        return self.alone == self.beside == 0

    def __str__(self) -> str:
        apart = f"alone {_units(self.alone)}, beside others {_units(self.beside)}"
        return f"Trial {self.trial} of {self.bucket}: {apart}; in blocks of another size {_units(self.block)}."

    def json(self) -> dict[str, int | str | float | None]:
        """The same for machines, null for an infinite distance."""
        told = {name: each if np.isfinite(each) else None for name, each in vars(self).items() if name in APART}
        return {"trial": self.trial, "bucket": self.bucket, **told, "equal": self.equal}


def replay(folder: Path, count: int, seed: int = 0) -> Iterator[Replayed]:
    """Train `count` random rows of a store again, one after the other.

    Raises StoreError where none of them belongs to a grid in the store.
    """
    store = Store(folder)
    manifest = store.read_manifest()
    eps = np.finfo(manifest["dtype"]).dtype.type
    random = np.random.default_rng(seed)
    chosen = random.permutation(store.done())[:count]
    count = len(chosen)
    for path in sorted(Path(folder).glob("grid*.yaml")):
        grid = grids.load(path)
        plan = plans.make(grid, Host(manifest["platform"], 1), blocks=store.blocks())
        for bucket in plan.buckets:
            for place in _places(bucket, chosen):
                yield _replayed(store, grid, bucket, int(place), random, eps)
            chosen = chosen[~np.isin(chosen, bucket.source.ids(bucket.rows)[0])]
    if len(chosen) == count:
        raise StoreError(f"{folder} holds no rows of its grids. Let the sweep run until it has committed some.")


def _units(distance: float) -> str:
    if distance == 0:
        return "equal to the bit"
    return f"{distance:.0f} units in the last place apart" if np.isfinite(distance) else "another outcome"


def _places(bucket: Bucket, trials: np.ndarray) -> np.ndarray:
    """Places in the bucket of those of the trials that it has."""
    return np.flatnonzero(np.isin(bucket.source.ids(bucket.rows)[0], trials))


def _replayed(
    store: Store, grid: Grid, bucket: Bucket, place: int, random: np.random.Generator, kind: type
) -> Replayed:
    trial = int(bucket.source.ids(bucket.rows[[place]])[0][0])
    row = _row(store, trial)
    others = random.permutation(np.delete(np.arange(len(bucket.rows)), place))[: 2 * bucket.block - 1]
    other = 1 if bucket.block > 1 else 4
    alone = _train(grid, bucket, np.array([place]), bucket.block, bucket.block, place)
    beside = _train(grid, bucket, np.array([*others, place]), 2 * bucket.block, bucket.block, place)
    block = _train(grid, bucket, np.array([place]), other, other, place)
    apart = [_distance(row, each, kind) for each in (alone, beside, block)]
    return Replayed(trial, bucket.title, *apart)


def _train(grid: Grid, bucket: Bucket, places: np.ndarray, lanes: int, block: int, place: int) -> dict[str, object]:
    """Outcome and observables of the trial at `place`, trained with others."""
    settings = grid.settings
    records = Records(settings.record_points, settings.record_test, settings.test_points)
    for ended in Drive(Queue(take(bucket.trials(), places)), lanes, block, records):
        at = np.flatnonzero(places[ended.index] == place)
        if len(at):
            return {name: values[at].tolist()[0] for name, values in ended.runs.items()}
    raise AssertionError("a drive ends all its trials")


def _row(store: Store, trial: int) -> dict[str, object]:
    """The row of a trial as the store has it."""
    for path in parts.listed(store.folder / RUNS):
        if trial in parts.read(path).trials:
            table = parts.rows(path)
            return table.filter(pa.array(table["trial"].to_numpy() == trial)).to_pylist()[0]
    raise AssertionError(f"trial {trial} is done")


def _distance(row: dict[str, object], found: dict[str, object], kind: type) -> float:
    """The largest distance of an observable in units of its last place; infinite where an outcome differs."""
    if any(row[name] != found[name] for name in OUTCOME):
        return np.inf
    pairs = [(row[name], found.get(name)) for name in OBSERVABLES]
    if any((a is None) != (b is None) for a, b in pairs):
        return np.inf
    one, other = np.array([pair for pair in pairs if pair[0] is not None], float).T
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    scale = np.spacing(np.maximum(np.abs(one), np.abs(other)).astype(kind)).astype(float)
    return float(np.max(np.where(same, 0.0, np.abs(one - other) / scale), initial=0.0))
