"""Whole networks: a first layer in some coordinates, or none, and a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from sweep.data.base import AbstractData, AbstractGaussian, Sparse, Vectors, feature_count, features, training_points
from sweep.filters import ambient, gram, span, support
from sweep.filters.base import AbstractFilters, Scene, Source
from sweep.models.base import AbstractFiltered, AbstractModel
from sweep.optimizers.base import AbstractOptimizer
from sweep.padding import actual_size
from sweep.prng import Purpose, stream
from sweep.spec import Scalar


class System(NamedTuple):
    """A coordinate system: the first layer of a network before training, and what its lane reads.

    Costs: `rows` numbers are trained for each filter, of which a step makes `products` matrix products with the tokens
    that it sees; `draws` random numbers make a lane.
    """

    filters: Callable[[Source], AbstractFilters]
    scene: Callable[[Source], Scene]
    rows: Callable[[Source], int]
    products: int
    draws: Callable[[Source], int]


COORDINATES: dict[str, System] = {
    "ambient": System(ambient.filters, ambient.scene, lambda source: source.data.d, 2, ambient.draws),
    "support": System(support.filters, support.scene, support.touched, 2, ambient.draws),
    "span": System(span.Span, span.scene, lambda source: source.token_count, 1, ambient.draws),
    "gram": System(
        lambda source: span.Span(source, rotated=True), gram.scene, lambda source: source.token_count, 1, gram.draws
    ),
}


class Patches(nnx.Module):
    """No filters: the network behind sees the vectors themselves."""

    def __init__(self, d: int) -> None:
        self.d = d

    def __call__(self, tokens: ambient.Written) -> Float[Array, "tokens d"]:
        """The tokens."""
        return tokens.rows

    def projector(self, source: Source, frame: None) -> Callable[[Vectors], Float[Array, "*rows d"]]:
        """The vectors written out."""
        return lambda vectors: vectors.dense(self.d)


class Network(nnx.Module):
    """Filters, then a head on what the patches of a point give on them."""

    def __init__(self, filters: AbstractFilters | Patches, head: nnx.Module) -> None:
        self.filters = filters
        self.head = head

    def __call__(self, patches: Float[Array, "points P units"]) -> Float[Array, " points"]:
        """The margin of each point, from its patches' pre-activations."""
        return self.head(patches)

    def squared_norm(self, scene: Scene) -> Scalar:
        """Of all trained weights, or of the gradient that the network holds instead."""
        if isinstance(self.filters, Patches):
            return optax.tree.norm(nnx.state(self, nnx.Param), squared=True)
        return self.filters.squared_norm(scene) + optax.tree.norm(nnx.state(self.head, nnx.Param), squared=True)

    def largest(self, scene: Scene) -> Scalar | None:
        """The largest absolute weight; None where the coordinates do not know it."""
        rest = optax.tree.norm(nnx.state(self.head, nnx.Param), ord=jnp.inf)
        if isinstance(self.filters, Patches):
            return rest
        first = self.filters.largest(scene)
        return None if first is None else jnp.maximum(first, rest)


def network(source: Source, coordinates: str) -> Network:
    """The untrained network of a trial: its first weights come from the seed alone."""
    data, model, rngs = source.data, source.model, nnx.Rngs(stream(source.seed, Purpose.HEAD))
    if not isinstance(model, AbstractFiltered):
        return Network(Patches(int(data.d)), model.head(patch_count(data), int(data.d), rngs))
    return Network(COORDINATES[coordinates].filters(source), model.head(patch_count(data), actual_size(data.d), rngs))


def scene(source: Source, coordinates: str) -> Scene:
    """The training set of a trial."""
    return COORDINATES[coordinates].scene(source)


def patch_count(data: AbstractData) -> int:
    """P: patches of a point."""

    def patches() -> Array:
        on_features, on_noise = jnp.zeros((feature_count(data), 1)), jnp.zeros((1, data.noise_vectors, 1))
        return data.assemble(on_features, on_noise, jnp.zeros(1))

    return jax.eval_shape(patches).shape[1]


def unfit(coordinates: str, data: AbstractData, model: AbstractModel, optimizer: AbstractOptimizer) -> str | None:
    """Why parts cannot be trained in some coordinates; None where they can."""
    if coordinates == "ambient":
        return None
    if not isinstance(model, AbstractFiltered):
        return "the network has no first-layer filters"
    if coordinates == "support":
        noise = jax.eval_shape(lambda: training_points(data, 0, features(data, 0))).noise
        if not isinstance(noise, Sparse):
            return "the data is not sparse"
        return None if optimizer.elementwise else "the optimizer does not move each weight by its own gradients alone"
    if not optimizer.linear:
        return "the optimizer is not linear in the gradient, so that its steps leave the span of the training vectors"
    if coordinates == "gram" and not isinstance(data, AbstractGaussian):
        return "the noise is not Gaussian, so that its inner products have no known law"
    if coordinates == "gram" and model.first_scale() is None:
        return "the first weights are not Gaussian"
    return None


def automatic(model: type[AbstractModel], optimizer: type[AbstractOptimizer]) -> str:
    """What `coordinates: auto` prefers for such parts wherever there are fewer noise vectors than dimensions."""
    return "span" if optimizer.linear and issubclass(model, AbstractFiltered) else "ambient"
