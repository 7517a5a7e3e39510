"""A growing set of trial ids."""

from __future__ import annotations

import numpy as np


class TrialIds:
    """A growing set of trial ids, int64, sorted only when it is queried."""

    def __init__(self) -> None:
        self._sorted, self._pending = np.empty(0, np.int64), list[np.ndarray]()

    def add(self, ids: np.ndarray) -> None:
        """Add ids, none of which is in the set yet."""
        self._pending.append(ids)

    def all(self) -> np.ndarray:
        """All ids, ascending."""
        if self._pending:
            merged = np.concatenate([self._sorted, *self._pending])
            self._sorted, self._pending = np.sort(merged, kind="stable"), []
        return self._sorted

    def has(self, ids: np.ndarray) -> np.ndarray:
        """For each of `ids`, whether it is in the set; bool."""
        members = self.all()
        if not len(members):
            return np.zeros(len(ids), bool)
        positions = np.searchsorted(members, ids)
        matches = np.take(members, positions, mode="clip") == ids
        return (positions < len(members)) & matches
