"""The interface of objectives: losses of points, and an l2 term inside the gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int, Key

from sweep.data.points import PointInfo
from sweep.spec import Scalar

Outputs = Float[Array, "points ..."]
"""What a network gives for points: a margin each, or any array."""


class ObjectiveInputs(NamedTuple):
    """A batch as an objective sees it.

    Attributes:
        patches: Responses of the filters to the patches of the points, or the patches themselves.
        info: What is known of the points.
        weight: How much each point counts in the mean; None where all count the same.
        step: Updates made so far.
        key: The key of random numbers of this step; None where the objective is measured.
    """

    patches: Float[Array, "points P units"]
    info: PointInfo
    weight: Float[Array, " points"] | None = None
    step: Int[Array, ""] | int = 0
    key: Key[Array, ""] | None = None


class AbstractObjective(ABC):
    """mean_i loss_i + (l2 / 2) ||w||^2 over all weights. Has the lane field `l2`."""

    l2: Scalar

    @property
    def classifies(self) -> bool:
        """True where points are right or wrong."""
        return type(self).mistakes is not AbstractObjective.mistakes

    @abstractmethod
    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """Loss of each point.

        Args:
            network: A function from patches to outputs; it may be called more than once.
            inputs: The points.
        """

    def mistakes(self, outputs: Outputs, info: PointInfo) -> Bool[Array, " points"] | None:
        """Which points are misclassified; None, as by default, where nothing is classified."""
        return None


class AbstractMarginLoss(AbstractObjective):
    """A loss of the margin y f(x), for labels y of +-1 and one output a point."""

    @abstractmethod
    def loss(self, margin: Float[Array, "*points"]) -> Float[Array, "*points"]:
        """Loss of each point; `margin` is already multiplied by its label: y f(x)."""

    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """The loss of each margin."""
        return self.loss(inputs.info.label * network(inputs.patches))

    def mistakes(self, outputs: Outputs, info: PointInfo) -> Bool[Array, " points"]:
        """Margins that are not positive; one that is not a number is a mistake."""
        return ~(info.label * outputs > 0)
