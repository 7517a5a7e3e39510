"""Gradient descent and its relatives that move by the gradient or by its sign."""

from __future__ import annotations

from typing import ClassVar

import optax

from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part

LR, SCHEDULE = "step size", "how the step size changes over the training"


@part
class GradientDescent(AbstractOptimizer):
    """w <- w - lr g. `gd` and `sgd` are the same rule: `batch_size` of the training says which of them it is."""

    linear: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sgd without momentum."""
        return optax.sgd(self.schedule.of(self.lr))


@part
class Momentum(AbstractOptimizer):
    """Heavy-ball gradient descent (Polyak 1964): u <- momentum u + g, w <- w - lr u."""

    linear: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR)
    momentum: Scalar = lane(0.9, at_least=0, below=1, doc="decay of the velocity")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sgd with momentum."""
        return optax.sgd(self.schedule.of(self.lr), self.momentum)


@part
class Nesterov(AbstractOptimizer):
    """Nesterov's accelerated gradient (1983): u <- momentum u + g, w <- w - lr (g + momentum u)."""

    linear: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR)
    momentum: Scalar = lane(0.9, at_least=0, below=1, doc="decay of the velocity")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sgd with Nesterov momentum."""
        return optax.sgd(self.schedule.of(self.lr), self.momentum, nesterov=True)


@part
class SignSGD(AbstractOptimizer):
    """w <- w - lr sign(g) (Bernstein et al., arXiv 1802.04434)."""

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sign_sgd."""
        return optax.sign_sgd(self.schedule.of(self.lr))


@part
class Signum(AbstractOptimizer):
    """m <- momentum m + (1 - momentum) g, w <- w - lr sign(m) (Bernstein et al., arXiv 1802.04434)."""

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR)
    momentum: Scalar = lane(0.9, at_least=0, below=1, doc="decay of the average gradient")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.signum."""
        return optax.signum(self.schedule.of(self.lr), self.momentum)
