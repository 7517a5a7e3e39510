"""Results of launched programs that the host has not read yet.

jax runs programs asynchronously: reading a result waits for it. So the driver queues results and
reads them one chunk later. By then a lane may train another trial, hence each result carries the
trials that were in the lanes when it was launched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sweep.engine.programs import LaneStatus
from sweep.training.measure import Measurement


class UnreadStatus(NamedTuple):
    """Step and status of all lanes after a chunk."""

    trial_index: np.ndarray
    status: LaneStatus


class UnreadMeasurement(NamedTuple):
    """Measurements of all lanes, of which only those of `lanes` (indices) count."""

    trial_index: np.ndarray
    lanes: np.ndarray
    measurement: Measurement


class RestoredRecords(NamedTuple):
    """Columns of a checkpoint with the earlier records of the trials in `lanes` (indices).

    On the host already, but queued: the lanes may have unread records of their previous trials.
    """

    lanes: np.ndarray
    columns: dict[str, np.ndarray]


UnreadResult = UnreadStatus | UnreadMeasurement | RestoredRecords
