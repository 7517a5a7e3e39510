"""Generalized SignSGD: between the sign of an average gradient and Adam."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from sweep.optimizers.adaptive import B1, EPS
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part


class Averages(NamedTuple):
    """The average gradient, and the average of its own square."""

    m: Any
    v: Any


@part
class GeneralizedSignSGD(AbstractOptimizer):
    """m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) m^2, w <- w - lr m / (sqrt(v) + eps).

    Crawshaw et al., arXiv 2208.11195, Algorithm 1, in the form of its released code. v averages the
    square of m rather than of g, and neither is corrected for its start at zero, so the first update
    is lr / sqrt(1 - b2) times a sign; b2 = 0 is Signum. Its weight decay is the l2 term of the
    objective.
    """

    elementwise: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc="decay of the average of squared averages")
    eps: Scalar = lane(1e-8, at_least=0, doc=EPS)
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """The averages, then the step size."""

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            m = optax.tree.update_moment(updates, state.m, self.b1, 1)
            v = optax.tree.update_moment(m, state.v, self.b2, 2)
            return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + self.eps), m, v), Averages(m, v)

        direction = optax.GradientTransformation(_zeros, update)
        return optax.chain(direction, optax.scale_by_learning_rate(self.schedule.of(self.lr)))

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero averages is 0 / 0.
        return self.eps > 0


def _zeros(params: Any) -> Averages:
    return Averages(optax.tree.zeros_like(params), optax.tree.zeros_like(params))
