"""The interface of data models: vectors, labels, and how they make patches.

The networks of this field see data only through inner products with a few vectors: K feature
directions, and N noise vectors a point. A data model draws these and says how inner products with
them (or the vectors themselves: assembly is linear) make the P patches of a point.

The author of a data model need not know of padding: a model with plain `static(...)` counts works
everywhere, but its trials share a program only with trials of the same counts. To share programs
across sizes, declare counts `static(..., padded=True)` and draw by `prng.standard_normal` and
`prng.sample_distinct`, which leave padded entries zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep import spec
from sweep.data.vectors import Dense, Sparse, Vectors, axis_direction, outer_product
from sweep.padding import mask_padded_rows, valid_mask
from sweep.prng import Purpose, each_row, standard_normal, stream
from sweep.spec import Scalar

__all__ = [
    "AbstractData",
    "AbstractGaussian",
    "Dense",
    "NoiseParams",
    "Points",
    "RandomDraws",
    "Sparse",
    "Vectors",
    "axis_direction",
    "feature_count",
    "feature_directions",
    "outer_product",
    "random_label",
    "test_draws",
    "test_points",
    "training_points",
]


class Points(NamedTuple):
    """Points of a data set: their noise vectors (points, N, d) and labels of -1.0 or +1.0.

    `true_label` is the label that the point was made from, `label` the observed one.
    """

    noise: Vectors
    true_label: Float[Array, " points"]
    label: Float[Array, " points"]

    def masked(self, n: int) -> Points:
        """The points, with zero noise and labels for those beyond the actual size of `n`."""
        valid = valid_mask(n)
        # Zero noise and labels add nothing to gradients and sums over points.
        noise = self.noise._replace(value=mask_padded_rows(self.noise.value, valid))
        labels = (mask_padded_rows(label, valid) for label in (self.true_label, self.label))
        return Points(noise, *labels)


class AbstractData(ABC):
    """A distribution of labelled points made of patches.

    It has the static fields `n` (training points) and `d` (dimension of a vector).
    """

    noise_vectors: ClassVar[int] = 1
    """N: noise vectors a point. The last N patches of a point are its noise patches."""

    n: int
    d: int

    @abstractmethod
    def features(self, key: Key[Array, ""]) -> Vectors:
        """The K feature directions (K, d): unit vectors, shared by training and test points.

        The column `feature` observes the first one; K may be 0.
        """

    @abstractmethod
    def draw(self, key: Key[Array, ""]) -> Any:
        """The random numbers that make one point; of the fields they may depend on counts alone.

        So all trials of a seed with the same counts can share them.
        """

    @abstractmethod
    def point(self, draws: Any, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """Build one point from its random numbers.

        Args:
            draws: the random numbers of `draw`.
            row: number of the point in its set.
            features: the feature directions (K, d).
            fresh: a point of the test set, not of the training set.

        Returns:
            A `Points` without the leading axis.
        """

    @abstractmethod
    def assemble(
        self,
        on_features: Float[Array, "K units"],
        on_noise: Float[Array, "points N units"],
        true_labels: Float[Array, " points"],
    ) -> Float[Array, "points P units"]:
        """Responses of filters to the patches of points, from their responses to the vectors.

        Args:
            on_features: responses to the feature directions (K, units).
            on_noise: responses to the noise vectors (points, N, units).
            true_labels: labels that the points were made from (points,).

        Returns:
            Responses to the patches (points, P, units).
        """


class RandomDraws(NamedTuple):
    """Random numbers of points: standard Gaussians and two uniforms in [0, 1) a point."""

    gaussian: Float[Array, "*rows N entries"]
    uniforms: Float[Array, "*rows 2"]


class NoiseParams(NamedTuple):
    """How noise is made of standard Gaussian vectors g and the feature directions F (K, d).

    xi = scale (g - (g F^T) F + components F): components along F are replaced.
    """

    scale: Float[Array, " N"]
    components: Float[Array, "N K"]
    true_label: Float[Array, ""]
    label: Float[Array, ""]


class AbstractGaussian(AbstractData):
    """Data whose noise is Gaussian except along its feature directions, which are orthonormal.

    So the law of all inner products is known in any dimension: pre-activations of fresh points can
    be drawn without their vectors, and a network trained without any vector of d numbers.
    """

    @abstractmethod
    def make(
        self,
        uniforms: Float[Array, " 2"],
        row: Int[Array, ""],
        components: Float[Array, "N K"],
        fresh: bool,
    ) -> NoiseParams:
        """The parameters of one point.

        Args:
            uniforms: two uniform random numbers in [0, 1), for labels and the like.
            row: number of the point in its set.
            components: inner products of the Gaussian vectors with the feature directions (N, K).
            fresh: a point of the test set, not of the training set.
        """

    @staticmethod
    def draw_uniforms(key: Key[Array, ""]) -> Float[Array, " 2"]:
        """The uniforms of one training point, the same in all coordinates."""
        return jax.random.uniform(key, (2,))

    def draw(self, key: Key[Array, ""]) -> RandomDraws:
        """Standard Gaussian vectors (N, d) and uniforms."""
        gaussian_key, uniform_key = jax.random.split(key)
        gaussian = standard_normal(gaussian_key, (self.noise_vectors, self.d))
        return RandomDraws(gaussian, self.draw_uniforms(uniform_key))

    def point(
        self, draws: RandomDraws, row: Int[Array, ""], features: Vectors, fresh: bool
    ) -> Points:
        """The vectors of one point, written out."""
        components = features.project(draws.gaussian.T).T
        params = self.make(draws.uniforms, row, components, fresh)
        noise = params.scale[:, None] * features.replace(draws.gaussian, params.components)
        return Points(Dense(noise), params.true_label, params.label)

    def draw_responses(self, key: Key[Array, ""], rows: int, units: int) -> RandomDraws:
        """The random numbers of `responses`.

        Args:
            key: the key of the draw.
            rows: number of points.
            units: number of filters.

        Returns:
            Gaussians (rows, N, K + units) and uniforms (rows, 2).
        """
        gaussian_key, uniform_key = jax.random.split(key)
        # A key for each direction and filter, so that more filters change no draw.
        columns = jnp.arange(feature_count(self) + units)

        def draw_column(key: Array, column: Array) -> Array:
            return jax.random.normal(key, (rows, self.noise_vectors))

        gaussian = each_row(draw_column, gaussian_key, columns)
        uniforms = jax.random.uniform(uniform_key, (rows, 2))
        return RandomDraws(jnp.moveaxis(gaussian, 0, -1), uniforms)

    def responses(
        self,
        draws: RandomDraws,
        rows: Int[Array, " rows"],
        on_features: Float[Array, "K units"],
        root: Float[Array, "units units"],
    ) -> tuple[Float[Array, "rows N units"], Float[Array, " rows"], Float[Array, " rows"]]:
        """Responses of filters to the noise vectors of fresh points, drawn from their Gaussian law.

        Args:
            draws: random numbers of `draw_responses`.
            rows: numbers of the points (rows,).
            on_features: F W (K, units), for weights W (d, units) and feature directions F (K, d).
            root: a root of the covariance orthogonal to the features: root^T root = W^T W -
                (F W)^T F W.

        Returns:
            Responses to the N noise vectors of each point (rows, N, units), true labels and
            observed labels (rows,).
        """
        K = on_features.shape[0]
        g = draws.gaussian

        def params_of(uniforms: Array, row: Array, g: Array) -> NoiseParams:
            return self.make(uniforms, row, g, True)

        params = jax.vmap(params_of)(draws.uniforms, rows, g[..., :K])
        noise = params.scale[..., None] * (params.components @ on_features + g[..., K:] @ root)
        return noise, params.true_label, params.label


def feature_directions(data: AbstractData, seed: Scalar) -> Vectors:
    """The feature directions of a seed."""
    return data.features(stream(seed, Purpose.WORLD))


def feature_count(data: AbstractData) -> int:
    """K: the number of feature directions; it may depend on static fields, not on padded ones."""
    fields = spec.fields(type(data)).values()
    deciding = [field.name for field in fields if field.role == "static" and not field.padded]
    # Cached, since a trace takes milliseconds and the cost model asks for every group of trials.
    key = type(data), tuple(getattr(data, name) for name in deciding)
    if key not in _FEATURE_COUNTS:
        directions = jax.eval_shape(lambda: feature_directions(data, 0))
        _FEATURE_COUNTS[key] = directions.value.shape[0]
    return _FEATURE_COUNTS[key]


_FEATURE_COUNTS: dict[tuple[type, tuple[Any, ...]], int] = {}


def training_points(data: AbstractData, seed: Scalar, features: Vectors) -> Points:
    """The training points of a seed; those beyond the actual n are zero, labels included."""

    def draw_point(key: Array, row: Array) -> Points:
        return data.point(data.draw(key), row, features, False)

    return each_row(draw_point, stream(seed, Purpose.DATA), jnp.arange(data.n)).masked(data.n)


def test_draws(data: AbstractData, seed: Scalar, rows: Int[Array, " r"], purpose: Purpose) -> Any:
    """The random numbers of the fresh points of a seed with the given row numbers."""
    return each_row(lambda key, _: data.draw(key), stream(seed, purpose), rows)


def test_points(
    data: AbstractData, draws: Any, features: Vectors, rows: Int[Array, " r"]
) -> Points:
    """Build fresh points from their random numbers.

    Args:
        data: the data model.
        draws: the random numbers of `test_draws` for these rows.
        features: the feature directions (K, d).
        rows: numbers of the points (r,).
    """
    return jax.vmap(lambda draws, row: data.point(draws, row, features, True))(draws, rows)


def random_label(
    uniform: Float[Array, ""], row: Int[Array, ""], balanced: bool
) -> Float[Array, ""]:
    """A label of +1 or -1.

    Args:
        uniform: a uniform random number in [0, 1); below 1/2 the label is +1.
        row: number of the point in its set.
        balanced: +1 on even and -1 on odd rows instead, whatever `uniform` is.
    """
    return jnp.where((row % 2 == 0) if balanced else (uniform < 0.5), 1.0, -1.0)
