"""k-Adam: Adam's normalization applied k times over."""

from __future__ import annotations

from typing import Any, ClassVar

import optax

from sweep.optimizers.adaptive import B1, B2, EPS
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part, static


@part
class KAdam(AbstractOptimizer):
    """u_0 = g, u_i = Adam's direction for the gradients u_{i-1}, w <- w - lr u_k; k = 1 is Adam.

    Gould and Tanaka, arXiv 2411.05746, Section 5. All k have the decays b1 and b2 as they are given.
    |u| is bounded for every sequence of gradients if and only if b1^2 < b2 (Cauchy and Schwarz).
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    k: int = static(2, at_least=1, at_most=100, doc="how often Adam's normalization is applied")
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc=B2)
    eps: Scalar = lane(1e-8, at_least=0, doc=EPS)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """k times optax.scale_by_adam."""
        normalizations = [optax.scale_by_adam(self.b1, self.b2, self.eps) for _ in range(self.k)]
        step_size = optax.scale_by_learning_rate(self.schedule.of(self.lr))
        return optax.chain(*normalizations, step_size)

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero moments is 0 / 0.
        return self.eps > 0
