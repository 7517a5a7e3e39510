"""MIAdam: Adam whose average gradient is integrated several times in the first part of a training."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from sweep.optimizers.adaptive import B1, B2, EPS
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR
from sweep.spec import Scalar, lane, part, static


class Integrals(NamedTuple):
    """Updates made, both averages of Adam, and the integrals b_1, ..., b_k of the first."""

    count: Int[Array, ""]
    m: Any
    v: Any
    sums: tuple[Any, ...]


@part
class MIAdam(AbstractOptimizer):
    """Adam with b_1 <- kappa b_1 + m, b_i <- kappa b_i + b_{i-1} in place of m for `switch` updates.

    Jin et al. (arXiv 2412.12473), as its released code has it for orders 1 and 2: the step of
    the first `switch` updates is lr^lr_power b_k / (1 - b1^t) over Adam's denominator, with k =
    `order` and lr_power k + 1; afterwards it is Adam's own. The released third order keeps b_3 and
    then steps along m; here it steps along b_3.
    """

    elementwise: ClassVar[bool] = True
    scheduled: ClassVar[bool] = False

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc=B2)
    eps: Scalar = lane(1e-8, at_least=0, doc=EPS)
    order: int = static(
        1, at_least=1, at_most=3, doc="how often the average gradient is integrated"
    )
    kappa: Scalar = lane(0.98, at_least=0, below=1, doc="decay of an integral")
    switch: Scalar = lane(0, at_least=0, integer=True, doc="updates until plain Adam takes over")
    lr_power: Scalar | None = lane(
        None, above=0, doc="power of the step size before the switch; order + 1 by default"
    )

    def transform(self) -> optax.GradientTransformation:
        """Adam's averages, and the integrals before the switch."""
        exponent = self.order + 1 if self.lr_power is None else self.lr_power

        def init(params: Any) -> Integrals:
            zeros = optax.tree.zeros_like(params)
            return Integrals(jnp.zeros((), jnp.int32), zeros, zeros, (zeros,) * self.order)

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            m = optax.tree.update_moment(updates, state.m, self.b1, 1)
            v = optax.tree.update_moment_per_elem_norm(updates, state.v, self.b2, 2)
            count = jnp.asarray(optax.safe_increment(state.count))
            sums, below = [], m
            for total in state.sums:
                below = jax.tree.map(lambda total, new: self.kappa * total + new, total, below)
                sums.append(below)
            integrates = count <= jnp.asarray(self.switch)
            size = jnp.where(integrates, cast(Array, self.lr) ** exponent, self.lr)
            along = jax.tree.map(lambda b, m: jnp.where(integrates, b, m), below, m)
            along = optax.tree.bias_correction(along, self.b1, count)
            scale = optax.tree.bias_correction(v, self.b2, count)
            steps = jax.tree.map(lambda a, v: -size * (a / (jnp.sqrt(v) + self.eps)), along, scale)
            return steps, Integrals(count, m, v, tuple(sums))

        return optax.GradientTransformation(init, update)

    def resting(self) -> Any:
        """True unless eps = 0."""
        # Without eps the step of a weight with zero averages is 0 / 0.
        return self.eps > 0
