"""A worker: trains what is left of a plan, slice by slice, beside others that do the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sweep.engine.driver import Driver
from sweep.engine.memory import is_out_of_memory
from sweep.engine.recorder import FinishedTrials, RecordSchedule
from sweep.planning import plan as plans
from sweep.planning.bucket import Bucket
from sweep.planning.plan import Plan
from sweep.status import Status
from sweep.store import Checkpoints, Claims, Store, Writer, clear_checkpoints
from sweep.wording import counted
from sweep.workers.progress import Progress
from sweep.workers.trial_checkpoints import TrialCheckpoints
from sweep.workers.trial_queue import ClaimedSlices, TrialQueue

SHORTEST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds between two looks at the store while other processes train the last trials."""


@dataclass
class Worker:
    """Trains a plan into a store.

    Attributes:
        plan: the trials.
        store: where rows are committed.
        claims: the claims of this process on slices of the plan.
        writer: collects rows and commits them to the store.
        progress: receives reports.
        turn: (number, count) of this worker among those that start together.
        checkpoint: seconds between checkpoints of running trials.
    """

    plan: Plan
    store: Store
    claims: Claims
    writer: Writer
    progress: Progress
    turn: tuple[int, int] = (0, 1)
    checkpoint: float = 300.0

    def run(self, stop: threading.Event) -> None:
        """Train until every trial of the plan is in the store, or `stop` is set.

        Slices that other processes have claimed are waited for: they may die and leave them.
        """
        claimed = ClaimedSlices(self.claims)
        self.writer.committed = claimed.committed
        self._clear_checkpoints()
        remaining, wait = self.plan, SHORTEST_WAIT
        while not stop.is_set():
            trained = [self._train(bucket, claimed, stop) for bucket in self._in_turn(remaining)]
            self.writer.flush()
            remaining = plans.unfinished(remaining, self.store.done())
            if not remaining.left:
                self._clear_checkpoints()
                return
            if not any(trained):
                if wait == SHORTEST_WAIT:
                    self._report_waiting(remaining.left)
                self.progress.tick()
                stop.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)

    def _clear_checkpoints(self) -> None:
        """Remove checkpoints of trials that are done, whoever wrote them."""
        clear_checkpoints(self.store.folder, self.store.done())

    def _report_waiting(self, count: int) -> None:
        # Workers of one parent wait for each other at the end of every sweep.
        if self.turn[1] == 1:
            waited = counted(count, "trial")
            self.progress.say(f"Waiting for {waited} that other processes are training.")

    def _in_turn(self, plan: Plan) -> tuple[Bucket, ...]:
        """The buckets, starting from a different one in each worker.

        So workers compile different programs, which the others then read from the cache.
        """
        number, count = self.turn
        first = len(plan.buckets) * number // count
        return *plan.buckets[first:], *plan.buckets[:first]

    def _train(self, bucket: Bucket, claimed: ClaimedSlices, stop: threading.Event) -> bool:
        """Train what can be claimed of a bucket; False if that is nothing."""
        if stop.is_set() or not len(bucket.rows):
            return False
        queue = TrialQueue(bucket, claimed, self.store)
        if not queue.claim(1):
            return False
        for block, finished in self._finished_trials(queue, bucket, stop):
            self._write(bucket, block, finished)
            self.progress.advance(len(finished.index), int(finished.runs["steps"].sum()))
        return True

    def _finished_trials(
        self, queue: TrialQueue, bucket: Bucket, stop: threading.Event
    ) -> Iterator[tuple[int, FinishedTrials]]:
        """Trials as they end, with the block they were trained in.

        Where memory is short, the lanes and then the block of the bucket shrink.
        """
        settings = self.plan.grid.settings
        records = RecordSchedule(
            settings.record_points,
            settings.record_test,
            settings.test_points,
            settings.validation_points,
        )
        while queue.claim(1) and not stop.is_set():
            # The states of a program fit no other: its id and block are part of the name.
            name = f"{bucket.id}-{bucket.block}"
            checkpoints = Checkpoints(self.store.folder, name)
            stored = TrialCheckpoints(queue, checkpoints, self.progress.say)
            driver: Driver | None = None
            try:
                driver = Driver(
                    queue, bucket.lanes, bucket.block, records, stop, stored, self.checkpoint
                )
                for finished in driver:
                    yield bucket.block, finished
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                queue.give_back(driver.unfinished_trials if driver else np.zeros(0, np.int64))
                bucket, unfit = self._shrink(bucket, queue)
                yield from ((bucket.block, trials) for trials in unfit)
            else:
                if stored.checkpoints.written and not stop.is_set():
                    # Rows first: a kill in between must leave one of the two.
                    self.writer.flush()
                    stored.checkpoints.clear()

    def _shrink(self, bucket: Bucket, queue: TrialQueue) -> tuple[Bucket, list[FinishedTrials]]:
        """The bucket with fewer lanes; if it has only one, the row of a trial that does not fit."""
        smaller = bucket.smaller()
        problem = (
            f"The device does not have enough memory for {bucket.lanes} lanes of {bucket.title}"
        )
        if smaller:
            new_size = f"{smaller.lanes} lanes in blocks of {smaller.block}"
            self.progress.say(f"{problem}; continuing with {new_size}.")
            return smaller, []
        self.progress.say(f"{problem}; its row has the status {Status.OUT_OF_MEMORY.label}.")
        return bucket, [_out_of_memory_row(queue.take(1))]

    def _write(self, bucket: Bucket, block: int, finished: FinishedTrials) -> None:
        """Hand rows of finished trials to the writer, with the values of their fields."""
        rows = bucket.rows[finished.index]
        trial, problem = bucket.source.ids(rows)
        runs = {"trial": trial, "problem": problem}
        runs |= {**bucket.source.columns(rows), **finished.runs}
        curves = None
        if finished.curves is not None:
            curves = _curves_by_trial(finished.index, trial, finished.curves)
        self.writer.add(bucket.id, block, runs, curves)


def _curves_by_trial(
    index: np.ndarray, trial: np.ndarray, curves: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Curves with the id of the trial in each row in place of its index in the queue."""
    order = np.argsort(index)
    positions = order[np.searchsorted(index[order], curves["index"])]
    columns = {name: values for name, values in curves.items() if name != "index"}
    return {"trial": trial[positions], **columns}


def _out_of_memory_row(index: np.ndarray) -> FinishedTrials:
    """The row of a trial that did not fit, given its index in the queue, (1,)."""
    status = np.array([Status.OUT_OF_MEMORY.label], object)
    return FinishedTrials(index, {"status": status, "steps": np.zeros(1, np.int64)}, None)
