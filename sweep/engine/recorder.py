"""When trials are recorded, and the records of running trials until they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sweep.observables import observable_columns
from sweep.status import Status
from sweep.trial import Trial

NEVER = np.iinfo(np.int64).max
"""Pads schedules to equal length: a step that no trial reaches."""


@dataclass(frozen=True)
class RecordSchedule:
    """When and on how many points a trial is measured.

    Attributes:
        points: Number of log-spaced steps at which to record; 0 for the end only.
        test: Whether records before the end have test columns. The end always has them.
        test_points: Number of fresh points.
        validation_points: Number of fresh points apart from those, recorded at the same steps.
    """

    points: int = 32
    test: bool = True
    test_points: int = 2000
    validation_points: int = 0

    def steps(self, last: int) -> np.ndarray:
        """The recorded steps of a trial of at most `last` steps: 0, log-spaced ones, and `last`."""
        if self.points == 0:
            return np.array([last])
        spaced = np.geomspace(1, max(last, 1), max(self.points - 1, 1))
        steps = np.rint(spaced).astype(np.int64)
        return np.unique(np.concatenate([[0], steps[steps < last], [last]]))


class RecordedSteps(NamedTuple):
    """The recorded steps of all trials of a queue.

    Trials with equal numbers of steps share a schedule: `schedules` has shape (schedules, longest),
    padded with NEVER, and `schedule_index` the row of each trial, shape (count,).
    """

    schedules: np.ndarray
    schedule_index: np.ndarray

    @classmethod
    def of_trials(cls, trials: Trial, records: RecordSchedule) -> RecordedSteps:
        """The recorded steps of a batch of trials."""
        last_steps, schedule_index = np.unique(trials.train.steps, return_inverse=True)
        schedules = [records.steps(int(last)) for last in last_steps]
        # At least one NEVER ends each row: a lane may look one past its last record.
        longest = max(map(len, schedules)) + 1
        padded = [
            np.pad(steps, (0, longest - len(steps)), constant_values=NEVER) for steps in schedules
        ]
        return cls(np.stack(padded), schedule_index)

    @property
    def longest(self) -> int:
        """Length of the longest schedule, padding included."""
        return self.schedules.shape[1]

    def next_steps(self, trial_index: np.ndarray, next_record: np.ndarray) -> np.ndarray:
        """The step of a record of each lane's trial; both arguments have shape (lanes,)."""
        return self.schedules[self.schedule_index[trial_index], next_record]

    def counts(self, trial_index: np.ndarray) -> np.ndarray:
        """Length of the schedule of each lane's trial (lanes,), which may end before."""
        return (self.schedules < NEVER).sum(axis=1)[self.schedule_index[trial_index]]


@dataclass(frozen=True)
class FinishedTrials:
    """Trials that ended together.

    Attributes:
        index: Index of each trial in the queue.
        runs: A column per outcome and observable, one row per trial.
        curves: Columns of all records, with `index` and `step`; None if they are not recorded.
    """

    index: np.ndarray
    runs: dict[str, np.ndarray]
    curves: dict[str, np.ndarray] | None


class Recorder:
    """The records of the trials in the lanes, until they end: at most `longest` per lane."""

    def __init__(self, lanes: int, longest: int) -> None:
        self.steps = np.zeros((lanes, longest), np.int64)
        names = observable_columns()
        self.values = {name: np.full((lanes, longest), np.nan) for name in names}
        self.measured_names: set[str] = set()
        self.length = np.zeros(lanes, np.int64)

    def add(self, lanes: np.ndarray, steps: Any, columns: dict[str, np.ndarray]) -> None:
        """Add a record to some lanes; it replaces the last one if that is of the same step.

        Args:
            lanes: Indices of the lanes, shape (rows,).
            steps: Step of each record, shape (rows,).
            columns: Observables by name, each of shape (rows,).
        """
        last = np.maximum(self.length[lanes] - 1, 0)
        # A trial that meets a target is measured again at a step that may be recorded already.
        is_repeated = (self.length[lanes] > 0) & (self.steps[lanes, last] == steps)
        position = np.where(is_repeated, last, self.length[lanes])
        self.steps[lanes, position] = steps
        self.measured_names |= set(columns)
        for name in self.measured_names:
            self.values[name][lanes, position] = columns.get(name, np.nan)
        self.length[lanes] = position + 1

    def checkpoint_columns(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        """The records of some lanes as columns of a checkpoint."""
        columns = {"length": self.length[lanes], "steps": self.steps[lanes]}
        return columns | {name: self.values[name][lanes] for name in self.measured_names}

    def restore(self, lanes: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Replace the records of some lanes by those of a checkpoint."""
        self.measured_names |= self.values.keys() & columns.keys()
        width = min(columns["steps"].shape[1], self.steps.shape[1])
        self.length[lanes] = columns["length"]
        self.steps[lanes, :width] = columns["steps"][:, :width]
        for name, values in self.values.items():
            # Columns that the checkpoint lacks must not keep values of the lane's previous trial.
            values[lanes, :width] = columns[name][:, :width] if name in columns else np.nan

    def finish(
        self, lanes: np.ndarray, trial_indices: np.ndarray, status: Any, curves: bool
    ) -> FinishedTrials:
        """The rows and records of trials that ended; their lanes have no records afterwards.

        Args:
            lanes: Indices of the lanes of the trials, shape (rows,).
            trial_indices: Indices of the trials in the queue, shape (rows,).
            status: How each trial ended, as values of `Status`, shape (rows,).
            curves: Whether to return the records too.
        """
        is_recorded = np.arange(self.steps.shape[1]) < self.length[lanes, None]
        finished = FinishedTrials(
            trial_indices,
            self._runs(lanes, is_recorded, status),
            self._curves(lanes, is_recorded, trial_indices) if curves else None,
        )
        self.length[lanes] = 0
        return finished

    def _runs(self, lanes: np.ndarray, is_recorded: np.ndarray, status: Any) -> dict[str, Any]:
        """The outcome of each trial, and the last record of every observable."""
        is_fitted = is_recorded & (self.values["train_error"][lanes] == 0)
        first_fitted = self.steps[lanes, is_fitted.argmax(axis=1)]
        last = self.length[lanes] - 1
        return {
            "status": np.array([Status(code).label for code in status], object),
            "steps": self.steps[lanes, last],
            "fit_step": np.ma.array(first_fitted, mask=~is_fitted.any(axis=1)),
            **{name: self.values[name][lanes, last] for name in self.measured_names},
        }

    def _curves(
        self, lanes: np.ndarray, is_recorded: np.ndarray, trial_indices: np.ndarray
    ) -> dict[str, np.ndarray]:
        """All records of the trials, one after another."""
        rows, positions = np.nonzero(is_recorded)
        columns = {"index": trial_indices[rows], "step": self.steps[lanes[rows], positions]}
        names = self.measured_names
        return columns | {name: self.values[name][lanes[rows], positions] for name in names}
