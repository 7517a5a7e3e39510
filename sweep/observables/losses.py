"""Losses and error rates on the training set and on fresh points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sweep.observables.base import AbstractObservable, Snapshot
from sweep.schema import ColumnInfo
from sweep.spec import Scalar


class Losses(AbstractObservable):
    """Mean losses and error rates.

    Only the training loss is measured here; `training.measure` adds the other columns.
    """

    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "train_loss": ColumnInfo(
            "mean training loss, without the l2 term", sense="less", scale="log"
        ),
        "train_error": ColumnInfo(
            "share of training points with margin <= 0 against the label the learner saw",
            sense="less",
        ),
        "test_loss": ColumnInfo("mean loss on fresh points", sense="less", scale="log"),
        "test_error": ColumnInfo(
            "share of fresh points with margin <= 0",
            sense="less",
            explanation="Share of fresh points that a network gets wrong. Guessing gives 0.5; more "
            "than that means that the network has learned the opposite of the feature.",
        ),
        "generalization_gap": ColumnInfo(
            "test_error - train_error",
            sense="signed",
            explanation="Test error minus training error: how much worse on fresh points.",
        ),
    }

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """The column `train_loss`; `training.measure` adds the other columns."""
        # Errors are counted on the device and divided on the host, where the quotient is exact.
        return {"train_loss": snapshot.loss}
