"""The interface of optimizers: an optax transformation built from the numbers of one lane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import optax


class AbstractOptimizer(ABC):
    """A rule that turns gradients into updates; its kind is compiled in, its numbers are lanes.

    Three declarations say in which coordinates it may train with fewer numbers than W has, a fourth
    whether its step size may change.
    """

    linear: ClassVar[bool] = False
    """True where updates are linear in gradients and weights: span and gram coordinates."""

    rotation_equivariant: ClassVar[bool] = False
    """True where updates combine gradients and weights by factors that depend on their norms alone,
    asked of the oracle: span and gram coordinates too."""

    elementwise: ClassVar[bool] = False
    """True where each weight moves by its own gradients alone: support coordinates."""

    @property
    def stays_in_span(self) -> bool:
        """True where W moves within the span of the training vectors and its initial value."""
        return self.linear or self.rotation_equivariant

    scheduled: ClassVar[bool] = True
    """False where the step size is one number for the whole training."""

    def resting(self) -> Any:
        """True where a zero weight without gradient stays zero, so that padding may be added.

        A bool, or an array with one for each lane.
        """
        return self.elementwise

    @abstractmethod
    def transform(self) -> optax.GradientTransformation:
        """The optax transformation, with the step size and the descent sign in it."""
