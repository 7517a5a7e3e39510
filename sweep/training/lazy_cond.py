"""Work that few steps need, skipped by a whole batch if no lane needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

T = TypeVar("T")


def cond_if_any(
    condition: Bool[Array, ""], compute: Callable[..., T], otherwise: T, *args: Any
) -> T:
    """`compute(*args)` if `condition`, else `otherwise`.

    Under vmap a plain `lax.cond` becomes a select that computes both branches at every step. This
    one computes only if the condition holds in some lane of the batch.

    Args:
        condition: Whether the lane needs the work.
        compute: The work. It must not close over traced values; pass them as `args`.
        otherwise: The result without the work, of the same structure, shapes and types.
        *args: Arguments of `compute`.
    """

    @jax.custom_batching.custom_vmap
    def choose(condition: Array, otherwise: T, args: tuple[Any, ...]) -> T:
        return jax.lax.cond(condition, lambda: compute(*args), lambda: otherwise)

    @choose.def_vmap
    def _(size: int, is_batched: Any, *operands: Any) -> tuple[T, Any]:
        def add_lane_axis(leaf: Array, has_lane_axis: bool) -> Array:
            return leaf if has_lane_axis else jnp.broadcast_to(leaf, (size, *leaf.shape))

        def select(condition: Array, new: T, old: T) -> T:
            return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)

        conditions, otherwise, args = jax.tree.map(add_lane_axis, operands, tuple(is_batched))
        results = jax.lax.cond(
            jnp.any(conditions),
            lambda: jax.vmap(select)(conditions, jax.vmap(compute)(*args), otherwise),
            lambda: otherwise,
        )
        return results, jax.tree.map(lambda _: True, results)

    return choose(condition, otherwise, args)
