"""Gradient descent, with momentum and by sign."""

from __future__ import annotations

from typing import ClassVar, cast

import optax

from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.schedules import AbstractSchedule, Constant, StepSize
from sweep.spec import Scalar, lane, nested, part

LR, SCHEDULE = "step size", "how the step size changes over the training"
DECAY = "decay of the weights, outside the gradient; left out by default"


def decayed(
    direction: optax.GradientTransformation, step_size: StepSize, weight_decay: Scalar | None
) -> optax.GradientTransformation:
    """w <- w - lr (direction + weight_decay w): decoupled decay (arXiv 1711.05101, Algorithm 1).

    Args:
        direction: what makes the direction of a step from gradients.
        step_size: lr, a number or a function of the update.
        weight_decay: strength of the decay; None for no decay at all.
    """
    # None and 0 differ: without decay the compiled program has no product for it.
    if weight_decay is None:
        return optax.chain(direction, optax.scale_by_learning_rate(step_size))
    decay = optax.add_decayed_weights(cast(float, weight_decay))
    return optax.chain(direction, decay, optax.scale_by_learning_rate(step_size))


@part
class GradientDescent(AbstractOptimizer):
    """w <- w - lr g. `gd` and `sgd` are one rule; they differ by `batch_size` of the training."""

    linear: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    weight_decay: Scalar | None = lane(None, at_least=0, doc=DECAY)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sgd without momentum."""
        return decayed(optax.identity(), self.schedule.of(self.lr), self.weight_decay)


@part
class Momentum(AbstractOptimizer):
    """Heavy-ball gradient descent (Polyak 1964): u <- momentum u + g, w <- w - lr u.

    `weight_decay` is decoupled, w <- w - lr (u + weight_decay w). That of torch.optim.SGD is added
    to g and so enters u: at momentum 0.9 it shrinks the weights 10 times as fast, 1 / (1 - momentum)
    times in general. An `l2` term of the objective is that of torch.
    """

    linear: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    momentum: Scalar = lane(0.9, at_least=0, below=1, doc="decay of the velocity")
    weight_decay: Scalar | None = lane(None, at_least=0, doc=DECAY)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sgd with momentum."""
        return decayed(optax.trace(self.momentum), self.schedule.of(self.lr), self.weight_decay)


@part
class Nesterov(AbstractOptimizer):
    """Nesterov's accelerated gradient (1983): u <- momentum u + g, w <- w - lr (g + momentum u).

    `weight_decay` is decoupled, w <- w - lr (g + momentum u + weight_decay w). That of
    torch.optim.SGD is added to g and so enters u: at momentum 0.9 it shrinks the weights 10 times
    as fast, 1 / (1 - momentum) times in general. An `l2` term of the objective is that of torch.
    """

    linear: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    momentum: Scalar = lane(0.9, at_least=0, below=1, doc="decay of the velocity")
    weight_decay: Scalar | None = lane(None, at_least=0, doc=DECAY)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sgd with Nesterov momentum."""
        direction = optax.trace(self.momentum, nesterov=True)
        return decayed(direction, self.schedule.of(self.lr), self.weight_decay)


@part
class SignSGD(AbstractOptimizer):
    """w <- w - lr sign(g) (Bernstein et al., arXiv 1802.04434)."""

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.sign_sgd."""
        return optax.sign_sgd(self.schedule.of(self.lr))


@part
class Signum(AbstractOptimizer):
    """m <- momentum m + (1 - momentum) g, w <- w - lr sign(m).

    Bernstein et al., arXiv 1802.04434.
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    momentum: Scalar = lane(0.9, at_least=0, below=1, doc="decay of the average gradient")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.signum."""
        return optax.signum(self.schedule.of(self.lr), self.momentum)
