"""Randomness keyed by seed, purpose and row, so that nothing but the seed of a trial decides what is drawn.

The optimizer, the batch, the shard and the number of points never change a draw: row i of a purpose is the same
whoever asks for it, and a narrower draw of a row is the beginning of a wider one.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from sweep.padding import actual_size, valid_mask
from sweep.spec import Scalar

T = TypeVar("T")


class Purpose(IntEnum):
    """What a stream of random numbers is for. Append only: the values are part of every result."""

    DATA = 0
    INIT = 1
    TEST = 2
    BATCH = 3
    WORLD = 4
    HEAD = 5
    LAW = 6


def stream(seed: Scalar, purpose: Purpose) -> Key[Array, ""]:
    """The key of one purpose of one seed (0 <= seed < 2^32)."""
    return jax.random.fold_in(jax.random.key(jnp.asarray(seed, jnp.uint32)), purpose)


def each_row(draw: Callable[[Key[Array, ""], Int[Array, ""]], T], key: Key[Array, ""], rows: Int[Array, " r"]) -> T:
    """`draw(key of the row, row)` for every row, stacked along a leading axis of length r."""
    return jax.vmap(lambda row: draw(jax.random.fold_in(key, row), row))(rows)


def sample_distinct(key: Key[Array, ""], count: int, low: int, high: Scalar, beyond: int) -> Int[Array, " count"]:
    """A uniformly random set of `count` distinct integers in [low, high), in no particular order.

    Where `count` is padded, the rest is filled with `beyond`. Floyd's algorithm (Bentley and Floyd 1987): its cost is
    count^2 and does not depend on high - low.
    """
    tops = jnp.asarray(high - actual_size(count), jnp.int32) + jnp.arange(count)
    offers = jax.random.randint(key, (int(count),), low, tops + 1)

    def step(chosen: Array, index: Array) -> tuple[Array, None]:
        taken = jnp.any(chosen == offers[index])
        return chosen.at[index].set(jnp.where(taken, tops[index], offers[index])), None

    nothing = jnp.full((int(count),), low - 1, tops.dtype)
    chosen = jax.lax.scan(step, nothing, jnp.arange(count))[0]
    kept = valid_mask(count)
    return chosen if kept is None else jnp.where(kept, chosen, beyond)
