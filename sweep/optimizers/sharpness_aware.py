"""Rules that take the gradient, or the Hessian too, at a worse point nearby."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from sweep.optimizers.adaptive import B1, EPS
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE
from sweep.optimizers.oracle import Oracle
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part, static

RHO = "distance at which the gradient is taken"


def ascend(params: Any, grads: Any, rho: Scalar, oracle: Oracle) -> Any:
    """w + rho g / ||g||: the weights at which the rules of this file look."""
    length = rho / (oracle.norm(grads) + 1e-12)
    return jax.tree.map(lambda w, g: w + length * g, params, grads)


@part
class SAM(AbstractOptimizer):
    """`inner` with the gradient at w + rho g / ||g|| in place of that at w.

    Foret et al., arXiv 2010.01412, Algorithm 1; rho = 0 is the inner rule.
    """

    inner: AbstractOptimizer = nested("optimizer", doc="the rule that gets the gradient")
    rho: Scalar = lane(0.05, at_least=0, doc=RHO)

    @property
    def rotation_equivariant(self) -> bool:  # type: ignore[override]
        """Whether the inner rule stays in the span of gradients and weights."""
        return self.inner.stays_in_span

    def resting(self) -> Any:
        """As for the inner rule: a weight without a gradient has none nearby either."""
        return self.inner.resting()

    def transform(self) -> optax.GradientTransformation:
        """The inner rule on another gradient."""
        rule = optax.with_extra_args_support(self.inner.transform())

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
            oracle: Oracle = extra["oracle"]
            there = oracle.gradient(ascend(params, updates, self.rho, oracle))
            return rule.update(there, state, params, **{**extra, "grad": there})

        return optax.GradientTransformationExtraArgs(rule.init, update)


class Curvature(NamedTuple):
    """Updates made, average gradient, average |diagonal of the Hessian|, its bias correction."""

    count: Int[Array, ""]
    m: Any
    hessian: Any
    correction: Float[Array, ""]


@part
class SASSHA(AbstractOptimizer):
    """Sharpness-aware descent with a lazily updated diagonal of the Hessian.

    Shin et al., arXiv 2502.18153, Algorithm 1. g and H are gradient and Hessian at w + rho g_0 /
    ||g_0||, with g_0 the gradient at w. Every `lazy`-th update, the first included, draws random
    signs z and D <- b2 D + (1 - b2) |z * H z|; m <- b1 m + (1 - b1) g; w <- w (1 - lr weight_decay)
    - lr (m / (1 - b1^t)) / (sqrt(D / (1 - b2^s)) + eps), s being the number of the last update that
    looked at H. The released code multiplies by H after it has put w back, which mixes activations
    at one point with weights at the other; here all is at the same point.
    """

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    rho: Scalar = lane(0.2, at_least=0, doc=RHO)
    lazy: int = static(10, at_least=1, doc="updates from one look at the Hessian to the next")
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc="decay of the average diagonal")
    eps: Scalar = lane(1e-4, at_least=0, doc=EPS)
    weight_decay: Scalar = lane(0.0, at_least=0, doc="decay of the weights, outside the gradient")
    schedule: AbstractSchedule = nested("schedule", Constant(), doc=SCHEDULE)

    def transform(self) -> optax.GradientTransformation:
        """The direction, decoupled decay, and the step size."""
        direction = optax.GradientTransformationExtraArgs(self._init, self._update)
        decay = optax.add_decayed_weights(self.weight_decay)  # type: ignore[arg-type]
        step_size = optax.scale_by_learning_rate(self.schedule.of(self.lr))
        return optax.chain(direction, decay, step_size)

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero averages is 0 / 0.
        return self.eps > 0

    @staticmethod
    def _init(params: Any) -> Curvature:
        zeros = optax.tree.zeros_like(params)
        one = jnp.ones((), jnp.result_type(*jax.tree.leaves(params)))
        return Curvature(jnp.zeros((), jnp.int32), zeros, zeros, one)

    def _update(
        self, updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, Curvature]:
        oracle: Oracle = extra["oracle"]
        there = ascend(params, updates, self.rho, oracle)
        count = jnp.asarray(optax.safe_increment(state.count))
        m = optax.tree.update_moment(oracle.gradient(there), state.m, self.b1, 1)

        def look() -> tuple[Any, Array]:
            signs = optax.tree.random_like(oracle.key, params, jax.random.rademacher)
            product = oracle.hvp(there, signs)
            diagonal = jax.tree.map(lambda z, h: jnp.abs(z * h), signs, product)
            hessian = optax.tree.update_moment(diagonal, state.hessian, self.b2, 1)
            return hessian, 1 - jnp.asarray(self.b2, state.correction.dtype) ** count

        is_due = state.count % self.lazy == 0
        hessian, correction = jax.lax.cond(is_due, look, lambda: (state.hessian, state.correction))
        along = optax.tree.bias_correction(m, self.b1, count)
        steps = jax.tree.map(lambda a, d: a / (jnp.sqrt(d / correction) + self.eps), along, hessian)
        return steps, Curvature(count, m, hessian, correction)
