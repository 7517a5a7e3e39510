"""Normalized margins of linear models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sweep.observables.base import AbstractObservable, Snapshot, smallest
from sweep.schema import ColumnInfo
from sweep.spec import Scalar


class NormalizedMargins(AbstractObservable):
    """The smallest margin divided by a norm of the weights (arXiv 2406.10650)."""

    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "margin_l2": ColumnInfo(
            "min_i y_i f(x_i) / ||w||_2 of a linear model",
            label="l2 margin",
            sense="more",
            explanation="The smallest y F(x) over the training points, over the Euclidean norm of "
            "the weights. Gradient descent is known to approach the largest one.",
        ),
        "margin_linf": ColumnInfo(
            "min_i y_i f(x_i) / ||w||_inf of a linear model",
            label="l-infinity margin",
            sense="more",
            explanation="The smallest y F(x) over the training points, over the largest weight. "
            "Adam without eps is known to approach the largest one.",
        ),
    }

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """Both margins of a linear model; `margin_linf` only where the largest weight is known."""
        # Other networks scale with a power of their weights, so a norm would not normalize them.
        if not snapshot.trial.model.linear or snapshot.margins is None:
            return {}
        margin = smallest(snapshot.trial, snapshot.margins)
        euclidean = {"margin_l2": margin / snapshot.weight_norm}
        if snapshot.largest_weight is None:
            return euclidean
        return euclidean | {"margin_linf": margin / snapshot.largest_weight}
