"""Counts that are padded: arrays have the largest size that trials of one program have, each trial uses a part of it.

Padded entries must not affect a result: a point without weight, a coordinate or a filter that is zero.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Real

Scalar = Real[Array, ""] | np.number | float | int
"""A number of one lane: a Python number in user code, a traced scalar inside a compiled program."""


class Size(int):
    """A count whose value as an int is the padded size, the one that arrays are made for.

    `actual` is how many entries of it the trial uses; None where nothing is padded. Take shapes from a `Size` as from
    any int, and `actual_size` where the number itself matters.
    """

    actual: Any

    def __new__(cls, padded: int, actual: Any = None) -> Size:
        """`padded` entries, of which a trial uses `actual`, or all of them."""
        size = super().__new__(cls, padded)
        size.actual = actual
        return size


jax.tree_util.register_pytree_node(
    Size, lambda size: ((size.actual,), int(size)), lambda padded, actual: Size(padded, *actual)
)


def _actual(size: int) -> Any:
    return size.actual if isinstance(size, Size) else None


def actual_size(size: int) -> Scalar:
    """How many entries the trial uses: the number itself where nothing is padded."""
    actual = _actual(size)
    return int(size) if actual is None else actual


def scale_size(size: int, factor: int) -> int:
    """A multiple of a size, padded as the size is."""
    actual = _actual(size)
    return Size(size * factor, None if actual is None else actual * factor)


def valid_mask(size: int) -> Bool[Array, " size"] | None:
    """Which entries of a size the trial uses; None for all of them, so that what is not padded costs nothing."""
    actual = _actual(size)
    return None if actual is None else jnp.arange(int(size)) < actual


def mask_padding(
    value: Real[Array, "... entries"], valid: Bool[Array, " entries"] | None
) -> Real[Array, "... entries"]:
    """An array with zeros where its last axis is padded."""
    return value if valid is None else jnp.where(valid, value, 0)
