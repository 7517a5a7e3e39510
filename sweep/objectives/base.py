"""The interface of objectives: a loss of the margin, and an l2 term inside the gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Array, Float

from sweep.spec import Scalar


class AbstractObjective(ABC):
    """mean_i loss(y_i margin_i) + (l2 / 2) ||w||^2 over all weights. Has the lane field `l2`."""

    l2: Scalar

    @abstractmethod
    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """Loss of each point; `margin` is already multiplied by its label: y f(x)."""
