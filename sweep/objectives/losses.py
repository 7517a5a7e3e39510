"""Losses of the margin z = y f(x)."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.objectives.base import AbstractMarginLoss
from sweep.spec import Scalar, lane, part

L2_FIELD = "strength of (l2/2)||w||^2 inside the gradient"


@part
class Logistic(AbstractMarginLoss):
    """log(1 + exp(-z)): cross-entropy of the logits F_{+1} and F_{-1} (arXiv 2108.11371, (3.2))."""

    definition: ClassVar[str] = r"The loss of a point is $\log(1 + \exp(-y F(x)))$."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """log(1 + exp(-margin))."""
        # softplus: the formula as written overflows for very negative margins.
        return jax.nn.softplus(-margin)


@part
class Exponential(AbstractMarginLoss):
    """exp(-z)."""

    definition: ClassVar[str] = r"The loss of a point is $\exp(-y F(x))$."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """exp(-margin)."""
        return jnp.exp(-margin)


@part
class Square(AbstractMarginLoss):
    """(1 - z)^2 / 2 = (f(x) - y)^2 / 2 for labels of +-1."""

    definition: ClassVar[str] = r"The loss of a point is $(y F(x) - 1)^2 / 2$."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """(1 - margin)^2 / 2."""
        return 0.5 * (1.0 - margin) ** 2


@part
class Hinge(AbstractMarginLoss):
    """max(0, 1 - z), whose slope is 1 in absolute value or 0."""

    definition: ClassVar[str] = "The loss of a point is max(0, 1 - y F(x))."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """max(0, 1 - margin)."""
        return jnp.maximum(0.0, 1.0 - margin)


@part
class Ramp(AbstractMarginLoss):
    """min(1, max(0, 1 - z)): the hinge, cut off at 1, so that a point counts at most as an error."""

    definition: ClassVar[str] = "The loss of a point is max(0, 1 - y F(x)), at most 1."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """max(0, 1 - margin), at most 1."""
        return jnp.clip(1.0 - margin, 0.0, 1.0)


@part
class GeneralizedCrossEntropy(AbstractMarginLoss):
    """(1 - p^q) / q with p = 1 / (1 + exp(-z)) (Zhang and Sabuncu, arXiv 1805.07836, Equation (6)).

    q -> 0 is the logistic loss, q = 1 the probability of an error.
    """

    definition: ClassVar[str] = (
        "The loss of a point is (1 - p^q) / q, with p = 1 / (1 + exp(-y F(x))) and q = robustness."
    )

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)
    robustness: Scalar = lane(0.7, above=0, at_most=1, doc="exponent q of the loss")

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """(1 - p^q) / q."""
        # -expm1 keeps the digits of losses near 0.
        return -jnp.expm1(self.robustness * jax.nn.log_sigmoid(margin)) / self.robustness
