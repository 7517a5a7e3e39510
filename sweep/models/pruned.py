"""Random pruning before training."""

from __future__ import annotations

from typing import ClassVar

import jax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from sweep.models.base import AbstractFiltered
from sweep.prng import each_row
from sweep.spec import Scalar, lane, nested, part


@part
class Pruned(AbstractFiltered):
    """A network whose first-layer weights are kept with probability `keep`; the others stay zero.

    Yang et al. (arXiv 2301.00335), alpha: `keep`. One uniform number decides on a weight at every
    rate, so that a higher rate keeps what a lower one keeps.
    """

    definition: ClassVar[str] = (
        "Before training each first-layer weight of the inner network is kept with probability "
        "keep; the others are zero for good."
    )

    inner: AbstractFiltered = nested("model", doc="the network that is pruned")
    keep: Scalar = lane(
        1.0,
        at_least=0,
        at_most=1,
        doc="chance that a weight is kept",
        label="share of weights kept",
    )

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Whether the margin of the inner network is linear in the input."""
        return self.inner.linear

    def mask(self, key: Key[Array, ""], rows: Int[Array, " r"]) -> Bool[Array, "r units"]:
        """Which weights are kept at some coordinates of the input."""
        units = int(self.units())
        # A key for each coordinate, so that a larger d continues the smaller draw.
        return each_row(lambda key, _: jax.random.uniform(key, (units,)) < self.keep, key, rows)

    def units(self) -> int:
        """Those of the inner network."""
        return self.inner.units()

    def first_scale(self) -> None:
        """None: coordinates that draw weights by their law know no masks."""
        return

    def first_weights(
        self, key: Key[Array, ""], rows: Int[Array, " r"], d: Scalar
    ) -> Float[Array, "r units"]:
        """Those of the inner network, before pruning."""
        return self.inner.first_weights(key, rows, d)

    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """That of the inner network."""
        return self.inner.head(patches, d, rngs)

    def by_class(self, on_filters: Float[Array, "*rows units"]) -> Float[Array, "*rows 2"]:
        """The largest responses of the inner network's classes."""
        return self.inner.by_class(on_filters)
