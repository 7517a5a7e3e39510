"""What an optimizer is: an optax gradient transformation built from the numbers of one lane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import optax


class AbstractOptimizer(ABC):
    """A rule that turns gradients into updates; its kind is compiled in, its numbers are lanes.

    What it declares says where it may train in fewer numbers than the weights have: `linear` where updates are linear
    in gradients and weights, `elementwise` where each weight moves by its own gradients alone, whatever the others do.
    """

    linear: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False

    def resting(self) -> Any:
        """Does a weight that is 0 and has no gradient stay 0 (a bool, or one a lane)? Then zeros may be padded."""
        return self.elementwise

    @abstractmethod
    def transform(self) -> optax.GradientTransformation:
        """The optax transformation, with the step size and the descent sign in it."""
