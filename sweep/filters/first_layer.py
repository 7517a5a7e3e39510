"""Whole networks: a first layer in some coordinates, or none, and a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from sweep.data.base import (
    AbstractData,
    AbstractGaussian,
    Sparse,
    Vectors,
    feature_directions,
    patch_count,
    training_points,
)
from sweep.filters import ambient, gram, span, support
from sweep.filters.base import AbstractFilters, Source, TrainingInputs
from sweep.models.base import AbstractFiltered, AbstractModel
from sweep.optimizers.base import AbstractOptimizer
from sweep.padding import actual_size
from sweep.prng import Purpose, stream
from sweep.spec import Scalar


class CoordinateSystem(NamedTuple):
    """A coordinate system: the first layer of a network before training, and its inputs.

    For the cost model: `rows` numbers are trained for each filter, a step multiplies them
    `products` times with its tokens, and a lane starts with `draws` random numbers.
    """

    filters: Callable[[Source], AbstractFilters]
    training_inputs: Callable[[Source], TrainingInputs]
    rows: Callable[[Source], int]
    products: int
    draws: Callable[[Source], int]


COORDINATES: dict[str, CoordinateSystem] = {
    "ambient": CoordinateSystem(
        ambient.ambient_filters,
        ambient.ambient_inputs,
        lambda source: source.data.d,
        2,
        ambient.ambient_draws,
    ),
    "support": CoordinateSystem(
        support.support_filters,
        support.support_inputs,
        support.touched_count,
        2,
        ambient.ambient_draws,
    ),
    "span": CoordinateSystem(
        span.Span,
        span.span_inputs,
        lambda source: source.token_count,
        1,
        ambient.ambient_draws,
    ),
    "gram": CoordinateSystem(
        lambda source: span.Span(source, rotated=True),
        gram.gram_inputs,
        lambda source: source.token_count,
        1,
        gram.gram_draws,
    ),
}


class Patches(nnx.Module):
    """No filters: the head reads the vectors themselves."""

    def __init__(self, d: int) -> None:
        self.d = d

    def __call__(self, tokens: ambient.DenseTokens) -> Float[Array, "tokens d"]:
        """The tokens."""
        return tokens.rows

    def projector(
        self, source: Source, context: None
    ) -> Callable[[Vectors], Float[Array, "*rows d"]]:
        """A function that writes vectors out, with all d coordinates."""
        return lambda vectors: vectors.dense(self.d)


class Network(nnx.Module):
    """Filters, then a head on their responses to the patches of a point."""

    def __init__(self, filters: AbstractFilters | Patches, head: nnx.Module) -> None:
        self.filters = filters
        self.head = head

    def __call__(self, patches: Float[Array, "points P units"]) -> Float[Array, "points ..."]:
        """The margin or the outputs of each point, from its patches' pre-activations."""
        return self.head(patches)

    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        """Squared norm of all trained weights, or of the gradient that stands in their place."""
        if isinstance(self.filters, Patches):
            return optax.tree.norm(nnx.state(self, nnx.Param), squared=True)
        head = optax.tree.norm(nnx.state(self.head, nnx.Param), squared=True)
        return self.filters.squared_norm(inputs) + head

    def largest(self, inputs: TrainingInputs) -> Scalar | None:
        """The largest absolute weight; None where it is unknown in these coordinates."""
        head = optax.tree.norm(nnx.state(self.head, nnx.Param), ord=jnp.inf)
        if isinstance(self.filters, Patches):
            return head
        first = self.filters.largest(inputs)
        return None if first is None else jnp.maximum(first, head)


def initial_network(source: Source, coordinates: str) -> Network:
    """The network of a trial before training; its weights depend on the seed alone."""
    data, model = source.data, source.model
    rngs = nnx.Rngs(stream(source.weight_seed, Purpose.HEAD))
    patches = patch_count(data)
    if not isinstance(model, AbstractFiltered):
        return Network(Patches(int(data.d)), model.head(patches, int(data.d), rngs))
    filters = COORDINATES[coordinates].filters(source)
    return Network(filters, model.head(patches, actual_size(data.d), rngs))


def training_inputs(source: Source, coordinates: str) -> TrainingInputs:
    """The training set of a trial."""
    return COORDINATES[coordinates].training_inputs(source)


def incompatibility(
    coordinates: str, data: AbstractData, model: AbstractModel, optimizer: AbstractOptimizer
) -> str | None:
    """Why parts cannot be trained in some coordinates.

    Args:
        coordinates: a name in `COORDINATES`.
        data: the data model.
        model: the network.
        optimizer: the optimizer.

    Returns:
        The reason as a clause, for a message; None where they can be trained.
    """
    if coordinates == "ambient":
        return None
    if not isinstance(model, AbstractFiltered):
        return "the network has no first-layer filters"
    if jax.eval_shape(lambda: Source(data, model, 0).mask(jnp.arange(1))) is not None:
        return "each filter has weights of its own that stay zero"
    if coordinates == "support":
        noise = jax.eval_shape(lambda: training_points(data, 0, feature_directions(data, 0))).noise
        if not isinstance(noise, Sparse):
            return "the data is not sparse"
        if not optimizer.elementwise:
            return "the optimizer does not move each weight by its own gradients alone"
        return None
    if not optimizer.stays_in_span:
        return (
            "the optimizer is not linear in the gradient, so that its steps leave the span of the "
            "training vectors"
        )
    if coordinates == "gram" and not isinstance(data, AbstractGaussian):
        return "the noise is not Gaussian, so that its inner products have no known law"
    if coordinates == "gram" and model.first_scale() is None:
        return "the initial weights are not Gaussian"
    return None


def default_coordinates(
    data: AbstractData, model: AbstractModel, optimizer: AbstractOptimizer
) -> str:
    """What `coordinates: auto` stands for where there are fewer noise vectors than dimensions.

    `span` where it can train the parts, else `ambient`.
    """
    return "ambient" if incompatibility("span", data, model, optimizer) else "span"
