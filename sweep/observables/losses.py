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
            explanation="Share of fresh points that a network gets wrong; an output of exactly 0 "
            "is wrong for both labels. Guessing gives 0.5. More than that, without ties, means "
            "that the network has learned the opposite of the feature.",
        ),
        "test_ties": ColumnInfo(
            "share of fresh points whose output is exactly 0, which count as errors",
            label="test ties",
            sense="less",
            explanation="Share of fresh points on which the output is exactly 0. A network that "
            "collapsed to zero has 1, and with it a test error of 1: it has learned nothing.",
        ),
        "validation_loss": ColumnInfo(
            "mean loss on validation points, drawn apart from the test points",
            sense="less",
            scale="log",
        ),
        "validation_error": ColumnInfo(
            "share of validation points with margin <= 0; they are drawn apart from the test points",
            sense="less",
            explanation="Share of validation points that a network gets wrong. They have the law "
            "of the test points and are drawn apart from them, so that a step size may be chosen "
            "by them.",
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
