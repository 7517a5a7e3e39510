"""What a rule may ask of the objective besides the gradient at the current weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Key

from sweep.spec import Scalar

Weights = Any
"""The trained variables of a network, a gradient, or another vector in their place: a pytree."""


class Oracle(NamedTuple):
    """Values and derivatives of the objective on the batch of a step, the l2 term included.

    A transformation receives it as the extra argument `oracle` of its `update`, after optax's
    protocol of `GradientTransformationExtraArgs`. What it does not call is not computed. Everything
    is in the coordinates of the training, so a rule that combines gradients, and divides by `norm`,
    is exact in span coordinates; `hvp` is that of the weights in ambient coordinates only.

    Attributes:
        value: The objective at given weights.
        gradient: Its gradient there.
        norm: The Euclidean norm that weights or a gradient have as W, in any coordinates.
        hvp: The product of the Hessian at given weights with a vector.
        key: A key of random numbers for this step.
    """

    value: Callable[[Weights], Scalar]
    gradient: Callable[[Weights], Weights]
    norm: Callable[[Weights], Scalar]
    hvp: Callable[[Weights, Weights], Weights]
    key: Key[Array, ""]

    def through(self, change: Callable[[Weights], Weights]) -> Oracle:
        """The same questions for weights that stand transformed; `change` is its own inverse."""
        return Oracle(
            lambda weights: self.value(change(weights)),
            lambda weights: change(self.gradient(change(weights))),
            lambda weights: self.norm(change(weights)),
            lambda weights, vector: change(self.hvp(change(weights), change(vector))),
            self.key,
        )
