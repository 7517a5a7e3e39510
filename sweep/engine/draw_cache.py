"""A cache of the random numbers of fresh points, shared by the trials that use the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from sweep.engine.programs import Programs, take_trials
from sweep.training import evaluation
from sweep.trial import Trial

MAX_BYTES, MAX_TABLES = 64 << 20, 64
"""Room for the tables of a bucket. A table larger than this is drawn anew at every measurement."""


class DrawBatch(NamedTuple):
    """Lanes to measure together, and the tables of random numbers of their fresh points.

    `lane_mask` and `slots` have shape (lanes,); a lane's table is `tables` at its slot. `tables` is
    None where lanes draw their own numbers.
    """

    lane_mask: np.ndarray
    tables: Any
    slots: np.ndarray


class NoDrawCache:
    """Every lane draws its own points."""

    def batches(self, lane_mask: np.ndarray, trial_index: np.ndarray) -> Iterator[DrawBatch]:
        """All lanes of the mask in one batch."""
        yield DrawBatch(lane_mask, None, np.zeros(len(lane_mask), np.int32))


class DrawCache:
    """The most recently used tables of the trials of a queue.

    Args:
        trials: All trials of the queue, leaves (count,).
        programs: The programs of the bucket.
        origins: A number per trial, equal for trials with equal tables, shape (count,).
        room: How many tables to keep.
    """

    def __init__(self, trials: Trial, programs: Programs, origins: np.ndarray, room: int) -> None:
        self.trials, self.programs, self.origins, self.room = trials, programs, origins, room
        table = jax.eval_shape(programs.draw_tables, take_trials(trials, 0))
        blank = jax.tree.map(lambda leaf: np.zeros((room, *leaf.shape), leaf.dtype), table)
        self.tables = jax.device_put(blank)
        self.slots: dict[int, int] = {}
        """Slot of each cached table by its origin, the least recently used first."""

    def batches(self, lane_mask: np.ndarray, trial_index: np.ndarray) -> Iterator[DrawBatch]:
        """The lanes of a mask, in batches whose tables fit into the cache.

        Args:
            lane_mask: Lanes to measure, shape (lanes,).
            trial_index: Index in the queue of the trial of each lane, shape (lanes,).
        """
        lane_origins = np.where(lane_mask, self.origins[trial_index], -1)
        origins, first_lanes = np.unique(lane_origins, return_index=True)
        is_masked = origins >= 0
        origins, first_lanes = origins[is_masked], first_lanes[is_masked]
        for start in range(0, len(origins), self.room):
            stop = start + self.room
            batch_origins = origins[start:stop].tolist()
            self._ensure_cached(batch_origins, trial_index[first_lanes[start:stop]])
            slots = [self.slots.get(origin, 0) for origin in lane_origins.tolist()]
            batch_mask = np.isin(lane_origins, batch_origins)
            yield DrawBatch(batch_mask, self.tables, np.array(slots, np.int32))

    def _ensure_cached(self, origins: list[int], trial_indices: np.ndarray) -> None:
        """Cache the tables of some origins, each drawn from a trial that has this origin."""
        # Mark those that are cached as recently used first, so that none of them is evicted below.
        for origin in origins:
            if origin in self.slots:
                self.slots[origin] = self.slots.pop(origin)
        for origin, trial_index in zip(origins, trial_indices, strict=True):
            if origin not in self.slots:
                slot = self._free_slot()
                trial = take_trials(self.trials, trial_index)
                self.tables = self.programs.store_draws(self.tables, np.int32(slot), trial)
                self.slots[origin] = slot

    def _free_slot(self) -> int:
        """A slot without a table, after evicting the least recently used one if necessary."""
        if len(self.slots) < self.room:
            return len(self.slots)
        return self.slots.pop(next(iter(self.slots)))


def draw_cache_for(trials: Trial, programs: Programs) -> DrawCache | NoDrawCache:
    """The cache for the trials of a queue, leaves (count,).

    Caches on a CPU only, where lanes are measured one by one and drawing random numbers costs more
    than using them.
    """
    table = jax.eval_shape(programs.draw_tables, take_trials(trials, 0))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(table))
    # `room` is part of a compiled shape: it must not depend on which trials are left.
    room = min(MAX_BYTES // size, MAX_TABLES) if size else 0
    if room and jax.default_backend() == "cpu":
        return DrawCache(trials, programs, draw_origins(trials), room)
    return NoDrawCache()


def draw_origins(trials: Trial) -> np.ndarray:
    """A number per trial, equal for trials whose fresh points use the same random numbers."""
    origins = np.zeros(np.shape(trials.seed), np.int64)
    for column in evaluation.draw_origin(trials):
        values, codes = np.unique(np.broadcast_to(column, origins.shape), return_inverse=True)
        origins = np.unique(origins * len(values) + codes, return_inverse=True)[1]
    return origins
