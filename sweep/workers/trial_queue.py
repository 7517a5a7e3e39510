"""The trials of a bucket as a queue that several workers share: each claims slices of it."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from sweep.planning.bucket import Bucket
from sweep.store import Claims, Store
from sweep.trial import Trial


class ClaimedSlices:
    """The slices that this worker has claimed, until all their trials are committed."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self._slice_of_trial: dict[int, str] = {}
        self._uncommitted: Counter[str] = Counter()

    def take(self, name: str) -> bool:
        """Claim a slice; False if this or another process has claimed it already."""
        return name not in self._uncommitted and self.claims.take(name)

    def hold(self, name: str, trials: np.ndarray) -> None:
        """Hold a claimed slice until these trials (ids) are committed: not at all if empty."""
        self._slice_of_trial |= dict.fromkeys(trials.tolist(), name)
        self._uncommitted[name] = len(trials)
        self._release_if_done(name)

    def committed(self, trials: np.ndarray) -> None:
        """Note that trials (ids) are committed, and release slices that are done with them."""
        for trial in trials.tolist():
            name = self._slice_of_trial.pop(trial, None)
            if name is not None:
                self._uncommitted[name] -= 1
                self._release_if_done(name)

    def _release_if_done(self, name: str) -> None:
        # Not before the commit: whoever claims it next looks up what is done in the store.
        if self._uncommitted[name] == 0:
            del self._uncommitted[name]
            self.claims.release(name)


class TrialQueue:
    """A queue of the trials of a bucket; claims the next slice when it runs out of trials.

    Trials are named by their index in the rows of the bucket.

    Args:
        bucket: the trials.
        claimed: the slices that this worker has claimed, of any bucket.
        store: tells which trials are done.
    """

    def __init__(self, bucket: Bucket, claimed: ClaimedSlices, store: Store) -> None:
        self.bucket, self.claimed, self.store = bucket, claimed, store
        self.count = len(bucket.rows)
        self._trials: Trial | None = None
        self._slices = bucket.slices()
        self._ready: deque[int] = deque()

    @property
    def trials(self) -> Trial:
        """All trials of the bucket as one batch, built once there is something to train."""
        if self._trials is None:
            self._trials = self.bucket.trials()
        return self._trials

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Ids of some trials."""
        return self.bucket.source.ids(self.bucket.rows[indices])[0]

    def claim(self, count: int) -> bool:
        """Claim slices until `count` trials are ready; False if none is, since no slice is free."""
        # The driver asks after every chunk, and a worker that waits asks every few seconds.
        self.claimed.claims.note_progress()
        while len(self._ready) < count:
            next_slice = next(self._slices, None)
            if next_slice is None:
                break
            name, indices = next_slice
            if self.claimed.take(name):
                unfinished = self._unfinished(indices)
                self.claimed.hold(name, self.ids(unfinished))
                self._ready.extend(unfinished.tolist())
        return bool(self._ready)

    def take(self, limit: int) -> np.ndarray:
        """Indices of the next trials, at most `limit`; empty when none are left."""
        self.claim(limit)
        count = min(limit, len(self._ready))
        return np.array([self._ready.popleft() for _ in range(count)], np.int64)

    def give_back(self, indices: np.ndarray) -> None:
        """Put trials that were taken back in front, to be tried again."""
        self._ready.extendleft(indices.tolist())

    def _unfinished(self, indices: np.ndarray) -> np.ndarray:
        """The trials that are not done."""
        # Looked up after the claim: another worker may have done some just before it.
        return indices[~self.store.has(self.ids(indices))]
