"""What is recorded of trials on their way, and what is told of them when they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep.observables import observable_columns
from sweep.status import Status
from sweep.trial import Trial

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class RecordSchedule:
    """When and on how much a trial is measured: at `points` log-spaced steps, on `test_points` fresh points.

    `test` says whether the records on the way have test columns; the end of a trial is always measured on fresh points.
    """

    points: int = 32
    test: bool = True
    test_points: int = 2000

    def steps(self, last: int) -> np.ndarray:
        """The recorded steps of a trial of at most `last` steps: 0, log-spaced ones, `last`; `last` alone for none."""
        if self.points == 0:
            return np.array([last])
        spaced = np.rint(np.geomspace(1, max(last, 1), max(self.points - 1, 1))).astype(np.int64)
        return np.unique(np.concatenate([[0], spaced[spaced < last], [last]]))


@dataclass(frozen=True)
class FinishedTrials:
    """Trials that ended together: `index` is their place in the queue.

    `runs` has a column for each outcome and observable, one row a trial; `curves` the records, with `index` and `step`,
    and is None where none are kept.
    """

    index: np.ndarray
    runs: dict[str, np.ndarray]
    curves: dict[str, np.ndarray] | None


def recorded_steps(trials: Trial, records: RecordSchedule) -> tuple[np.ndarray, np.ndarray]:
    """Recorded steps for each distinct number of steps (padded with NEVER), and which of them a trial has."""
    lasts, kind = np.unique(trials.train.steps, return_inverse=True)
    steps = [records.steps(int(last)) for last in lasts]
    longest = max(map(len, steps)) + 1
    return np.stack([np.pad(each, (0, longest - len(each)), constant_values=NEVER) for each in steps]), kind


class Recorder:
    """The records of the trials that are in the lanes, until they end."""

    def __init__(self, lanes: int, longest: int) -> None:
        self.steps = np.zeros((lanes, longest), np.int64)
        self.values = {name: np.full((lanes, longest), np.nan) for name in observable_columns()}
        self.known: set[str] = set()
        self.length = np.zeros(lanes, np.int64)

    def add(self, lanes: np.ndarray, steps: Any, found: dict[str, np.ndarray]) -> None:
        """A record of each lane; it takes the place of one of the same step."""
        last = np.maximum(self.length[lanes] - 1, 0)
        again = (self.length[lanes] > 0) & (self.steps[lanes, last] == steps)
        place = np.where(again, last, self.length[lanes])
        self.steps[lanes, place] = steps
        self.known |= set(found)
        for name in self.known:
            self.values[name][lanes, place] = found.get(name, np.nan)
        self.length[lanes] = place + 1

    def save(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        """The records of these lanes as columns."""
        columns = {"length": self.length[lanes], "steps": self.steps[lanes]}
        return columns | {name: self.values[name][lanes] for name in self.known}

    def restore(self, lanes: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Take the records of such columns."""
        self.known |= self.values.keys() & columns.keys()
        width = min(columns["steps"].shape[1], self.steps.shape[1])
        self.length[lanes] = columns["length"]
        self.steps[lanes, :width] = columns["steps"][:, :width]
        for name, values in self.values.items():  # also over what the trial before in the lane has left
            values[lanes, :width] = columns[name][:, :width] if name in columns else np.nan

    def close(self, lanes: np.ndarray, index: np.ndarray, status: Any, curves: bool) -> FinishedTrials:
        """What is told of the trials in these lanes, which are then blank again."""
        recorded = np.arange(self.steps.shape[1]) < self.length[lanes, None]
        fitted = recorded & (self.values["train_error"][lanes] == 0)
        last = self.length[lanes] - 1
        which, place = np.nonzero(recorded)
        self.length[lanes] = 0
        runs = {
            "status": np.array([Status(each).label for each in status], object),
            "steps": self.steps[lanes, last],
            "fit_step": np.ma.array(self.steps[lanes, fitted.argmax(axis=1)], mask=~fitted.any(axis=1)),
            **{name: self.values[name][lanes, last] for name in self.known},
        }
        records = {"index": index[which], "step": self.steps[lanes[which], place]}
        records |= {name: self.values[name][lanes[which], place] for name in self.known}
        return FinishedTrials(index, runs, records if curves else None)
