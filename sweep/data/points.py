"""Points of a data set: their noise vectors, and what is known of them besides."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

from sweep.data.vectors import Vectors
from sweep.padding import mask_padded_rows, valid_mask


class PointInfo(NamedTuple):
    """What is known of points besides their vectors; leaves have a leading axis of points.

    `true_label` is what a point was made from and `label` what is observed: -1.0 or +1.0 for two
    classes, a number for regression, the index of a class for several. `attributes` is any pytree
    of arrays that a data model needs to assemble a point or to name its group: a cluster, an
    attribute, neighbours, a target.
    """

    true_label: Float[Array, " points"]
    label: Float[Array, " points"]
    attributes: Any = ()


class Points(NamedTuple):
    """Points of a data set: their noise vectors (points, N, d), and what is known of them."""

    noise: Vectors
    info: PointInfo

    def masked(self, n: int) -> Points:
        """The points, with zeros in place of those beyond the actual size of `n`."""
        valid = valid_mask(n)
        # Zero noise and labels add nothing to gradients and sums over points.
        noise = self.noise._replace(value=mask_padded_rows(self.noise.value, valid))
        return Points(noise, jax.tree.map(lambda leaf: mask_padded_rows(leaf, valid), self.info))
