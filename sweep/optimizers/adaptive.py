"""Optimizers that scale each coordinate by its past gradients."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import optax

from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part

B1, B2 = "decay of the average gradient", "decay of the average squared gradient"
EPS = "added to the denominator"


@part
class Adam(AbstractOptimizer):
    """Adam (Kingma and Ba, arXiv 1412.6980, Algorithm 1): w <- w - lr m / (sqrt(v) + eps).

    m and v are bias-corrected. An l2 term belongs to the objective and so enters the gradient, as
    in arXiv 2108.11371, Equation (3.5).
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc=B2)
    eps: Scalar = lane(1e-8, at_least=0, doc=EPS)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.adam."""
        return optax.adam(self.schedule.of(self.lr), self.b1, self.b2, self.eps)

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero moments is 0 / 0.
        return self.eps > 0


@part
class AdamW(AbstractOptimizer):
    """Adam with decoupled decay: w <- w - lr (adam + weight_decay w).

    Loshchilov and Hutter, arXiv 1711.05101.
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    weight_decay: Scalar = lane(0.01, at_least=0, doc="decay of the weights, outside the gradient")
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc=B2)
    eps: Scalar = lane(1e-8, at_least=0, doc=EPS)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.adamw."""
        step_size = self.schedule.of(self.lr)
        decay = cast(float, self.weight_decay)
        return optax.adamw(step_size, self.b1, self.b2, self.eps, weight_decay=decay)

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero moments is 0 / 0.
        return self.eps > 0


@part
class RMSProp(AbstractOptimizer):
    """v <- decay v + (1 - decay) g^2, w <- w - lr g / sqrt(v + eps) (Tieleman and Hinton 2012).

    As in optax. torch.optim.RMSprop has a decay (alpha) of 0.99 by default and adds eps to the
    root, g / (sqrt(v) + eps). By the defaults its first step is 10 lr, ours 3.16 lr; at the same
    decay of 0.9 a first gradient of 1e-5 makes a step of 3.15 lr there and of 0.1 lr here.
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    decay: Scalar = lane(0.9, at_least=0, below=1, doc=B2)
    eps: Scalar = lane(1e-8, at_least=0, doc="added under the root")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.rmsprop."""
        return optax.rmsprop(self.schedule.of(self.lr), self.decay, self.eps)

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero moments is 0 / 0.
        return self.eps > 0


@part
class AdaGrad(AbstractOptimizer):
    """v <- v + g^2, w <- w - lr g / sqrt(v + eps) (Duchi, Hazan, Singer 2011).

    As in optax. torch.optim.Adagrad has v = 0 before the first gradient by default and adds eps to
    the root: by the defaults a first gradient of 1 makes a step of 1 lr there and of 0.953 lr here.
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    initial_accumulator: Scalar = lane(0.1, at_least=0, doc="v before the first gradient")
    eps: Scalar = lane(1e-7, at_least=0, doc="added under the root")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.adagrad."""
        return optax.adagrad(self.schedule.of(self.lr), self.initial_accumulator, self.eps)


@part
class Lion(AbstractOptimizer):
    """w <- w - lr (sign(b1 m + (1 - b1) g) + weight_decay w), m <- b2 m + (1 - b2) g.

    Chen et al., arXiv 2302.06675, Algorithm 2.
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    weight_decay: Scalar = lane(0.0, at_least=0, doc="decay of the weights, outside the gradient")
    b1: Scalar = lane(0.9, at_least=0, below=1, doc="weight of the past in the step")
    b2: Scalar = lane(0.99, at_least=0, below=1, doc=B1)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """optax.lion."""
        step_size, decay = self.schedule.of(self.lr), cast(float, self.weight_decay)
        return optax.lion(step_size, self.b1, self.b2, weight_decay=decay)
