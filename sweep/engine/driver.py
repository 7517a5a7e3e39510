"""Drives the lanes of one bucket through its queue of trials; the host reads one chunk behind."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

import jax
import numpy as np

from sweep.engine import programs
from sweep.engine.draw_cache import NoDrawCache, draw_cache_for
from sweep.engine.lane_checkpoints import (
    CheckpointStore,
    fits,
    record_columns,
    state_columns,
    states_from_columns,
)
from sweep.engine.lane_mapping import awaited_ends
from sweep.engine.lane_table import LaneTable
from sweep.engine.recorder import FinishedTrials, RecordedSteps, Recorder, RecordSchedule
from sweep.engine.trial_source import TrialSource
from sweep.engine.unread import (
    RestoredRecords,
    UnreadMeasurement,
    UnreadResult,
    UnreadStatus,
)
from sweep.padding import actual_size
from sweep.status import Status
from sweep.training.measure import columns as measurement_columns

CHUNK_SECONDS = 0.03
"""Target duration of a chunk: long enough to hide the host, short enough to refill lanes soon."""

MIN_SAVED_SECONDS = 5.0
"""Seconds of training that are worth a checkpoint when a run is stopped."""


class Driver:
    """Trains the trials of a queue until none is left: an iterator of `FinishedTrials`.

    The host knows the next recorded step of each lane, so a chunk ends where the first lane is due
    for a measurement. Only trials that meet a target or diverge end unannounced: the host notices
    one chunk later, because it reads a chunk while the next one runs. Where chunks end early, it
    reads at once.

    Args:
        queue: The trials.
        lanes: How many trials to train at a time; a multiple of `block`.
        block: Lanes under one vmap; part of the bits of a result.
        records: When and on how many points trials are measured.
        stop: Once set, iteration ends after the current chunk.
        checkpoints: Where to save the states of long trials; None for nowhere. They are also saved
            at a stop that would lose more than MIN_SAVED_SECONDS.
        checkpoint_seconds: Seconds of training of a lane after which all lanes are saved.

    Raises:
        MemoryError: The device reports less memory than the lanes need.
    """

    def __init__(
        self,
        queue: TrialSource,
        lanes: int,
        block: int,
        records: RecordSchedule,
        stop: threading.Event | None = None,
        checkpoints: CheckpointStore | None = None,
        checkpoint_seconds: float = 300.0,
    ) -> None:
        self.queue, self.records = queue, records
        self.stop = stop or threading.Event()
        self.checkpoints, self.checkpoint_seconds = checkpoints, checkpoint_seconds
        self.programs = programs.compiled_programs(
            block, records.test_points, records.validation_points, records.metrics
        )
        # Programs that measure before the end of a trial: without fresh points if not recorded.
        without_test = programs.compiled_programs(block, 0, 0, records.metrics)
        self.record_programs = self.programs if records.test else without_test
        self.ends_chunks_early = awaited_ends(block) > 0
        self.draw_cache = draw_cache_for(queue.trials, self.programs)
        self._check_memory(lanes)
        self.lanes = self._empty_lanes(lanes)
        self.table = LaneTable(lanes)
        self.recorded_steps = RecordedSteps.of_trials(queue.trials, records)
        self.recorder = Recorder(lanes, self.recorded_steps.longest + 1)
        self.in_progress = np.zeros(queue.count, bool)
        self.unread: deque[UnreadResult] = deque()
        self.chunk_steps = 16

    def __iter__(self) -> Iterator[FinishedTrials]:
        running = self._start_chunk()
        while (running or self.unread) and not self.stop.is_set():
            started_at = time.perf_counter()
            yield from self._read(leave=1 if running and not self.ends_chunks_early else 0)
            self._adapt_chunk_length(time.perf_counter() - started_at)
            if self._unsaved_seconds() > self.checkpoint_seconds:
                yield from self._save()
            running = self._start_chunk()
        yield from self._read(leave=0)
        if self._unsaved_seconds() > MIN_SAVED_SECONDS:
            yield from self._save()

    @property
    def unfinished_trials(self) -> np.ndarray:
        """Indices in the queue of the trials that were taken from it and have not ended."""
        return np.flatnonzero(self.in_progress)

    def _check_memory(self, lanes: int) -> None:
        """Raise MemoryError if the device reports less memory than the lanes need."""
        limit = programs.memory_limit()
        if limit is None:
            return
        needed = programs.memory_needed(self.programs, self.queue.trials, lanes)
        if needed > limit:
            raise MemoryError(f"{lanes} lanes need {needed:,} bytes; the device has {limit:,}.")

    def _empty_lanes(self, lanes: int) -> programs.Lanes:
        """Lanes on the devices, none of them running."""
        trials = programs.take_trials(self.queue.trials, np.zeros(lanes, np.int64))
        return jax.device_put(self.programs.empty(trials), programs.placement(lanes))

    def _start_chunk(self) -> bool:
        """Prepare the lanes and launch the next chunk; False if no trial is left to train."""
        running = self._prepare_lanes()
        if running:
            self._advance()
        return running

    def _prepare_lanes(self) -> bool:
        """Refill free lanes and measure due ones until none is due; False if no trial is left."""
        while True:
            self._refill()
            table = self.table
            due_lanes = table.occupied & (table.finished | (table.step >= self._next_steps()))
            if not due_lanes.any():
                return bool(table.occupied.any())
            record_counts = self.recorded_steps.counts(table.trial_index)
            is_final = due_lanes & (table.finished | (table.next_record + 1 >= record_counts))
            self._measure(is_final, self.programs)
            self._measure(due_lanes & ~is_final, self.record_programs)
            table.next_record[due_lanes] += 1
            table.release(is_final)

    def _next_steps(self) -> np.ndarray:
        """The step at which each lane is due for a measurement (lanes,)."""
        return self.recorded_steps.next_steps(self.table.trial_index, self.table.next_record)

    def _refill(self) -> None:
        """Start new trials in the free lanes, or continue them from their checkpoints."""
        free_lanes = self.table.free_lanes
        trial_indices = self.queue.take(len(free_lanes))
        if len(trial_indices) == 0:
            return
        lanes = free_lanes[: len(trial_indices)]
        self.table.assign(lanes, trial_indices)
        self.in_progress[trial_indices] = True
        # The program takes a trial for every lane, and ignores those of lanes outside the mask.
        trials = programs.take_trials(self.queue.trials, np.maximum(self.table.trial_index, 0))
        self.lanes = self.programs.fill(self.lanes, trials, self.table.mask(lanes))
        self.table.start_clock(lanes)
        if self.checkpoints:
            self._restore(lanes, *self.checkpoints.find(trial_indices))

    def _restore(
        self, lanes: np.ndarray, positions: np.ndarray, columns: dict[str, np.ndarray]
    ) -> None:
        """Continue trials from a checkpoint.

        Args:
            lanes: Lanes that were just filled, shape (filled,).
            positions: Positions in `lanes` of the trials that have a checkpoint, shape (rows,).
            columns: Their checkpoint, one row per trial.
        """
        if len(positions) == 0 or not fits(self.lanes.states, columns):
            return
        lanes = lanes[positions]
        states = states_from_columns(self.lanes.states, lanes, columns)
        self.lanes = self.programs.restore(self.lanes, states, self.table.mask(lanes))
        self.table.restore(lanes, columns)
        self.unread.append(RestoredRecords(lanes, record_columns(columns)))

    def _measure(self, lane_mask: np.ndarray, lane_programs: programs.Programs) -> None:
        """Launch measurements of the masked lanes."""
        if not lane_mask.any():
            return
        trial_index = self.table.trial_index
        # The cached tables have the shape of `self.programs`.
        cache = self.draw_cache if lane_programs is self.programs else NoDrawCache()
        for batch in cache.batches(lane_mask, trial_index):
            measurement = lane_programs.measure(self.lanes, *batch)
            lanes = np.flatnonzero(batch.lane_mask)
            self.unread.append(UnreadMeasurement(trial_index.copy(), lanes, measurement))

    def _advance(self) -> None:
        """Launch a chunk that ends where the first lane is due for a measurement."""
        occupied = self.table.occupied
        until_record = (self._next_steps() - self.table.step)[occupied].min()
        steps = min(self.chunk_steps, int(until_record))
        self.lanes, status = self.programs.advance(self.lanes, np.int32(steps))
        self.unread.append(UnreadStatus(self.table.trial_index.copy(), status))
        self.table.step[occupied] += steps

    def _read(self, leave: int) -> Iterator[FinishedTrials]:
        """Read launched results in order, all but the last `leave`."""
        while len(self.unread) > leave:
            match self.unread.popleft():
                case UnreadStatus(trial_index, status):
                    self._update_table(trial_index, status)
                case UnreadMeasurement() as unread:
                    yield from self._record(unread)
                case RestoredRecords(lanes, columns):
                    self.recorder.restore(lanes, columns)

    def _update_table(self, trial_index: np.ndarray, status: programs.LaneStatus) -> None:
        """Note which trials a chunk ended, and how far the others have come."""
        current = self.table.current(trial_index)
        self.table.finished |= (np.asarray(status.status) != Status.RUNNING) & current
        # Lanes of a chunk that ended early have made fewer steps than were launched.
        if self.ends_chunks_early:
            self.table.step = np.where(current, status.step, self.table.step)

    def _record(self, unread: UnreadMeasurement) -> Iterator[FinishedTrials]:
        """Add a measurement to the records, and yield the trials that have ended."""
        # A lane may have been measured once more before the host noticed that its trial had ended.
        lanes = unread.lanes[self.in_progress[unread.trial_index[unread.lanes]]]
        trial_indices = unread.trial_index[lanes]
        fetched = jax.device_get(unread.measurement)
        measured = jax.tree.map(lambda leaf: leaf[lanes], fetched)
        # Records before the end may have no fresh points.
        records = self.records
        test_points = records.test_points if "test_loss" in measured.observables else 0
        validated = "validation_loss" in measured.observables
        validation_points = records.validation_points if validated else 0
        counts = np.broadcast_to(actual_size(self.queue.trials.data.n), self.queue.count)
        groups = self.queue.trials.data.groups
        columns = measurement_columns(
            measured, counts[trial_indices], test_points, validation_points, groups
        )
        self.recorder.add(lanes, measured.step, columns)
        has_ended = measured.status != Status.RUNNING
        if not has_ended.any():
            return
        lanes, trial_indices = lanes[has_ended], trial_indices[has_ended]
        self.in_progress[trial_indices] = False
        self.table.release_trials(lanes, trial_indices)
        status, curves = measured.status[has_ended], self.records.points > 0
        yield self.recorder.finish(lanes, trial_indices, status, curves)

    def _unsaved_seconds(self) -> float:
        """Seconds of training that would be lost if the process were killed now."""
        return self.table.unsaved_seconds() if self.checkpoints else 0.0

    def _save(self) -> Iterator[FinishedTrials]:
        """Read all results, then save the states of the lanes."""
        yield from self._read(leave=0)
        lanes = np.flatnonzero(self.table.occupied)
        if self.checkpoints and len(lanes):
            columns = state_columns(self.lanes.states, lanes)
            columns |= self.table.checkpoint_columns(lanes)
            columns |= self.recorder.checkpoint_columns(lanes)
            self.checkpoints.save(self.table.trial_index[lanes], columns)
            self.table.start_clock(lanes)

    def _adapt_chunk_length(self, seconds: float) -> None:
        """Adapt the length of chunks to CHUNK_SECONDS. No result depends on it."""
        if seconds < CHUNK_SECONDS / 2:
            self.chunk_steps *= 2
        elif seconds > 2 * CHUNK_SECONDS:
            self.chunk_steps = max(1, self.chunk_steps // 2)
