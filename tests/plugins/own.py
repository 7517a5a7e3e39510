"""A plugin as a user writes one: a data model and a network, for `--plugin own`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from sweep import data, models
from sweep.data.base import (
    AbstractData,
    Dense,
    PointInfo,
    Points,
    Vectors,
    axis_direction,
    random_label,
)
from sweep.models.base import AbstractModel
from sweep.spec import Scalar, lane, part, static


@part
class Blobs(AbstractData):
    """Two Gaussian clouds: x = y separation / 2 e_1 + N(0, I_d)."""

    n: int = static(20, at_least=1, doc="training points")
    d: int = static(5, at_least=1, doc="dimension of a point")
    separation: Scalar = lane(4.0, at_least=0, doc="distance of the centres")

    def features(self, key: Key[Array, ""]) -> Vectors:
        """The direction from one centre to the other."""
        return axis_direction(0)

    def draw(self, key: Key[Array, ""]) -> Float[Array, "1 d"]:
        """A Gaussian vector."""
        return jax.random.normal(key, (1, self.d))

    def point(self, draws: Any, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """The cloud around the origin that is moved in `assemble`."""
        y = random_label(jnp.zeros(()), row, True)
        return Points(Dense(draws), PointInfo(y, y))

    def assemble(
        self,
        on_features: Float[Array, "1 units"],
        on_noise: Float[Array, "points 1 units"],
        info: PointInfo,
    ) -> Float[Array, "points 1 units"]:
        """The point itself."""
        return on_noise + 0.5 * self.separation * info.true_label[:, None, None] * on_features[0]


@part
class TanhLayers(AbstractModel):
    """Two trained layers on the patches laid side by side."""

    hidden: int = static(8, at_least=1, doc="neurons of the hidden layer")

    def head(self, patches: int, d: int, rngs: nnx.Rngs) -> nnx.Module:
        """The network."""
        return TwoLayers(patches * d, self.hidden, rngs)


class TwoLayers(nnx.Module):
    """tanh between two dense layers."""

    def __init__(self, inputs: int, hidden: int, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(inputs, hidden, rngs=rngs)
        self.second = nnx.Linear(hidden, 1, rngs=rngs)

    def __call__(self, patches: Float[Array, "points P d"]) -> Float[Array, " points"]:
        """The margin of each point."""
        return self.second(jnp.tanh(self.first(patches.reshape(patches.shape[0], -1))))[:, 0]


data.KINDS["blobs"] = Blobs
models.KINDS["tanh_layers"] = TanhLayers
