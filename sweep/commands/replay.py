"""A determinism certificate: rows of a store trained once more in other company, and how far they come out apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep import grid as grids
from sweep.engine.driver import Driver
from sweep.engine.programs import take_trials
from sweep.engine.recorder import RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.errors import StoreError
from sweep.grid import Grid
from sweep.observables import observable_columns
from sweep.planning import plan as plans
from sweep.planning.bucket import Bucket
from sweep.planning.plan import Host
from sweep.schema import RUNS
from sweep.status import Status
from sweep.store import Store, list_parts, read_part, read_rows

OUTCOME = ("status", "steps", "fit_step")
APART = ("alone", "beside", "block")


@dataclass(frozen=True)
class ReplayResult:
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


@dataclass(frozen=True)
class Candidate:
    """A bucket of one of the grids of a store, with the ids of its trials."""

    grid: Grid
    bucket: Bucket
    trials: np.ndarray


def replay(folder: Path, count: int, seed: int = 0) -> Iterator[ReplayResult]:
    """Train `count` random rows of a store again, one after the other, in the programs that they were trained in.

    A joined part may name several programs that have a trial, of grids that were packed otherwise: the nearest counts.
    Rows that say that memory was short, and rows of grids that are not kept, are passed over. Raises StoreError where
    there are no others.
    """
    store = Store(folder)
    manifest = store.read_manifest()
    kind = np.finfo(manifest["dtype"]).dtype.type
    random = np.random.default_rng(seed)
    candidates = list(_candidates(store, Host(manifest["platform"], 1)))
    found = 0
    for trial in random.permutation(store.done()).tolist():
        row, blocks = _row(store, trial)
        own = [each for each in candidates if each.bucket.id in blocks and trial in each.trials]
        if not own or row["status"] == Status.OUT_OF_MEMORY.label:
            continue
        tries = (_replayed(each, row, blocks[each.bucket.id], random, kind) for each in _distinct(own))
        yield min(tries, key=lambda each: (each.alone, each.beside))
        found += 1
        if found == count:
            return
    if not found:
        raise StoreError(f"{folder} holds no rows that can be trained again. Let the sweep run until it has some.")


def _units(distance: float) -> str:
    if distance == 0:
        return "equal to the bit"
    if not np.isfinite(distance):
        return "another outcome"
    return f"{distance:.0f} unit{'s' if distance > 1 else ''} in the last place apart"


def _candidates(store: Store, host: Host) -> Iterator[Candidate]:
    for path in store.grids():
        grid = grids.load_grid(path)
        for bucket in plans.make_plan(grid, host).buckets:
            yield Candidate(grid, bucket, bucket.source.ids(bucket.rows)[0])


def _distinct(own: list[Candidate]) -> list[Candidate]:
    """One candidate for each program."""
    return list({each.bucket.id: each for each in own}.values())


def _replayed(
    own: Candidate, row: dict[str, object], block: int, random: np.random.Generator, kind: type
) -> ReplayResult:
    place = int(np.flatnonzero(own.trials == row["trial"])[0])
    others = random.permutation(np.delete(np.arange(len(own.trials)), place))[: 2 * block - 1]
    company = (
        (np.array([place]), block, block),
        (np.array([*others, place]), 2 * block, block),
        (np.array([place]), *([1, 1] if block > 1 else [4, 4])),
    )
    apart = [_distance(row, _train(own, places, lanes, size, place), kind) for places, lanes, size in company]
    return ReplayResult(int(own.trials[place]), own.bucket.title, *apart)


def _train(own: Candidate, places: np.ndarray, lanes: int, block: int, place: int) -> dict[str, object]:
    """Outcome and observables of the trial at `place`, trained with others."""
    settings = own.grid.settings
    records = RecordSchedule(settings.record_points, settings.record_test, settings.test_points)
    for ended in Driver(TrialList(take_trials(own.bucket.trials(), places)), lanes, block, records):
        at = np.flatnonzero(places[ended.index] == place)
        if len(at):
            return {name: values[at].tolist()[0] for name, values in ended.runs.items()}
    raise AssertionError("a drive ends all its trials")


def _row(store: Store, trial: int) -> tuple[dict[str, object], dict[str, int]]:
    """The row of a trial as the store has it, and the blocks of the programs of its part by bucket."""
    for path in list_parts(store.folder / RUNS):
        part = read_part(path)
        if trial in part.trials:
            table = read_rows(path)
            return table.filter(pa.array(table["trial"].to_numpy() == trial)).to_pylist()[0], part.blocks
    raise AssertionError(f"trial {trial} is done")


def _distance(row: dict[str, object], found: dict[str, object], kind: type) -> float:
    """The largest distance of an observable in units of its last place; infinite where an outcome differs."""
    if any(row[name] != found[name] for name in OUTCOME):
        return np.inf
    pairs = [(row[name], found.get(name)) for name in observable_columns() if name in row]
    if any((a is None) != (b is None) for a, b in pairs):
        return np.inf
    one, other = np.array([pair for pair in pairs if pair[0] is not None], float).T
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):  # what is infinite in both is the same
        scale = np.spacing(np.maximum(np.abs(one), np.abs(other)).astype(kind)).astype(float)
        return float(np.max(np.where(same, 0.0, np.abs(one - other) / scale), initial=0.0))
