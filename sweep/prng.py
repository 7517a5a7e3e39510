"""Randomness keyed by seed, purpose and row: the seed of a trial alone decides what is drawn.

The optimizer, the batch, the shard and the number of points never change a draw: row i of a purpose
is the same whatever draws it, and a narrower draw of a row is the beginning of a wider one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.jax_settings import PRNG
from sweep.padding import Size, actual_size, mask_padding, valid_mask
from sweep.spec import Scalar

T = TypeVar("T")


class Purpose(IntEnum):
    """The purpose of a stream of random numbers. Append only: values are part of every result."""

    DATA = 0
    INIT = 1
    TEST = 2
    BATCH = 3
    WORLD = 4
    HEAD = 5
    LAW = 6
    VALIDATION = 7


def stream(seed: Scalar, purpose: Purpose) -> Key[Array, ""]:
    """The key of one purpose of one seed (0 <= seed < 2^32)."""
    key = jax.random.key(jnp.asarray(seed, jnp.uint32), impl=PRNG)
    return jax.random.fold_in(key, purpose)


def each_row(
    draw: Callable[[Key[Array, ""], Int[Array, ""]], T], key: Key[Array, ""], rows: Int[Array, " r"]
) -> T:
    """Independent draws for rows: the row number is folded into the key.

    Args:
        draw: a function of the key and the number of a row.
        key: the key of all rows.
        rows: row numbers (r,).

    Returns:
        `draw(key of the row, row)` for every row, stacked along a leading axis of length r.
    """
    # Not one draw of shape (r, ...): its numbers would depend on r.
    return jax.vmap(lambda row: draw(jax.random.fold_in(key, row), row))(rows)


def standard_normal(key: Key[Array, ""], shape: Sequence[int]) -> Float[Array, ...]:
    """Independent standard Gaussians, zero where the last axis is padded."""
    # jax caches programs by shape: a `Size` with a traced number must not end up in the cache.
    gaussian = jax.random.normal(key, tuple(map(int, shape)))
    return mask_padding(gaussian, valid_mask(shape[-1]))


def sample_distinct(
    key: Key[Array, ""], count: int, low: int, high: Scalar | Size
) -> Int[Array, " count"]:
    """A uniformly random set of `count` distinct integers in [low, high), in no particular order.

    Floyd's algorithm (Bentley and Floyd 1987): the cost is count^2 and independent of high - low.

    Args:
        key: the key of the draw.
        count: how many integers; where it is padded, the rest is filled with the padded `high`.
        low: the smallest integer that may be drawn.
        high: one more than the largest, such as a dimension; a `Size` counts as its actual size.

    Returns:
        The integers (count,).
    """
    actual_high = actual_size(high) if isinstance(high, Size) else high
    largest = jnp.asarray(actual_high - actual_size(count), jnp.int32) + jnp.arange(count)
    candidates = jax.random.randint(key, (int(count),), low, largest + 1)

    def step(chosen: Array, index: Array) -> tuple[Array, None]:
        taken = jnp.any(chosen == candidates[index])
        return chosen.at[index].set(jnp.where(taken, largest[index], candidates[index])), None

    empty = jnp.full((int(count),), low - 1, largest.dtype)
    chosen = jax.lax.scan(step, empty, jnp.arange(count))[0]
    valid = valid_mask(count)
    return chosen if valid is None else jnp.where(valid, chosen, int(high))
