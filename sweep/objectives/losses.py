"""Losses of the margin z = y f(x)."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.objectives.base import AbstractObjective
from sweep.spec import Scalar, lane, part

L2_FIELD = "strength of (l2/2)||w||^2 inside the gradient"


@part
class Logistic(AbstractObjective):
    """log(1 + exp(-z)): cross-entropy of the logits F_{+1} and F_{-1} (arXiv 2108.11371, (3.2))."""

    definition: ClassVar[str] = r"The loss of a point is $\log(1 + \exp(-y F(x)))$."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """log(1 + exp(-margin))."""
        # softplus: the formula as written overflows for very negative margins.
        return jax.nn.softplus(-margin)


@part
class Exponential(AbstractObjective):
    """exp(-z)."""

    definition: ClassVar[str] = r"The loss of a point is $\exp(-y F(x))$."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """exp(-margin)."""
        return jnp.exp(-margin)


@part
class Square(AbstractObjective):
    """(1 - z)^2 / 2 = (f(x) - y)^2 / 2 for labels of +-1."""

    definition: ClassVar[str] = r"The loss of a point is $(y F(x) - 1)^2 / 2$."

    l2: Scalar = lane(0.0, at_least=0, doc=L2_FIELD)

    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """(1 - margin)^2 / 2."""
        return 0.5 * (1.0 - margin) ** 2
