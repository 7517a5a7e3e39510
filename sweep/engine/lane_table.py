"""What the host knows about each lane: its trial, the trial's progress, and its next record."""

from __future__ import annotations

import time

import numpy as np

NO_TRIAL = -1
"""Value of `LaneTable.trial_index` for a free lane."""

# Names on disk differ from the attributes: checkpoints of earlier versions must stay readable.
CHECKPOINT_KEYS = {"step": "step", "pointer": "next_record", "over": "finished"}


class LaneTable:
    """One row per lane; every column is an array of shape (lanes,).

    Attributes:
        trial_index: Index of the lane's trial in the queue, NO_TRIAL if the lane is free.
        step: Updates of the trial that have been launched, or that it is known to have made.
        next_record: Position of the next measurement in the trial's schedule.
        finished: Whether the device has reported that the trial has ended.
        started_at: `time.monotonic()` when the trial started or was last checkpointed, in seconds.
    """

    def __init__(self, lanes: int) -> None:
        self.trial_index = np.full(lanes, NO_TRIAL)
        self.step = np.zeros(lanes, np.int64)
        self.next_record = np.zeros(lanes, np.int64)
        self.finished = np.zeros(lanes, bool)
        self.started_at = np.zeros(lanes)

    @property
    def occupied(self) -> np.ndarray:
        """Mask of the lanes that have a trial."""
        return self.trial_index != NO_TRIAL

    @property
    def free_lanes(self) -> np.ndarray:
        """Indices of the lanes without a trial."""
        return np.flatnonzero(~self.occupied)

    def mask(self, lanes: np.ndarray) -> np.ndarray:
        """Mask of the lanes with these indices."""
        return np.isin(np.arange(len(self.trial_index)), lanes)

    def assign(self, lanes: np.ndarray, trial_indices: np.ndarray) -> None:
        """Put a trial into each of some lanes, at step 0 of its schedule."""
        self.trial_index[lanes] = trial_indices
        self.step[lanes] = 0
        self.next_record[lanes] = 0
        self.finished[lanes] = False

    def release(self, lanes: np.ndarray) -> None:
        """Free some lanes, given by a mask or by indices."""
        self.trial_index[lanes] = NO_TRIAL

    def release_trials(self, lanes: np.ndarray, trial_indices: np.ndarray) -> None:
        """Free those of some lanes that still have the given trial and no later one."""
        self.release(lanes[self.trial_index[lanes] == trial_indices])

    def start_clock(self, lanes: np.ndarray) -> None:
        """Count unsaved training time of some lanes from now on."""
        self.started_at[lanes] = time.monotonic()

    def unsaved_seconds(self) -> float:
        """The longest training time of a lane that no checkpoint covers; 0 without trials."""
        if not self.occupied.any():
            return 0.0
        return time.monotonic() - self.started_at[self.occupied].min()

    def current(self, trial_index: np.ndarray) -> np.ndarray:
        """Mask of the lanes that still train the trial of an earlier `trial_index` column."""
        return (trial_index == self.trial_index) & (trial_index != NO_TRIAL)

    def checkpoint_columns(self, lanes: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of some lanes under the names that checkpoints have for the columns."""
        return {key: getattr(self, name)[lanes] for key, name in CHECKPOINT_KEYS.items()}

    def restore(self, lanes: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Set the rows of some lanes to those of a checkpoint."""
        for key, name in CHECKPOINT_KEYS.items():
            getattr(self, name)[lanes] = columns[key]
