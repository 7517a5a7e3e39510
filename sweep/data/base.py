"""What a data model is to the rest of the program: vectors, labels, and how they make patches.

The networks of this field see data only through inner products with a few vectors: K feature directions, and N noise
vectors a point. A data model draws these and says how inner products with them (or the vectors themselves: assembly is
linear) make the P patches of a point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep import spec
from sweep.padding import mask_padding, valid_mask
from sweep.prng import Purpose, each_row, stream
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

    def replace(self, vectors: Float[Array, "n d"], along: Float[Array, "n K"]) -> Float[Array, "n d"]:
        """`vectors` with other components along these K orthonormal ones (K, d)."""
        return vectors + (along - vectors @ self.value.T) @ self.value


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

    def replace(self, vectors: Float[Array, "n d"], along: Float[Array, "n K"]) -> Float[Array, "n d"]:
        """`vectors` with other components along these K orthonormal ones (K, s); to the last bit along axes (s = 1)."""
        if self.index.shape[-1] > 1:
            return Dense(self.dense(vectors.shape[-1])).replace(vectors, along)
        return vectors.at[:, self.index[:, 0]].set(along * self.value[:, 0])


Vectors = Dense | Sparse


def axis_direction(index: int) -> Sparse:
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
    def draw(self, key: Key[Array, ""]) -> Any:
        """The random numbers that make one point: of the fields they may depend on counts alone.

        So all trials of a seed with the same counts can share them.
        """

    @abstractmethod
    def point(self, drawn: Any, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """What such random numbers make of row `row` of the training set, or of the test set where `fresh`.

        A `Points` without the leading axis.
        """

    @abstractmethod
    def assemble(
        self,
        on_features: Float[Array, "K units"],
        on_noise: Float[Array, "points N units"],
        truth: Float[Array, " points"],
    ) -> Float[Array, "points P units"]:
        """What the patches of the points give on `units` filters, from what their vectors give."""


class RandomDraws(NamedTuple):
    """Random numbers of one point, or of several: standard Gaussians along the last axis, and luck."""

    gaussian: Float[Array, "*rows N some"]
    luck: Float[Array, "*rows 2"]


class NoiseParams(NamedTuple):
    """How noise vectors are made of standard Gaussian ones g: what g has along the directions F (K, d) is replaced.

    xi = scale (g - (g F^T) F + along F).
    """

    scale: Float[Array, " N"]
    along: Float[Array, "N K"]
    truth: Float[Array, ""]
    label: Float[Array, ""]


class AbstractGaussian(AbstractData):
    """Data whose noise vectors are Gaussian but for what happens along its feature directions, which are orthonormal.

    Then the law of all inner products is known, whatever the dimension: pre-activations of fresh points can be drawn
    without their vectors, and a training without any vector of d numbers.
    """

    @abstractmethod
    def make(
        self, luck: Float[Array, " 2"], row: Int[Array, ""], seen: Float[Array, "N K"], fresh: bool
    ) -> NoiseParams:
        """What row `row` makes of Gaussian vectors whose inner products with the feature directions are `seen`.

        `luck` are two uniform random numbers in [0, 1) for whatever else it needs.
        """

    @staticmethod
    def luck(key: Key[Array, ""]) -> Float[Array, " 2"]:
        """The luck of one training point, the same in all coordinates."""
        return jax.random.uniform(key, (2,))

    def draw(self, key: Key[Array, ""]) -> RandomDraws:
        """Standard Gaussian vectors and luck."""
        gaussian, luck = jax.random.split(key)
        g = mask_padding(jax.random.normal(gaussian, (self.noise_vectors, int(self.d))), valid_mask(self.d))
        return RandomDraws(g, self.luck(luck))

    def point(self, drawn: RandomDraws, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """The vectors of one point, written out."""
        made = self.make(drawn.luck, row, features.project(drawn.gaussian.T).T, fresh)
        noise = made.scale[:, None] * features.replace(drawn.gaussian, made.along)
        return Points(Dense(noise), made.truth, made.label)

    def draw_responses(self, key: Key[Array, ""], rows: int, units: int) -> RandomDraws:
        """The random numbers of `responses` of `units` filters on so many points.

        Gaussians (rows, N, K + units), with a key for each direction and filter, so that more filters change no draw.
        """
        gaussian, luck = jax.random.split(key)
        each = jnp.arange(feature_count(self) + units)
        drawn = each_row(lambda key, _: jax.random.normal(key, (rows, self.noise_vectors)), gaussian, each)
        return RandomDraws(jnp.moveaxis(drawn, 0, -1), jax.random.uniform(luck, (rows, 2)))

    def responses(
        self,
        drawn: RandomDraws,
        rows: Int[Array, " rows"],
        on_features: Float[Array, "K units"],
        root: Float[Array, "units units"],
    ) -> tuple[Float[Array, "rows N units"], Float[Array, " rows"], Float[Array, " rows"]]:
        """What filters give on the noise vectors of fresh points, by its law, with the true and the seen labels.

        `root` is a root of the covariance that filters have orthogonally to the features: for weights W (d, units) and
        on_features = F W, root^T root = W^T W - (F W)^T F W.
        """
        K = on_features.shape[0]
        g = drawn.gaussian
        made = jax.vmap(lambda luck, row, g: self.make(luck, row, g, True))(drawn.luck, rows, g[..., :K])
        noise = made.scale[..., None] * (made.along @ on_features + g[..., K:] @ root)
        return noise, made.truth, made.label


def feature_directions(data: AbstractData, seed: Scalar) -> Vectors:
    """The feature directions of a seed."""
    return data.features(stream(seed, Purpose.WORLD))


def feature_count(data: AbstractData) -> int:
    """K: feature directions of a data model, whatever its sizes."""
    declared = spec.fields(type(data)).values()
    words = tuple(getattr(data, field.name) for field in declared if field.role == "static" and not field.padded)
    key = type(data), words
    if key not in _COUNTS:
        _COUNTS[key] = jax.eval_shape(lambda: feature_directions(data, 0)).value.shape[0]
    return _COUNTS[key]


_COUNTS: dict[tuple[type, tuple[Any, ...]], int] = {}


def training_points(data: AbstractData, seed: Scalar, features: Vectors) -> Points:
    """The n training points of a seed."""
    key = stream(seed, Purpose.DATA)
    return each_row(lambda key, row: data.point(data.draw(key), row, features, False), key, jnp.arange(data.n))


def test_draws(data: AbstractData, seed: Scalar, rows: Int[Array, " r"]) -> Any:
    """The random numbers of the fresh points of a seed with the given row numbers."""
    return each_row(lambda key, _: data.draw(key), stream(seed, Purpose.TEST), rows)


def test_points(data: AbstractData, drawn: Any, features: Vectors, rows: Int[Array, " r"]) -> Points:
    """What such random numbers make of the fresh points of a seed with the given row numbers."""
    return jax.vmap(lambda drawn, row: data.point(drawn, row, features, True))(drawn, rows)


def random_label(luck: Float[Array, ""], row: Int[Array, ""], balanced: bool) -> Float[Array, ""]:
    """A label: +1 on even and -1 on odd rows where `balanced`, else either with probability 1/2 by a uniform number."""
    return jnp.where((row % 2 == 0) if balanced else (luck < 0.5), 1.0, -1.0)


@jax.custom_vjp
def outer_product(rows: Float[Array, " points"], columns: Float[Array, " units"]) -> Float[Array, "points units"]:
    """rows columns^T, whose gradient in `columns` is a product with `rows`.

    Left to itself XLA makes it a sum, which takes up to twenty times as long on a CPU.
    """
    return rows[:, None] * columns


def _outer_forward(rows: Array, columns: Array) -> tuple[Array, Array]:
    return outer_product(rows, columns), rows


def _outer_backward(rows: Array, cotangent: Array) -> tuple[None, Array]:
    return None, rows @ cotangent


outer_product.defvjp(_outer_forward, _outer_backward)
