"""Where the lanes of a bucket get their trials from."""

from __future__ import annotations

from typing import Protocol

import jax
import numpy as np

from sweep.trial import Trial


class TrialSource(Protocol):
    """Hands out the trials of a bucket. A trial is named by its index in `trials`."""

    count: int

    @property
    def trials(self) -> Trial:
        """All trials of the bucket in one `Trial`, whose leaves have shape (count,)."""
        ...

    def take(self, limit: int, /) -> np.ndarray:
        """Indices of the next trials, at most `limit`; empty when none are left."""
        ...


class TrialList:
    """A `TrialSource` that hands out a batch of trials in order."""

    def __init__(self, trials: Trial) -> None:
        self.trials = trials
        self.count = len(jax.tree.leaves(trials)[0])
        self._position = 0

    def take(self, limit: int) -> np.ndarray:
        """Indices of the next trials, at most `limit`."""
        start = self._position
        self._position = min(start + limit, self.count)
        return np.arange(start, self._position)
