"""What a coordinate system of the first layer is to the rest of the program."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from sweep.data.base import AbstractData, Points, Vectors, feature_count, feature_directions, training_points
from sweep.models.base import AbstractFiltered, AbstractModel
from sweep.padding import actual_size, mask_padding, valid_mask
from sweep.prng import Purpose, stream
from sweep.spec import Scalar

Index = Int[Array, " some"] | slice


class Tokens(Protocol):
    """What a filters module needs of each token: the feature directions, then the noise vectors of the training points.

    They are K + n N in all.
    """

    def take(self, which: Index) -> Any:
        """Some of the tokens, for a mini-batch."""
        ...


class Source(NamedTuple):
    """Where data and first weights come from: everything that is drawn is a function of it."""

    data: AbstractData
    model: AbstractModel
    seed: Scalar

    def first_weights(self, rows: Int[Array, " r"]) -> Float[Array, "r units"]:
        """Rows of the first weights W0 (d, units), zero where the dimension or the filters are padded."""
        assert isinstance(self.model, AbstractFiltered)
        drawn = self.model.first_weights(stream(self.seed, Purpose.INIT), rows, actual_size(self.data.d))
        drawn = mask_padding(drawn, valid_mask(self.model.units()))
        return (
            drawn
            if valid_mask(self.data.d) is None
            else jnp.where(rows[:, None] < actual_size(self.data.d), drawn, 0.0)
        )

    def training_set(self) -> tuple[Vectors, Points]:
        """The feature directions and the training points; those beyond a padded n are zero, labels included."""
        directions = feature_directions(self.data, self.seed)
        points = training_points(self.data, self.seed, directions)
        kept = valid_mask(self.data.n)
        if kept is None:
            return directions, points
        noise = points.noise._replace(value=jnp.where(kept[:, None, None], points.noise.value, 0.0))
        return directions, Points(noise, mask_padding(points.truth, kept), mask_padding(points.label, kept))

    @property
    def units(self) -> int:
        """Filters of the network."""
        assert isinstance(self.model, AbstractFiltered)
        return int(self.model.units())

    @property
    def token_count(self) -> int:
        """K + n N."""
        return feature_count(self.data) + self.data.n * self.data.noise_vectors


class TrainingInputs(NamedTuple):
    """What a lane reads and never changes: its training set, as its coordinates need it.

    `frame` is what belongs to no single token.
    """

    tokens: Any
    truth: Float[Array, " points"]
    label: Float[Array, " points"]
    frame: Any


class Rows(nnx.Param):
    """W^T: a filter a row, where flax and optax have it a column."""


def on_transposed_filters(rule: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The rule on W instead of W^T, for one that asks what rows and columns of a matrix are, such as Muon."""

    def turn(tree: Any) -> Any:
        def one(leaf: Any) -> Any:
            return leaf.replace(leaf[...].T) if isinstance(leaf, Rows) else leaf

        return jax.tree.map(one, tree, is_leaf=lambda leaf: isinstance(leaf, Rows))

    def update(updates: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        found, state = rule.update(turn(updates), state, turn(params), **turn(more))
        return turn(found), state

    return optax.GradientTransformationExtraArgs(lambda params: rule.init(turn(params)), update)


class AbstractFilters(nnx.Module):
    """The trainable first layer in some coordinates.

    A module that holds a gradient instead of weights is the gradient of W in these coordinates, so that norms of both
    are asked for in the same way.
    """

    @abstractmethod
    def __call__(self, tokens: Any) -> Float[Array, "tokens units"]:
        """Pre-activations of training tokens."""

    @abstractmethod
    def projector(self, source: Source, frame: Any) -> Callable[[Vectors], Float[Array, "*rows units"]]:
        """What gives the pre-activations of any other vectors."""

    @abstractmethod
    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        """W^T W."""

    @abstractmethod
    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        """||W||^2."""

    @abstractmethod
    def largest(self, inputs: TrainingInputs) -> Scalar | None:
        """The largest absolute weight; None where the coordinates do not know it."""
