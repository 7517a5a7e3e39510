"""Work that few steps need, skipped by a whole batch where no lane needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

T = TypeVar("T")


def cond_if_any(due: Bool[Array, ""], compute: Callable[..., T], otherwise: T, *args: Any) -> T:
    """`compute(*args)` where `due`, else `otherwise`.

    A plain `lax.cond` becomes a select under vmap and then computes both sides at every step; this one computes when
    any lane of the batch is due. `compute` may depend on traced values through `args` only.
    """

    @jax.custom_batching.custom_vmap
    def choose(due: Array, otherwise: T, args: tuple[Any, ...]) -> T:
        return jax.lax.cond(due, lambda: compute(*args), lambda: otherwise)

    @choose.def_vmap
    def _(size: int, batched: Any, *given: Any) -> tuple[T, Any]:
        due, otherwise, args = jax.tree.map(
            lambda each, is_batched: each if is_batched else jnp.broadcast_to(each, (size, *each.shape)),
            given,
            tuple(batched),
        )

        def select() -> T:
            return jax.vmap(lambda due, new, old: jax.tree.map(lambda a, b: jnp.where(due, a, b), new, old))(
                due, jax.vmap(compute)(*args), otherwise
            )

        chosen = jax.lax.cond(jnp.any(due), select, lambda: otherwise)
        return chosen, jax.tree.map(lambda _: True, chosen)

    return choose(due, otherwise, args)
