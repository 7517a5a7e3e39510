"""What a data model is to the rest of the program: vectors, labels, and how they make patches.

The networks of this field see data only through inner products with a few vectors: K feature directions, and N noise
vectors a point. A data model draws these and says how inner products with them (or the vectors themselves: assembly is
linear) make the P patches of a point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.draws import Purpose, each_row, stream
from sweep.spec import Scalar


class Dense(NamedTuple):
    """Vectors written out: `value` (..., d)."""

    value: Float[Array, "*rows d"]

    def dense(self, d: int) -> Float[Array, "*rows d"]:
        """The vectors themselves."""
        return self.value

    def project(self, weights: Float[Array, "d units"]) -> Float[Array, "*rows units"]:
        """Inner products with the columns of `weights`."""
        return self.value @ weights


class Sparse(NamedTuple):
    """Vectors of s coordinates each: `value` (..., s) at the distinct places `index` (..., s), zero elsewhere."""

    index: Int[Array, "*rows s"]
    value: Float[Array, "*rows s"]

    def dense(self, d: int) -> Float[Array, "*rows d"]:
        """The vectors written out."""
        rows, s = self.index.shape[:-1], self.index.shape[-1]

        def scatter(index: Array, value: Array) -> Array:
            return jnp.zeros(d, value.dtype).at[index].set(value)

        flat = jax.vmap(scatter)(self.index.reshape(-1, s), self.value.reshape(-1, s))
        return flat.reshape(*rows, d)

    def project(self, weights: Float[Array, "d units"]) -> Float[Array, "*rows units"]:
        """Inner products with the columns of `weights`, touching s rows of it a vector."""
        return jnp.einsum("...s,...su->...u", self.value, weights[self.index])


Vectors = Dense | Sparse


def axis(index: int) -> Sparse:
    """The unit vector of one coordinate, as K = 1 feature direction."""
    return Sparse(jnp.full((1, 1), index), jnp.ones((1, 1)))


class Points(NamedTuple):
    """Points of a data set: their noise vectors (points, N, d) and labels.

    `truth` is the label that the point was made from, `label` the one that is seen; both are -1.0 or +1.0.
    """

    noise: Vectors
    truth: Float[Array, " points"]
    label: Float[Array, " points"]


class AbstractData(ABC):
    """A distribution of labelled points made of patches. Has the static fields `n` (training points) and `d`."""

    noise_vectors: ClassVar[int] = 1
    """N: noise vectors a point. The last N patches of a point are its noise patches."""

    n: int
    d: int

    @abstractmethod
    def features(self, key: Key[Array, ""]) -> Vectors:
        """The K feature directions (K, d), unit vectors, the same for training and test points of a seed.

        The first one is what the column `feature` observes; K may be 0.
        """

    @abstractmethod
    def point(self, key: Key[Array, ""], row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """Row `row` of the training set, or of the test set where `fresh`: a `Points` without the leading axis."""

    @abstractmethod
    def assemble(
        self,
        on_features: Float[Array, "K units"],
        on_noise: Float[Array, "points N units"],
        truth: Float[Array, " points"],
    ) -> Float[Array, "points P units"]:
        """What the patches of the points give on `units` filters, from what their vectors give."""


def features(data: AbstractData, seed: Scalar) -> Vectors:
    """The feature directions of a seed."""
    return data.features(stream(seed, Purpose.WORLD))


def training_points(data: AbstractData, seed: Scalar, features: Vectors) -> Points:
    """The n training points of a seed."""
    key = stream(seed, Purpose.DATA)
    return each_row(lambda key, row: data.point(key, row, features, False), key, jnp.arange(data.n))


def test_points(data: AbstractData, seed: Scalar, features: Vectors, rows: Int[Array, " r"]) -> Points:
    """The fresh points of a seed with the given row numbers."""
    return each_row(lambda key, row: data.point(key, row, features, True), stream(seed, Purpose.TEST), rows)


def signs(key: Key[Array, ""], row: Int[Array, ""], balanced: bool) -> Float[Array, ""]:
    """A label: +1 on even and -1 on odd rows where `balanced`, else either with probability 1/2."""
    if balanced:
        return 1.0 - 2.0 * (row % 2)
    return jax.random.rademacher(key, (), float)
