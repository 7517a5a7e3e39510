"""Errors of the groups of a data model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from sweep.data.base import PointInfo
from sweep.observables.base import AbstractObservable, Snapshot
from sweep.schema import ColumnInfo
from sweep.spec import Scalar
from sweep.trial import Trial


class GroupErrors(AbstractObservable):
    """Training and test errors of each group of points, and the largest test error of a group.

    `training.measure` counts them, as it counts all errors.
    """

    columns: ClassVar[Mapping[str, ColumnInfo]] = {}

    @classmethod
    def columns_of(cls, trial: Trial) -> Mapping[str, ColumnInfo]:
        """Two columns for each group of the data model, and `worst_error`."""
        if not trial.data.groups or not trial.objective.classifies:
            return {}
        errors = {
            f"{which}_error_{group}": ColumnInfo(
                f"share of {points} points of the {group} that are misclassified",
                label=f"{which} error of the {group}",
                sense="less",
            )
            for which, points in (("train", "training"), ("test", "fresh"))
            for group in trial.data.groups
        }
        worst = ColumnInfo("largest test error of a group", label="worst group error", sense="less")
        return {**errors, "worst_error": worst}

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """Nothing: errors are counted on the device and divided on the host."""
        return {}


def count_groups(
    trial: Trial, info: PointInfo, mistakes: Bool[Array, " points"], counted: Bool[Array, " points"]
) -> Int[Array, "groups 2"] | None:
    """Points of each group, and how many are misclassified; None where there are no groups.

    Args:
        trial: The trial.
        info: What is known of the points.
        mistakes: Whether each is misclassified.
        counted: Whether each counts at all.
    """
    groups = trial.data.groups
    if not groups:
        return None
    member = (trial.data.group(info)[:, None] == jnp.arange(len(groups))) & counted[:, None]
    wrong = member & mistakes[:, None]
    return jnp.stack([jnp.sum(member, axis=0), jnp.sum(wrong, axis=0)], axis=1)
