"""The first layer of a network, in the coordinates in which it is trained.

A filters module maps *tokens* (the feature directions, then the noise vectors of the training points, K + n N in all)
to pre-activations, and holds the trainable weights. Tokens are a pytree with the token axis first, so that a
mini-batch is an index into that axis whatever the coordinates.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from sweep.data.base import AbstractData, Points, Vectors
from sweep.draws import Purpose, stream
from sweep.models.base import AbstractFiltered, AbstractModel
from sweep.spec import Scalar

Tokens = Any
"""What a filters module needs of each token: a pytree with the token axis first."""


class Ambient(nnx.Module):
    """W (d, units) as it is, stored d-first: exact for everything."""

    def __init__(self, weights: Float[Array, "d units"]) -> None:
        self.weights = nnx.Param(weights)

    @staticmethod
    def tokens(data: AbstractData, features: Vectors, points: Points) -> Float[Array, "tokens d"]:
        """All vectors of the training set, written out."""
        noise = points.noise.dense(data.d)
        return jnp.concatenate([features.dense(data.d), noise.reshape(-1, data.d)])

    def __call__(self, tokens: Float[Array, "tokens d"]) -> Float[Array, "tokens units"]:
        """Pre-activations of training tokens."""
        return tokens @ self.weights[...]

    def project(self, vectors: Vectors) -> Float[Array, "*rows units"]:
        """Pre-activations of any other vectors."""
        return vectors.project(self.weights[...])


class Patches(nnx.Module):
    """No filters: the network behind sees the vectors themselves."""

    def __init__(self, d: int) -> None:
        self.d = d

    tokens = staticmethod(Ambient.tokens)

    def __call__(self, tokens: Float[Array, "tokens d"]) -> Float[Array, "tokens d"]:
        """The tokens."""
        return tokens

    def project(self, vectors: Vectors) -> Float[Array, "*rows d"]:
        """The vectors written out."""
        return vectors.dense(self.d)


class Network(nnx.Module):
    """Filters, then a head on what the patches of a point give on them."""

    def __init__(self, filters: Ambient | Patches, head: nnx.Module) -> None:
        self.filters = filters
        self.head = head

    def __call__(self, patches: Float[Array, "points P units"]) -> Float[Array, " points"]:
        """The margin of each point, from its patches' pre-activations."""
        return self.head(patches)


def network(data: AbstractData, model: AbstractModel, seed: Scalar) -> Network:
    """The untrained network of a trial: its first weights come from the seed alone."""
    head = model.head(patch_count(data), data.d, nnx.Rngs(stream(seed, Purpose.HEAD)))
    if not isinstance(model, AbstractFiltered):
        return Network(Patches(data.d), head)
    return Network(Ambient(model.first_weights(stream(seed, Purpose.INIT), jnp.arange(data.d), data.d)), head)


def patch_count(data: AbstractData) -> int:
    """P: patches of a point."""

    def patches() -> Array:
        on_features = data.features(jax.random.key(0)).dense(data.d)
        return data.assemble(on_features, jnp.zeros((1, data.noise_vectors, data.d)), jnp.zeros(1))

    return jax.eval_shape(patches).shape[1]
