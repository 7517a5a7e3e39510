"""Gradient descent with clipped gradients."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE, decayed
from sweep.optimizers.oracle import Oracle
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part


@part
class DeltaClip(AbstractOptimizer):
    """w <- w - lr h (g + weight_decay w), h = min(1, max(delta, gamma / ||g||)); h = 0 where g = 0.

    delta-regularized clipping (Tucat et al., arXiv 2404.08624, Algorithm 1). ||g|| is the norm of
    the gradient with an l2 term of the objective, but without the decay. delta = 1 and gamma = inf
    are gradient descent; delta = 0 is standard clipping of the gradient.
    """

    rotation_equivariant: ClassVar[bool] = True

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    gamma: Scalar = lane(0.1, above=0, doc="norm above which a gradient is clipped")
    delta: Scalar = lane(0.001, at_least=0, at_most=1, doc="least factor of a clipped step")
    weight_decay: Scalar = lane(0.0, at_least=0, doc="decay of the weights, scaled like the step")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """The clipped direction, then the step size."""

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
            oracle: Oracle = extra["oracle"]
            norm = oracle.norm(updates)
            factor = jnp.minimum(1.0, jnp.maximum(self.delta, self.gamma / norm))
            factor = jnp.where(norm > 0, factor, 0.0)
            step = jax.tree.map(lambda g, w: factor * (g + self.weight_decay * w), updates, params)
            return step, state

        clipped = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
        return decayed(clipped, self.schedule.of(self.lr), None)

    def resting(self) -> bool:
        """True: the factor is the same for all weights."""
        return True
