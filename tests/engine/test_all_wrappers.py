"""A trial with every wrapper at once, stopped in the middle and resumed, has the bits of one that nobody stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sweep.engine.driver import Driver
from sweep.engine.recorder import FinishedTrials, RecordSchedule
from sweep.engine.trial_source import TrialList
from tests.contracts.parts import batch, trial

KINDS = {
    "data": "spurious",
    "model": "pruned",
    "model_inner": "cnn",
    "objective": "label_noise",
    "objective_inner": "mixup",
    "objective_inner_inner": "logistic",
    "optimizer": "sassha",
    "schedule": "warmup",
    "curriculum": "expansion",
}
VALUES: dict[str, Any] = {
    "n": 24,
    "agreement": 0.7,
    "keep": 0.7,
    "odd": True,
    "bias": True,
    "label_noise": 0.1,
    "lazy": 3,
    "weight_decay": 0.1,
    "warmup": 5,
    "curriculum_warmup": 5,
    "curriculum_every": 4,
    "curriculum_add": 2,
    "batch_size": 5,
    "sampling": "stratified",
    "steps": 40,
}
RECORDS = RecordSchedule(points=6, test=True, test_points=40, metrics=("hessian_trace",))


class Kept:
    """Checkpoints in memory: what is saved first after so many steps is kept, and nothing later."""

    def __init__(self) -> None:
        self.saved: dict[int, dict[str, np.ndarray]] = {}

    def save(self, indices: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Keep a row for each trial, the first that lies in the middle."""
        for row, index in enumerate(indices.tolist()):
            if 7 <= columns["step"][row] < 33:
                one = {name: values[row : row + 1] for name, values in columns.items()}
                self.saved.setdefault(index, one)

    def find(self, indices: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The rows that are kept."""
        positions = [row for row, index in enumerate(indices.tolist()) if index in self.saved]
        if not positions:
            return np.zeros(0, np.int64), {}
        rows = [self.saved[int(indices[row])] for row in positions]
        return np.array(positions), {
            name: np.concatenate([row[name] for row in rows]) for name in rows[0]
        }


def drive(kept: Kept | None, seconds: float = 300.0) -> tuple[FinishedTrials, Driver]:
    """Two seeds in two lanes, in chunks of few steps."""
    trials = batch([trial(KINDS, **VALUES, seed=seed) for seed in (1, 2)])
    driver = Driver(TrialList(trials), 2, 1, RECORDS, None, kept, seconds)
    driver.chunk_steps = 3
    (found,) = driver
    return found, driver


@pytest.mark.thorough
def test_a_resumed_training_has_the_bits_of_one_that_was_not_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Driver, "_adapt_chunk_length", lambda self, seconds: None)
    whole, _ = drive(None)
    kept = Kept()
    drive(kept, seconds=-1.0)
    assert sorted(kept.saved) == [0, 1]
    assert all(7 <= int(row["step"][0]) < 33 for row in kept.saved.values())
    resumed, _ = drive(kept)
    assert whole.curves is not None and resumed.curves is not None
    for mine, other in ((whole.runs, resumed.runs), (whole.curves, resumed.curves)):
        assert mine.keys() == other.keys()
        for name in mine:
            if name != "seconds":
                np.testing.assert_array_equal(mine[name], other[name], err_msg=name)
    assert np.isfinite(np.asarray(whole.runs["hessian_trace"], float)).all()
    assert (np.asarray(whole.runs["steps"]) == 40).all()
