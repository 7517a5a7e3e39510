"""What a worker does: it trains what is left of a plan, slice by slice, beside others that do the same."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np

from sweep.engine.driver import Driver
from sweep.engine.recorder import FinishedTrials, RecordSchedule
from sweep.planning import plan as plans
from sweep.planning.bucket import Bucket
from sweep.planning.plan import Plan
from sweep.status import Status
from sweep.store import Checkpoints, Claims, Store, Writer, clear_checkpoints
from sweep.trial import Trial
from sweep.workers.progress import Progress

PATIENCE = 0.1, 5.0
"""Seconds between two looks at what others have done, once there is nothing left to claim: at first, and at most."""


class ClaimedSlices:
    """The slices that this worker has claimed, until all their trials are committed."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self._slice: dict[int, str] = {}
        self._left: Counter[str] = Counter()

    def take(self, name: str) -> bool:
        """Claim a slice; False where another process has it, or this one already."""
        return name not in self._left and self.claims.take(name)

    def keep(self, name: str, trials: np.ndarray) -> None:
        """Hold a slice until these trials of it are committed: it is given back at once where there are none."""
        self._slice |= dict.fromkeys(trials.tolist(), name)
        self._left[name] = len(trials)
        self._give_back(name)

    def committed(self, trials: np.ndarray) -> None:
        """Give slices back whose last trials these are."""
        for trial in trials.tolist():
            if name := self._slice.pop(trial, None):
                self._left[name] -= 1
                self._give_back(name)

    def _give_back(self, name: str) -> None:
        if self._left[name] == 0:
            del self._left[name]
            self.claims.release(name)


class TrialQueue:
    """A queue of the trials of a bucket that nobody else trains: it claims a slice when it runs out of trials."""

    def __init__(self, bucket: Bucket, held: ClaimedSlices, store: Store) -> None:
        self.bucket, self.held, self.store = bucket, held, store
        self.count = len(bucket.rows)
        self._trials: Trial | None = None
        self._slices = bucket.slices()
        self._ready: deque[int] = deque()

    @property
    def trials(self) -> Trial:
        """All trials of the bucket as one batch, made once there is something to train."""
        if self._trials is None:
            self._trials = self.bucket.trials()
        return self._trials

    def ids(self, places: np.ndarray) -> np.ndarray:
        """Ids of the trials at some places."""
        return self.bucket.source.ids(self.bucket.rows[places])[0]

    def claim(self, wanted: int) -> bool:
        """Have so many trials ready, if there are as many to claim; False where there are none."""
        while len(self._ready) < wanted and (found := next(self._slices, None)):
            name, places = found
            if self.held.take(name):
                left = self._left(places)
                self.held.keep(name, self.ids(left))
                self._ready.extend(left.tolist())
        return bool(self._ready)

    def take(self, most: int) -> np.ndarray:
        """Places of the next trials, at most so many."""
        self.claim(most)
        return np.array([self._ready.popleft() for _ in range(min(most, len(self._ready)))], np.int64)

    def give_back(self, places: np.ndarray) -> None:
        """Take some trials back, which are to be tried again."""
        self._ready.extendleft(places.tolist())

    def _left(self, places: np.ndarray) -> np.ndarray:
        """Which trials of a slice are not done, once it is claimed: others may have trained some of them."""
        return places[~self.store.has(self.ids(places))]


