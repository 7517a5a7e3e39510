"""What an optimizer is: an optax gradient transformation built from the numbers of one lane."""

from __future__ import annotations

from abc import ABC, abstractmethod

import optax


class AbstractOptimizer(ABC):
    """A rule that turns gradients into updates; its kind is compiled in, its numbers are lanes."""

    @abstractmethod
    def transform(self) -> optax.GradientTransformation:
        """The optax transformation, with the step size and the descent sign in it."""
