"""Losses of outputs and targets: several classes, and regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from sweep.data.points import PointInfo
from sweep.objectives.base import AbstractObjective, ObjectiveInputs, Outputs
from sweep.objectives.losses import L2_FIELD
from sweep.spec import Scalar, lane, part


@part
class CrossEntropy(AbstractObjective):
    """log sum_k exp(f_k) - f_y for a network of K outputs and labels 0, ..., K - 1.

    Labels of -1 and +1 are classes 0 and 1.
    """

    definition: ClassVar[str] = (
        "The loss of a point of class y is log Σ exp(F_k) - F_y over the outputs F of the network."
    )

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """The cross-entropy of each point."""
        logits = network(inputs.patches)
        return optax.softmax_cross_entropy_with_integer_labels(logits, classes(inputs.info))

    def mistakes(self, outputs: Outputs, info: PointInfo) -> Bool[Array, " points"]:
        """Points whose own output is not larger than all others, so that a tie is a mistake."""
        own = jnp.take_along_axis(outputs, classes(info)[:, None], axis=1)
        others = jnp.where(
            jnp.arange(outputs.shape[1]) == classes(info)[:, None], -jnp.inf, outputs
        )
        return ~(own[:, 0] > jnp.max(others, axis=1))


def classes(info: PointInfo) -> Int[Array, " points"]:
    """The observed classes of points as numbers from 0."""
    return jnp.maximum(info.label, 0.0).astype(jnp.int32)


@part
class SquaredError(AbstractObjective):
    """(f(x) - y)^2 / 2 for a network of one output and any number y; nothing is classified."""

    definition: ClassVar[str] = "The loss of a point with target y is (F(x) - y)² / 2."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """Half the squared error of each point."""
        return 0.5 * (network(inputs.patches) - inputs.info.label) ** 2


@part
class Reconstruction(AbstractObjective):
    """||x - f(x)||^2 / 2 for a network that gives back its input; labels play no part."""

    definition: ClassVar[str] = "The loss of a point x is ‖x - F(x)‖² / 2."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """Half the squared distance of each point from its reconstruction."""
        distance = inputs.patches - network(inputs.patches)
        return 0.5 * jnp.sum(distance**2, axis=(-2, -1))
