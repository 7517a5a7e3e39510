"""Tables of the random numbers of fresh points, kept for the trials that share them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from sweep.engine.programs import Programs, take_trials
from sweep.training import evaluation
from sweep.trial import Trial

MOST_BYTES, MOST_TABLES = 64 << 20, 64
"""Room for the tables of a bucket. Points of which one table needs more are drawn anew each time."""


class CachedLanes(NamedTuple):
    """Due lanes, the tables of their fresh points and the place of each lane's table among them."""

    due: np.ndarray
    tables: Any
    places: np.ndarray


class NoDrawCache:
    """Every lane draws its own points."""

    def of(self, due: np.ndarray, ticket: np.ndarray) -> Iterator[CachedLanes]:
        """All due lanes at once."""
        yield CachedLanes(due, None, np.zeros(len(due), np.int32))


class DrawCache:
    """The tables of the trials of a queue: as many as there is `room` for, those that were used last."""

    def __init__(self, trials: Trial, programs: Programs, origins: np.ndarray, room: int) -> None:
        self.trials, self.programs, self.origins, self.room = trials, programs, origins, room
        table = jax.eval_shape(programs.table, take_trials(trials, 0))
        self.tables = jax.device_put(jax.tree.map(lambda leaf: np.zeros((room, *leaf.shape), leaf.dtype), table))
        self.place: dict[int, int] = {}
        """The place of each table that is kept, by its origin; the one unused longest comes first."""

    def of(self, due: np.ndarray, ticket: np.ndarray) -> Iterator[CachedLanes]:
        """The due lanes, as many at a time as there is room for their tables.

        `ticket` has the place in the queue of each lane's trial.
        """
        origins = np.where(due, self.origins[ticket], -1)
        wanted, first = np.unique(origins, return_index=True)
        wanted, first = wanted[wanted >= 0], first[wanted >= 0]
        for start in range(0, len(wanted), self.room):
            some = wanted[start : start + self.room].tolist()
            self._shelve(some, ticket[first[start : start + self.room]])
            places = np.array([self.place.get(each, 0) for each in origins.tolist()], np.int32)
            yield CachedLanes(np.isin(origins, some), self.tables, places)

    def _shelve(self, origins: list[int], rows: np.ndarray) -> None:
        """Have the tables of some origins, each that of the trial in a row of the queue."""
        for origin in origins:
            if origin in self.place:
                self.place[origin] = self.place.pop(origin)
        for origin, row in zip(origins, rows, strict=True):
            if origin not in self.place:
                full = len(self.place) == self.room
                place = self.place.pop(next(iter(self.place))) if full else len(self.place)
                self.tables = self.programs.shelve(self.tables, np.int32(place), take_trials(self.trials, row))
                self.place[origin] = place


def draw_cache_for(trials: Trial, programs: Programs) -> DrawCache | NoDrawCache:
    """What keeps the fresh points of the trials of a queue, leaves (count,).

    Tables on a CPU, where lanes are measured one by one and random numbers cost more than what is done with them. How
    many there is room for is part of the shape of a program, so it does not depend on the trials that are left.
    """
    table = jax.eval_shape(programs.table, take_trials(trials, 0))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(table))
    room = min(MOST_BYTES // size, MOST_TABLES) if size else 0
    return (
        DrawCache(trials, programs, _origins(trials), room)
        if room and jax.default_backend() == "cpu"
        else NoDrawCache()
    )


def _origins(trials: Trial) -> np.ndarray:
    """A number for each trial, equal where their fresh points are made of the same random numbers."""
    found = np.zeros(np.shape(trials.seed), np.int64)
    for column in evaluation.draw_origin(trials):
        values, codes = np.unique(np.broadcast_to(column, found.shape), return_inverse=True)
        found = np.unique(found * len(values) + codes, return_inverse=True)[1]
    return found
