"""Norms of the weights and of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sweep.observables.base import AbstractObservable, Snapshot
from sweep.schema import ColumnInfo
from sweep.spec import Scalar


class Norms(AbstractObservable):
    """Norms of the gradient and of the weights."""

    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "grad_norm": ColumnInfo("Euclidean norm of the gradient, with the l2 term", scale="log"),
        "weight_norm": ColumnInfo("Euclidean norm of all weights"),
        "weight_max": ColumnInfo("largest absolute weight"),
    }

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """All three norms; `weight_max` only where the coordinates can compute it."""
        norms = {"grad_norm": snapshot.gradient_norm, "weight_norm": snapshot.weight_norm}
        # The largest weight depends on the basis, so `gram` coordinates may not have it.
        largest = snapshot.largest_weight
        return norms if largest is None else norms | {"weight_max": largest}
