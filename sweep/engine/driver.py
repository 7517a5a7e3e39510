"""Drives the lanes of one bucket through its queue of trials, reading chunk t - 1 while chunk t runs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sweep.engine import programs
from sweep.engine.draw_cache import NoDrawCache, draw_cache_for
from sweep.engine.recorder import NEVER, FinishedTrials, Recorder, RecordSchedule, recorded_steps
from sweep.padding import actual_size
from sweep.status import Status
from sweep.training.measure import Measurement, columns
from sweep.trial import Trial

EMPTY = -1
CHUNK_SECONDS = 0.03
SOME = 5.0
"""Seconds of training that are worth a checkpoint when a run is stopped."""


class TrialSource(Protocol):
    """Hands out the trials of a bucket: `trials` is a batch of all of them, leaves (count,)."""

    count: int

    @property
    def trials(self) -> Trial:
        """All of them."""
        ...

    def take(self, most: int) -> np.ndarray:
        """The places of the next trials, at most so many; none at the end."""
        ...


class TrialList:
    """The trials of a bucket, handed out in order."""

    def __init__(self, trials: Trial) -> None:
        self.trials = trials
        self.count = len(jax.tree.leaves(trials)[0])
        self._given = 0

    def take(self, most: int) -> np.ndarray:
        """The places of the next trials, at most so many."""
        first, self._given = self._given, min(self._given + most, self.count)
        return np.arange(first, self._given)


class CheckpointStore(Protocol):
    """Keeps the state of trials that take long, as columns of arrays with one row a trial."""

    def save(self, places: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Keep the state of the trials at these places of the queue in place of what was kept before."""
        ...

    def find(self, places: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Which of these places have a state that was kept, and these states."""
        ...


class Driver:
    """Iterate over it to train trials of a queue in `lanes` lanes until none is left; yields `FinishedTrials`.

    The host knows each lane's next recorded step, so a chunk ends where the first lane is due; only trials that reach a
    target or stop being finite end unannounced. They are seen one chunk later, since the host reads a chunk while the
    next one runs; where chunks end early it reads at once. It ends after a chunk once `stop` is set. A `keeper` is
    given the state of all lanes once one of them has trained for `every` seconds, and again after as many; and at a
    stop, where that saves more than SOME seconds. Raises MemoryError where the device is known to be too small.
    """

    def __init__(
        self,
        queue: TrialSource,
        lanes: int,
        block: int,
        records: RecordSchedule,
        stop: threading.Event | None = None,
        keeper: CheckpointStore | None = None,
        every: float = 300.0,
    ) -> None:
        self.queue, self.records = queue, records
        self.stop = stop or threading.Event()
        self.keeper, self.every = keeper, every
        self.programs = programs.compiled_programs(block, records.test_points)
        self.early = programs.awaited_ends(block) > 0
        self.on_the_way = self.programs if records.test else programs.compiled_programs(block, 0)
        self.tables = draw_cache_for(queue.trials, self.programs)
        limit = programs.memory_limit()
        if limit is not None and (needed := programs.memory_needed(self.programs, queue.trials, lanes)) > limit:
            raise MemoryError(f"{lanes} lanes take {needed:,} bytes, and the device has {limit:,}.")
        blank = self.programs.empty(programs.take_trials(queue.trials, np.zeros(lanes, np.int64)))
        self.lanes = jax.device_put(blank, programs.placement(lanes))
        self.n = np.broadcast_to(actual_size(queue.trials.data.n), queue.count)
        self.borders, self.kind = recorded_steps(queue.trials, records)
        self.ticket = np.full(lanes, EMPTY)
        self.step, self.pointer = np.zeros((2, lanes), np.int64)
        self.over = np.zeros(lanes, bool)
        self.since = np.zeros(lanes)
        self.given, self.ended = np.zeros((2, queue.count), bool)
        self.unread: deque[tuple[np.ndarray, np.ndarray | None, Any]] = deque()
        self.book = Recorder(lanes, self.borders.shape[1] + 1)
        self.chunk = 16

    def __iter__(self) -> Iterator[FinishedTrials]:
        running = self._settle() and self._advance()
        while (running or self.unread) and not self.stop.is_set():
            began = time.perf_counter()
            yield from self._read(keep=1 if running and not self.early else 0)
            self._pace(time.perf_counter() - began)
            if self._unsaved() > self.every:
                yield from self._save()
            running = self._settle() and self._advance()
        yield from self._read(keep=0)
        if self._unsaved() > SOME:
            yield from self._save()

    @property
    def places(self) -> np.ndarray:
        """Places in the queue of the trials that it was given and that have not ended."""
        return np.flatnonzero(self.given & ~self.ended)

    def _unsaved(self) -> float:
        """Seconds of training that a kill would cost now."""
        active = self.ticket != EMPTY
        return time.monotonic() - self.since[active].min() if self.keeper and active.any() else 0.0

    def _save(self) -> Iterator[FinishedTrials]:
        """Read all that is unread, then give the state of the lanes to the keeper."""
        yield from self._read(keep=0)
        active = np.flatnonzero(self.ticket != EMPTY)
        if self.keeper and len(active):
            leaves = [np.asarray(_plain(leaf))[active] for leaf in jax.tree.leaves(self.lanes.states)]
            host = {"step": self.step, "pointer": self.pointer, "over": self.over}
            columns = {f"state-{place}": leaf for place, leaf in enumerate(leaves)}
            columns |= {name: values[active] for name, values in host.items()} | self.book.save(active)
            self.keeper.save(self.ticket[active], columns)
            self.since[active] = time.monotonic()

    def _restore(self, lanes: np.ndarray, places: np.ndarray) -> None:
        """Let trials that were kept go on from there."""
        found, columns = self.keeper.find(places) if self.keeper else (np.zeros(0, int), {})
        if len(found) == 0:
            return
        lanes = lanes[found]
        leaves, structure = jax.tree.flatten(self.lanes.states)
        states = [_spread(columns[f"state-{place}"], lanes, leaf) for place, leaf in enumerate(leaves)]
        due = np.isin(np.arange(len(self.ticket)), lanes)
        self.lanes = self.programs.restore(self.lanes, jax.tree.unflatten(structure, states), due)
        self.step[lanes], self.pointer[lanes] = columns["step"], columns["pointer"]
        self.over[lanes] = columns["over"]
        self.unread.append((self.ticket.copy(), lanes, columns))  # after what is unread of the trials before them

    def _settle(self) -> bool:
        """Refill free lanes and measure the due ones, until every lane has steps to make; False where none has."""
        while True:
            self._refill()
            due = (self.ticket != EMPTY) & (self.over | (self.step >= self._border()))
            if not due.any():
                return bool((self.ticket != EMPTY).any())
            final = due & (self.over | (self.pointer + 1 >= self._border_count()))
            self._look(final, self.programs)
            self._look(due & ~final, self.on_the_way)
            self.pointer[due] += 1
            self.ticket[final] = EMPTY

    def _refill(self) -> None:
        free = np.flatnonzero(self.ticket == EMPTY)
        given = self.queue.take(len(free))
        if len(given) == 0:
            return
        free = free[: len(given)]
        self.ticket[free], self.given[given] = given, True
        self.step[free], self.pointer[free], self.over[free] = 0, 0, False
        due = np.isin(np.arange(len(self.ticket)), free)
        chosen = programs.take_trials(self.queue.trials, np.maximum(self.ticket, 0))
        self.lanes = self.programs.fill(self.lanes, chosen, due)
        self.since[free] = time.monotonic()
        self._restore(free, given)

    def _look(self, due: np.ndarray, programs: programs.Programs) -> None:
        if not due.any():
            return
        for some, tables, places in (self.tables if programs is self.programs else NoDrawCache()).of(due, self.ticket):
            self.unread.append((self.ticket.copy(), some, programs.look(self.lanes, some, tables, places)))

    def _advance(self) -> bool:
        active = self.ticket != EMPTY
        steps = min(self.chunk, int((self._border() - self.step)[active].min()))
        self.lanes, told = self.programs.advance(self.lanes, np.int32(steps))
        self.unread.append((self.ticket.copy(), None, told))
        self.step[active] += steps
        return True

    def _read(self, keep: int) -> Iterator[FinishedTrials]:
        while len(self.unread) > keep:
            ticket, due, found = self.unread.popleft()
            if due is not None and isinstance(found, dict):
                self.book.restore(due, found)
            elif due is None:
                same = (ticket == self.ticket) & (ticket != EMPTY)
                self.over |= (np.asarray(found.status) != Status.RUNNING) & same
                self.step = np.where(same, found.step, self.step) if self.early else self.step
            else:
                yield from self._record(ticket, np.flatnonzero(due), jax.device_get(found))

    def _record(self, ticket: np.ndarray, lanes: np.ndarray, found: Measurement) -> Iterator[FinishedTrials]:
        lanes = lanes[~self.ended[ticket[lanes]]]
        found = jax.tree.map(lambda leaf: leaf[lanes], found)
        points = self.records.test_points if "test_loss" in found.observables else 0
        self.book.add(lanes, found.step, columns(found, self.n[ticket[lanes]], points))
        last = found.status != Status.RUNNING
        if not last.any():
            return
        lanes, index = lanes[last], ticket[lanes[last]]
        self.ended[index] = True
        self.ticket[lanes[self.ticket[lanes] == index]] = EMPTY
        yield self.book.close(lanes, index, found.status[last], curves=self.records.points > 0)

    def _border(self) -> np.ndarray:
        return self.borders[self.kind[self.ticket], self.pointer]

    def _border_count(self) -> np.ndarray:
        return (self.borders < NEVER).sum(axis=1)[self.kind[self.ticket]]

    def _pace(self, seconds: float) -> None:
        """Chunks long enough to hide the host, short enough to refill soon. No result depends on it."""
        if seconds < CHUNK_SECONDS / 2:
            self.chunk *= 2
        elif seconds > 2 * CHUNK_SECONDS:
            self.chunk = max(1, self.chunk // 2)


def _plain(leaf: jax.Array) -> jax.Array:
    """A leaf as numbers: keys are opaque."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _spread(rows: np.ndarray, lanes: np.ndarray, like: jax.Array) -> Any:
    """Rows at the place of their lanes in an array like a leaf, zeros elsewhere."""
    plain = _plain(like)
    full = np.zeros(plain.shape, plain.dtype)
    full[lanes] = rows
    return full if plain is like else jax.random.wrap_key_data(jnp.asarray(full), impl=jax.random.key_impl(like))
