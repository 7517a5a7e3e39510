"""Orthonormal points."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.data.base import AbstractData, PointInfo, Points
from sweep.data.vectors import Sparse, Vectors
from sweep.spec import Check, part, static


@part
class Orthonormal(AbstractData):
    """x_i = e_i, all with the label +1.

    The data of Ghosh, Frei, Ha, Yu (arXiv 2308.03215). Any orthonormal points are these up to a
    rotation, which Gaussian first weights do not notice. No other points belong to them, so there
    is no test.
    """

    definition: ClassVar[str] = "Point i is the i-th axis of d dimensions; nothing is random."
    has_fresh_points: ClassVar[bool] = False

    n: int = static(10, at_least=1, doc="training points", label="training points", symbol="n")
    d: int = static(20, at_least=1, doc="dimension of a point", label="dimension", symbol="d")

    checks: ClassVar[tuple[Check, ...]] = (
        Check(
            holds="n <= d",
            what="there are no more orthonormal points than dimensions",
            cure="Raise d or lower n",
        ),
    )

    def features(self, key: Key[Array, ""]) -> Vectors:
        """None."""
        return Sparse(jnp.zeros((0, 1), jnp.int32), jnp.zeros((0, 1)))

    def draw(self, key: Key[Array, ""]) -> tuple[()]:
        """Nothing."""
        return ()

    def point(self, draws: Any, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """The axis of the row."""
        one = jnp.ones(())
        return Points(Sparse(row[None, None], jnp.ones((1, 1))), PointInfo(one, one))

    def assemble(
        self,
        on_features: Float[Array, "0 units"],
        on_noise: Float[Array, "points 1 units"],
        info: PointInfo,
    ) -> Float[Array, "points 1 units"]:
        """The point itself."""
        return on_noise
