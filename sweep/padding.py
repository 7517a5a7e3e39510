"""Padded counts: arrays fit the largest trial of a program, and each trial uses a part of them.

Padded entries must not affect a result: a point without weight, a zero coordinate, a zero filter.
Only a part that declares a field `static(..., padded=True)` has to deal with padding.
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

    `actual` is the number of entries that the trial uses; None where nothing is padded. Take shapes
    from a `Size` as from any int, and `actual_size` where the number itself matters.
    """

    actual: Any

    def __new__(cls, padded: int, actual: Any = None) -> Size:
        """`padded` entries, of which a trial uses `actual`, or all of them."""
        size = super().__new__(cls, padded)
        size.actual = actual
        return size


# The padded size belongs to the tree's structure: it decides shapes, so it is compiled in.
jax.tree_util.register_pytree_node(
    Size, lambda size: ((size.actual,), int(size)), lambda padded, actual: Size(padded, *actual)
)


def _actual(size: int) -> Any:
    return size.actual if isinstance(size, Size) else None


def actual_size(size: int) -> Scalar:
    """The number of entries that the trial uses: the number itself where nothing is padded."""
    actual = _actual(size)
    return int(size) if actual is None else actual


def scale_size(size: int, factor: int) -> int:
    """A multiple of a size, padded as the size is."""
    actual = _actual(size)
    return Size(size * factor, None if actual is None else actual * factor)


def valid_mask(size: int) -> Bool[Array, " size"] | None:
    """True for the entries of a size that the trial uses; None where nothing is padded."""
    actual = _actual(size)
    # None instead of a mask of ones, so that an unpadded program has no trace of padding.
    return None if actual is None else jnp.arange(int(size)) < actual


def mask_padding(
    value: Real[Array, "... entries"], valid: Bool[Array, " entries"] | None
) -> Real[Array, "... entries"]:
    """An array with zeros where its last axis is padded."""
    # A product with the mask would keep the infinities and NaN of padded entries.
    return value if valid is None else jnp.where(valid, value, 0)


def mask_padded_rows(
    value: Real[Array, "rows ..."], valid: Bool[Array, " rows"] | None
) -> Real[Array, "rows ..."]:
    """An array with zeros where its first axis is padded."""
    if valid is None:
        return value
    return jnp.where(valid.reshape(-1, *(1,) * (value.ndim - 1)), value, 0.0)
