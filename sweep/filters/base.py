"""The interface of a coordinate system of the first layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from sweep.data.base import (
    AbstractData,
    PointInfo,
    Points,
    Vectors,
    feature_count,
    feature_directions,
    training_points,
)
from sweep.models.base import AbstractFiltered, AbstractModel
from sweep.padding import actual_size, mask_padding, valid_mask
from sweep.prng import Purpose, stream
from sweep.spec import Scalar

Index = Int[Array, " batch"] | slice


class Tokens(Protocol):
    """The K + n N training vectors as a filters module needs them.

    The feature directions come first, then the noise vectors of the training points.
    """

    def take(self, indices: Index) -> Any:
        """A selection of the tokens, for a mini-batch."""
        ...


class Source(NamedTuple):
    """The origin of data and initial weights: everything that is drawn is a function of it.

    `init_seed` decides the initial weights; where it is None, `seed` does.
    """

    data: AbstractData
    model: AbstractModel
    seed: Scalar
    init_seed: Scalar | None = None

    @property
    def weight_seed(self) -> Scalar:
        """The seed of the initial weights."""
        return self.seed if self.init_seed is None else self.init_seed

    def first_weights(self, rows: Int[Array, " r"]) -> Float[Array, "r units"]:
        """Rows of the initial weights W0 (d, units), zero in padded rows and filters."""
        key, d = stream(self.weight_seed, Purpose.INIT), actual_size(self.data.d)
        weights = self.filtered.first_weights(key, rows, d)
        weights = mask_padding(weights, valid_mask(self.filtered.units()))
        mask = self.mask(rows)
        weights = weights if mask is None else jnp.where(mask, weights, 0.0)
        if valid_mask(self.data.d) is None:
            return weights
        return jnp.where(rows[:, None] < d, weights, 0.0)

    def mask(self, rows: Int[Array, " r"]) -> Bool[Array, "r units"] | None:
        """Which weights of the first layer there are at some coordinates; None for all."""
        return self.filtered.mask(stream(self.weight_seed, Purpose.MASK), rows)

    def training_set(self) -> tuple[Vectors, Points]:
        """The feature directions and the training points; those beyond the actual n are zero."""
        directions = feature_directions(self.data, self.seed)
        return directions, training_points(self.data, self.seed, directions)

    @property
    def filtered(self) -> AbstractFiltered:
        """The model, in code that only networks with filters reach."""
        assert isinstance(self.model, AbstractFiltered)
        return self.model

    @property
    def units(self) -> int:
        """Number of filters of the network, padded ones included."""
        return int(self.filtered.units())

    @property
    def token_count(self) -> int:
        """K + n N."""
        return feature_count(self.data) + self.data.n * self.data.noise_vectors


class TrainingInputs(NamedTuple):
    """The training set of a lane as its coordinates need it; training never changes it.

    `context` is what the coordinates need besides the tokens; `arrival` is the number of updates
    before each point is seen, None where all are seen from the first.
    """

    tokens: Any
    info: PointInfo
    context: Any
    arrival: Int[Array, " points"] | None = None


class Rows(nnx.Param):
    """W^T: each filter is a row, whereas flax and optax have it as a column."""


def on_transposed_filters(
    rule: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """The rule on W instead of W^T, for rules that tell rows from columns, such as Muon."""

    # Only the first layer is stored transposed; weights of a head are not.
    def transpose_leaf(leaf: Any) -> Any:
        return leaf.replace(leaf[...].T) if isinstance(leaf, Rows) else leaf

    def transpose(tree: Any) -> Any:
        return jax.tree.map(transpose_leaf, tree, is_leaf=lambda leaf: isinstance(leaf, Rows))

    def init(params: Any) -> Any:
        return rule.init(transpose(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if "oracle" in extra:
            oracle = extra["oracle"].through(transpose)
            extra |= {"oracle": oracle, "value_fn": oracle.value}
        updates, state = rule.update(
            transpose(updates), state, transpose(params), **transpose(extra)
        )
        return transpose(updates), state

    return optax.GradientTransformationExtraArgs(init, update)


class AbstractFilters(nnx.Module):
    """The trainable first layer in some coordinates.

    A module that holds a gradient instead of weights is the gradient of W in these coordinates, so
    that the same methods give norms of both.
    """

    @abstractmethod
    def __call__(self, tokens: Any) -> Float[Array, "tokens units"]:
        """Pre-activations of training tokens."""

    @abstractmethod
    def projector(
        self, source: Source, context: Any
    ) -> Callable[[Vectors], Float[Array, "*rows units"]]:
        """A function from any vectors, such as those of fresh points, to their pre-activations."""

    @abstractmethod
    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        """W^T W."""

    @abstractmethod
    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        """||W||^2."""

    @abstractmethod
    def largest(self, inputs: TrainingInputs) -> Scalar | None:
        """The largest absolute weight; None where it is unknown in these coordinates."""
