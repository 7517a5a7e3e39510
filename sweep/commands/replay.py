"""A determinism certificate: rows of a store are trained again in other company and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep import grid as grids
from sweep.commands.backend import active_platform
from sweep.commands.run_info import training_setup
from sweep.engine.driver import Driver
from sweep.engine.programs import take_trials
from sweep.engine.recorder import RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.errors import StoreConflict, StoreError
from sweep.grid import Grid
from sweep.jax_settings import foreign_settings
from sweep.planning import plan as plans
from sweep.planning.bucket import Bucket
from sweep.planning.plan import Host
from sweep.schema import RUNS, STANDARD_OBSERVABLES
from sweep.status import Status
from sweep.store import Store, list_parts, read_grid, read_part, read_rows
from sweep.store.manifest_diff import describe_changes

OUTCOME = ("status", "steps", "fit_step")
"""Columns that must be equal; other differences are infinite distances."""


@dataclass(frozen=True)
class ReplayResult:
    """One row trained again, with distances to the stored row.

    Distances are in units in the last place of float32 (float64 if the store has it), and infinite
    where a status, a number of steps or a null differs.

    Attributes:
        trial: id of the trial.
        bucket: title of its bucket.
        alone: largest distance with no other trial in the program; must be 0.
        beside: largest distance in another lane beside other trials, with more lanes; must be 0.
        block: largest distance under a vmap of another width, where last digits may differ.
    """

    trial: int
    bucket: str
    alone: float
    beside: float
    block: float

    @property
    def equal(self) -> bool:
        """True if all distances that must be 0 are."""
        return self.alone == self.beside == 0

    def __str__(self) -> str:
        distances = f"alone {_units(self.alone)}, beside others {_units(self.beside)}"
        block = f"in blocks of another size {_units(self.block)}"
        return f"Trial {self.trial} of {self.bucket}: {distances}; {block}."

    def to_json(self) -> dict[str, int | str | float | None]:
        """The result as plain values, null for an infinite distance."""
        distances = {"alone": self.alone, "beside": self.beside, "block": self.block}
        finite = {name: value if np.isfinite(value) else None for name, value in distances.items()}
        return {"trial": self.trial, "bucket": self.bucket, **finite, "equal": self.equal}


@dataclass(frozen=True)
class Candidate:
    """A bucket of a grid of the store, with the ids of its trials."""

    grid: Grid
    bucket: Bucket
    trials: np.ndarray


def replay(folder: Path, count: int, seed: int = 0) -> Iterator[ReplayResult]:
    """Train random rows of a store again, one by one, in the programs that trained them.

    Rows with the status out_of_memory, and rows of grids that the store does not hold, are skipped.

    Args:
        folder: the folder of the store.
        count: largest number of rows.
        seed: seed of the choice of rows.

    Raises:
        StoreError: there is no row or no grid to train one again.
        SweepError: jax finds no device.
        StoreConflict: jax has other settings than when the rows were trained.
    """
    store = Store(folder)
    manifest = store.read_manifest()
    dtype_name, platform = training_setup(folder, manifest)
    _check_settings(folder, manifest.get("settings", {}))
    active_platform()
    if not store.grids():
        raise StoreError(
            f"{folder} holds no grid.yaml, which says how its rows were trained. "
            "Put the grid file of this sweep back."
        )
    dtype = np.finfo(dtype_name).dtype.type
    rng = np.random.default_rng(seed)
    candidates = list(_candidates(store, Host(platform, 1)))
    replayed = 0
    for trial in rng.permutation(store.done()).tolist():
        row, blocks = _row(store, trial)
        matches = [
            candidate
            for candidate in candidates
            if candidate.bucket.id in blocks and trial in candidate.trials
        ]
        if not matches or row["status"] == Status.OUT_OF_MEMORY.label:
            continue
        # A compacted part may name several programs that have the trial, of grids that were packed
        # differently, but not which one trained it: the nearest result counts.
        results = [
            _replay_row(candidate, row, blocks[candidate.bucket.id], rng, dtype)
            for candidate in _one_per_program(matches)
        ]
        yield min(results, key=lambda result: (result.alone, result.beside))
        replayed += 1
        if replayed == count:
            return
    if not replayed:
        raise StoreError(
            f"{folder} holds no rows that can be trained again by a grid that it keeps. "
            "Let the sweep run until it has some."
        )


def _check_settings(folder: Path, stored_settings: Mapping[str, str]) -> None:
    """Raise StoreConflict unless jax has the settings under which the rows were trained."""
    current = foreign_settings()
    if current != stored_settings:
        changes = describe_changes(stored_settings, current)
        raise StoreConflict(
            f"{folder} was trained under other settings of jax ({changes}). "
            "Replay it under those of the sweep."
        )


def _units(distance: float) -> str:
    """A distance in units in the last place, in words."""
    if distance == 0:
        return "equal to the bit"
    if not np.isfinite(distance):
        return "another outcome"
    return f"{distance:.0f} unit{'s' if distance > 1 else ''} in the last place apart"


def _candidates(store: Store, host: Host) -> Iterator[Candidate]:
    """The buckets of all grids that the store keeps."""
    for path in store.grids():
        grid = grids.parse_kept_grid(read_grid(path), str(path))
        for bucket in plans.make_plan(grid, host).buckets:
            yield Candidate(grid, bucket, bucket.source.ids(bucket.rows)[0])


def _one_per_program(candidates: list[Candidate]) -> list[Candidate]:
    """One of the candidates of each bucket id, that is, of each compiled program."""
    return list({candidate.bucket.id: candidate for candidate in candidates}.values())


def _replay_row(
    candidate: Candidate,
    row: dict[str, object],
    block: int,
    rng: np.random.Generator,
    dtype: type,
) -> ReplayResult:
    """Train a row again in three ways: alone, beside others, and under another vmap."""
    index = int(np.flatnonzero(candidate.trials == row["trial"])[0])
    neighbours = rng.permutation(np.delete(np.arange(len(candidate.trials)), index))
    alone = np.array([index])
    # Last of all, so that the trial comes into another lane than the first.
    beside = np.array([*neighbours[: 2 * block - 1], index])
    other_width = 1 if block > 1 else 4
    runs = ((alone, block, block), (beside, 2 * block, block), (alone, other_width, other_width))
    distances = [
        _distance(row, _train(candidate, index, indices, lanes, width), dtype)
        for indices, lanes, width in runs
    ]
    return ReplayResult(int(candidate.trials[index]), candidate.bucket.title, *distances)


def _train(
    candidate: Candidate, index: int, indices: np.ndarray, lanes: int, block: int
) -> dict[str, object]:
    """Outcome and observables of the trial at `index`, trained with all those at `indices`."""
    settings = candidate.grid.settings
    records = RecordSchedule(
        settings.record_points,
        settings.record_test,
        settings.test_points,
        settings.validation_points,
        settings.metrics,
    )
    trials = TrialList(take_trials(candidate.bucket.trials(), indices))
    for finished in Driver(trials, lanes, block, records):
        positions = np.flatnonzero(indices[finished.index] == index)
        if len(positions):
            return {name: values[positions].tolist()[0] for name, values in finished.runs.items()}
    raise AssertionError("a driver finishes all its trials")


def _row(store: Store, trial: int) -> tuple[dict[str, object], Mapping[str, int]]:
    """The stored row of a trial, and the blocks of its part's programs by bucket id."""
    for path in list_parts(store.folder, RUNS):
        part = read_part(path)
        if trial in part.trials:
            table = read_rows(path)
            mask = pa.array(table["trial"].to_numpy() == trial)
            return table.filter(mask).to_pylist()[0], part.blocks
    raise AssertionError(f"trial {trial} is done")


def _distance(stored: dict[str, object], replayed: dict[str, object], dtype: type) -> float:
    """The largest distance of an observable in units in the last place of `dtype`."""
    if any(stored[name] != replayed[name] for name in OUTCOME):
        return np.inf
    names = (replayed.keys() | set(STANDARD_OBSERVABLES)) - set(OUTCOME)
    pairs = [(stored[name], replayed.get(name)) for name in names if name in stored]
    if any((before is None) != (after is None) for before, after in pairs):
        return np.inf
    measured = [pair for pair in pairs if pair[0] is not None]
    before, after = np.array(measured, float).T
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    # Infinite in both gives inf - inf, which `same` overrides.
    with np.errstate(invalid="ignore"):
        unit = np.spacing(np.maximum(np.abs(before), np.abs(after)).astype(dtype)).astype(float)
        distances = np.where(same, 0.0, np.abs(before - after) / unit)
    return float(np.max(distances, initial=0.0))
