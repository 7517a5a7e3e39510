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

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep import spec
from sweep.data.points import PointInfo, Points
from sweep.data.vectors import Dense, Sparse, Vectors, axis_direction, outer_product
from sweep.padding import valid_mask
from sweep.prng import Purpose, each_row, standard_normal, stream
from sweep.spec import Scalar

__all__ = [
    "AbstractData",
    "AbstractGaussian",
    "Dense",
    "NoiseParams",
    "PointInfo",
    "Points",
    "RandomDraws",
    "Sparse",
    "Vectors",
    "axis_direction",
    "coupled",
    "feature_count",
    "feature_directions",
    "outer_product",
    "patch_count",
    "random_label",
    "test_draws",
    "test_points",
    "training_points",
]


class AbstractData(ABC):
    """A distribution of labelled points made of patches.

    It has the static fields `n` (training points) and `d` (dimension of a vector).
    """

    noise_vectors: ClassVar[int] = 1
    """N: noise vectors a point. The last N patches of a point are its noise patches."""

    groups: ClassVar[tuple[str, ...]] = ()
    """Names of the groups of points that errors are told apart by; none by default."""

    direction_names: ClassVar[tuple[str, ...]] = ()
    """Names of the feature directions, where each has a column of its own."""

    has_fresh_points: ClassVar[bool] = True
    """False where no points but those of the training set can be drawn."""

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

    def group(self, info: PointInfo) -> Int[Array, " points"]:
        """The group of each point, as a position in `groups`."""
        return jnp.zeros(info.true_label.shape, jnp.int32)

    def couple(self, key: Key[Array, ""], points: Points) -> Points:
        """The training points, with what they get from each other: edges, labels of a labeller.

        Rows are drawn independently before. By default nothing is added. Data that couples its
        points must not declare a padded `n`, and more points change those that were there.

        Args:
            key: the key of the relations of a seed.
            points: all n training points.
        """
        return points

    @abstractmethod
    def assemble(
        self,
        on_features: Float[Array, "K units"],
        on_noise: Float[Array, "points N units"],
        info: PointInfo,
    ) -> Float[Array, "points P units"]:
        """Responses of filters to the patches of points, from their responses to the vectors.

        Args:
            on_features: responses to the feature directions (K, units).
            on_noise: responses to the noise vectors (points, N, units).
            info: what is known of the points besides their vectors.

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
    info: PointInfo


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
        return Points(Dense(noise), params.info)

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
    ) -> tuple[Float[Array, "rows N units"], PointInfo]:
        """Responses of filters to the noise vectors of fresh points, drawn from their Gaussian law.

        Args:
            draws: random numbers of `draw_responses`.
            rows: numbers of the points (rows,).
            on_features: F W (K, units), for weights W (d, units) and feature directions F (K, d).
            root: a root of the covariance orthogonal to the features: root^T root = W^T W -
                (F W)^T F W.

        Returns:
            Responses to the N noise vectors of each point (rows, N, units), and what is known of
            the points.
        """
        K = on_features.shape[0]
        g = draws.gaussian

        def params_of(uniforms: Array, row: Array, g: Array) -> NoiseParams:
            return self.make(uniforms, row, g, True)

        params = jax.vmap(params_of)(draws.uniforms, rows, g[..., :K])
        noise = params.scale[..., None] * (params.components @ on_features + g[..., K:] @ root)
        return noise, params.info


def feature_directions(data: AbstractData, seed: Scalar) -> Vectors:
    """The feature directions of a seed."""
    return data.features(stream(seed, Purpose.WORLD))


def _cached_by_structure(count: Callable[[AbstractData], int]) -> Callable[[AbstractData], int]:
    """A count that is traced once for all data models with the same static fields, padded ones not."""
    # A trace takes milliseconds, and the cost model asks for every group of trials.
    known: dict[tuple[Any, ...], int] = {}

    @functools.wraps(count)
    def cached(data: AbstractData) -> int:
        fields = spec.fields(type(data)).values()
        deciding = [field.name for field in fields if field.role == "static" and not field.padded]
        key = type(data), *(getattr(data, name) for name in deciding)
        if key not in known:
            known[key] = count(data)
        return known[key]

    return cached


@_cached_by_structure
def feature_count(data: AbstractData) -> int:
    """K: the number of feature directions; it may depend on static fields, not on padded ones."""
    return jax.eval_shape(lambda: feature_directions(data, 0)).value.shape[0]


@_cached_by_structure
def patch_count(data: AbstractData) -> int:
    """P: patches of a point; it may depend on static fields, not on padded ones."""

    def patches() -> Array:
        info = training_points(data, 0, feature_directions(data, 0)).info
        on_features = jnp.zeros((feature_count(data), 1))
        return data.assemble(on_features, jnp.zeros((data.n, data.noise_vectors, 1)), info)

    return jax.eval_shape(patches).shape[1]


def training_points(data: AbstractData, seed: Scalar, features: Vectors) -> Points:
    """The training points of a seed; those beyond the actual n are zero, labels included."""

    def draw_point(key: Array, row: Array) -> Points:
        return data.point(data.draw(key), row, features, False)

    points = each_row(draw_point, stream(seed, Purpose.DATA), jnp.arange(data.n))
    return coupled(data, seed, points).masked(data.n)


def coupled(data: AbstractData, seed: Scalar, points: Points) -> Points:
    """The training points of a seed with their relations.

    Raises:
        TypeError: A data model that couples its points declares a padded n.
    """
    if type(data).couple is not AbstractData.couple and valid_mask(data.n) is not None:
        raise TypeError(f"{type(data).__name__} couples its points: declare n without padding")
    return data.couple(stream(seed, Purpose.RELATIONS), points)


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
