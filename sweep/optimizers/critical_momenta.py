"""Adam with critical momenta: past averages of large gradients push on."""

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


class Momenta(NamedTuple):
    """Updates made, both averages, and the buffer.

    Leaves of `buffer` have a leading axis of slots; `priorities` are 0 where a slot is empty.
    """

    count: Int[Array, ""]
    m: Any
    v: Any
    buffer: Any
    priorities: Float[Array, " slots"]


@part
class CriticalMomenta(AbstractOptimizer):
    """Adam along M = m + the mean of a buffer of past m, whose slots keep those of large gradients.

    Malviya et al., arXiv 2307.09638, Algorithm 1, as its released code has it: the first update puts
    g into the buffer and moves nothing; each later one computes m and M, puts m into the buffer
    if a slot is empty or the gradient's norm exceeds the smallest priority, and averages M^2 in v.
    Priorities are the norms at insertion times `decay` for each update since. The norm is that of
    all weights; the released code adds the norms of tensors. Without slots v still averages m^2,
    not g^2.
    """

    lr: Scalar = lane(above=0, doc=LR, label=LR)
    b1: Scalar = lane(0.9, at_least=0, below=1, doc=B1)
    b2: Scalar = lane(0.999, at_least=0, below=1, doc="decay of the average of squared directions")
    eps: Scalar = lane(1e-8, at_least=0, doc=EPS)
    slots: int = static(5, at_least=0, doc="momenta that the buffer holds")
    decay: Scalar = lane(0.7, at_least=0, at_most=1, doc="factor of the priorities at each update")
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

    def _init(self, params: Any) -> Momenta:
        zeros = optax.tree.zeros_like(params)
        buffer = jax.tree.map(lambda leaf: jnp.zeros((self.slots, *leaf.shape), leaf.dtype), zeros)
        norm_type = jnp.result_type(*jax.tree.leaves(params))
        priorities = jnp.zeros(self.slots, norm_type)
        return Momenta(jnp.zeros((), jnp.int32), zeros, zeros, buffer, priorities)

    def _update(
        self, updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, Momenta]:
        """Adam's direction along M; nothing at the first update, whose averages stay zero."""
        oracle: Oracle = extra["oracle"]
        count = jnp.asarray(optax.safe_increment(state.count))
        is_first = count == 1
        m = optax.tree.update_moment(updates, state.m, self.b1, 1)
        m = jax.tree.map(lambda leaf: jnp.where(is_first, 0, leaf), m)
        filled = jnp.minimum(state.count, self.slots)
        along = jax.tree.map(
            lambda m, slots: m + jnp.sum(slots, axis=0) / jnp.maximum(filled, 1), m, state.buffer
        )
        along = jax.tree.map(lambda leaf: jnp.where(is_first, 0, leaf), along)
        v = optax.tree.update_moment(along, state.v, self.b2, 2)
        kept = jax.tree.map(lambda g, m: jnp.where(is_first, g, m), updates, m)
        buffer, priorities = self._insert(state, kept, oracle.norm(updates))
        corrected = optax.tree.bias_correction(along, self.b1, count)
        scale = optax.tree.bias_correction(v, self.b2, count)
        steps = jax.tree.map(lambda a, v: a / (jnp.sqrt(v) + self.eps), corrected, scale)
        return steps, Momenta(count, m, v, buffer, self.decay * priorities)

    def _insert(self, state: Momenta, new: Any, norm: Scalar) -> tuple[Any, Array]:
        """The buffer and its priorities, with `new` in an empty slot or that of least priority."""
        if self.slots == 0:
            return state.buffer, state.priorities
        is_full = state.count >= self.slots
        slot = jnp.where(is_full, jnp.argmin(state.priorities), state.count)
        enters = ~is_full | (norm > state.priorities[slot])

        def put(slots: Array, value: Array) -> Array:
            return slots.at[slot].set(jnp.where(enters, value, slots[slot]))

        return jax.tree.map(put, state.buffer, new), put(state.priorities, jnp.asarray(norm))