@dataclass(frozen=True)
class TrialCheckpoints:
    """Checkpoints of the trials of a supply; see `drive.Keeper`."""

    supply: TrialQueue
    checkpoints: Checkpoints

    def save(self, places: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Keep the state of these trials in place of what was kept before."""
        self.checkpoints.save({**columns, "trial": self.supply.ids(places)})

    def find(self, places: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Which of these trials have a state, and these states."""
        trials = self.supply.ids(places)
        columns = self.checkpoints.find(trials)
        if not columns:
            return np.zeros(0, np.int64), {}
        order = np.argsort(trials)
        return order[np.searchsorted(trials[order], columns["trial"])], columns


@dataclass
class Worker:
    """Trains a plan into a store. `turn` is (number, count) of this worker among those that start together."""

    plan: Plan
    store: Store
    claims: Claims
    writer: Writer
    progress: Progress
    turn: tuple[int, int] = (0, 1)
    checkpoint: float = 300.0

    def run(self, stop: threading.Event) -> None:
        """Train until every trial of the plan is in the store, whoever trains it, or `stop` is set."""
        held = ClaimedSlices(self.claims)
        self.writer.committed = held.committed
        clear_checkpoints(self.store.folder, self.store.done())
        left, patience = self.plan, PATIENCE[0]
        while not stop.is_set():
            busy = [self._train(bucket, held, stop) for bucket in self._in_turn(left)]
            self.writer.flush()
            left = plans.unfinished(left, self.store.done())
            if not left.left:
                clear_checkpoints(self.store.folder, self.store.done())
                return
            if not any(busy):
                if patience == PATIENCE[0] and self.turn[1] == 1:
                    self.progress.say(f"{left.left:,} trials are being trained by other processes; waiting for them.")
                stop.wait(patience)
                patience = min(2 * patience, PATIENCE[1])

    def _in_turn(self, plan: Plan) -> tuple[Bucket, ...]:
        """The buckets in an order in which workers begin with different ones, so that they compile for each other."""
        number, count = self.turn
        first = len(plan.buckets) * number // count
        return *plan.buckets[first:], *plan.buckets[:first]

    def _train(self, bucket: Bucket, held: ClaimedSlices, stop: threading.Event) -> bool:
        """Train what can be claimed of a bucket; False where there is nothing."""
        if stop.is_set() or not len(bucket.rows) or not (supply := TrialQueue(bucket, held, self.store)).claim(1):
            return False
        for size, ended in self._drive(supply, bucket, stop):
            self._write(size, bucket, ended)
            self.progress.advance(len(ended.index), int(ended.runs["steps"].sum()))
        return True

    def _drive(self, supply: TrialQueue, bucket: Bucket, stop: threading.Event) -> Iterator[tuple[int, FinishedTrials]]:
        """What ends, with the block it was trained in. Where memory is short, the bucket shrinks."""
        settings = self.plan.grid.settings
        records = RecordSchedule(settings.record_points, settings.record_test, settings.test_points)
        while supply.claim(1) and not stop.is_set():
            kept = TrialCheckpoints(supply, Checkpoints(self.store.folder, f"{bucket.id}-{bucket.block}"))
            drive: Driver | None = None
            try:
                drive = Driver(supply, bucket.lanes, bucket.block, records, stop, kept, self.checkpoint)
                for ended in drive:
                    yield bucket.block, ended
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                supply.give_back(drive.unfinished_trials if drive else np.zeros(0, np.int64))
                bucket, lost = self._shrunk(bucket, supply)
                yield from ((bucket.block, each) for each in lost)
            else:
                if kept.checkpoints.written and not stop.is_set():
                    self.writer.flush()
                    kept.checkpoints.clear()

    def _shrunk(self, bucket: Bucket, supply: TrialQueue) -> tuple[Bucket, list[FinishedTrials]]:
        """The bucket with fewer lanes; a trial that does not even fit alone is a row that says so."""
        smaller = bucket.smaller()
        what = f"The device has not enough memory for {bucket.lanes} lanes of {bucket.title}"
        if smaller:
            self.progress.say(f"{what}; going on with {smaller.lanes} in blocks of {smaller.block}.")
            return smaller, []
        self.progress.say(f"{what}: a row says so.")
        return bucket, [_too_large(supply.take(1))]

    def _write(self, block: int, bucket: Bucket, ended: FinishedTrials) -> None:
        rows = bucket.rows[ended.index]
        trial, problem = bucket.source.ids(rows)
        curves = None
        if ended.curves is not None:
            place = np.argsort(ended.index)[np.searchsorted(np.sort(ended.index), ended.curves["index"])]
            curves = {"trial": trial[place], **{name: each for name, each in ended.curves.items() if name != "index"}}
        runs = {"trial": trial, "problem": problem, **bucket.source.columns(rows), **ended.runs}
        self.writer.add(bucket.id, block, runs, curves)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _too_large(places: np.ndarray) -> FinishedTrials:
    """The row of a trial that did not fit."""
    return FinishedTrials(
        places, {"status": np.array([Status.OUT_OF_MEMORY.label], object), "steps": np.zeros(1, np.int64)}, None
    )
