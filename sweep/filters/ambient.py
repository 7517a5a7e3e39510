"""Ambient coordinates: the weights themselves. Exact for everything."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from sweep.data.base import Vectors
from sweep.filters.base import AbstractFilters, Scene, Source
from sweep.spec import Scalar


class Ambient(AbstractFilters):
    """W (d, units), stored d-first: the product that makes its gradient is 1.5 times faster so."""

    def __init__(self, weights: Float[Array, "d units"]) -> None:
        self.weights = nnx.Param(weights)

    def __call__(self, tokens: Float[Array, "tokens d"]) -> Float[Array, "tokens units"]:
        return tokens @ self.weights[...]

    def projector(self, source: Source, frame: None) -> Callable[[Vectors], Float[Array, "*rows units"]]:
        weights = self.weights[...]
        return lambda vectors: vectors.project(weights)

    def covariance(self, scene: Scene) -> Float[Array, "units units"]:
        return self.weights[...].T @ self.weights[...]

    def squared_norm(self, scene: Scene) -> Scalar:
        return jnp.sum(self.weights[...] ** 2)

    def largest(self, scene: Scene) -> Scalar:
        return jnp.max(jnp.abs(self.weights[...]))


def filters(source: Source) -> Ambient:
    """The first layer before training."""
    return Ambient(source.first_weights(jnp.arange(source.data.d)))


def scene(source: Source) -> Scene:
    """All vectors of the training set, written out."""
    directions, points = source.training_set()
    d = int(source.data.d)
    tokens = jnp.concatenate([directions.dense(d), points.noise.dense(d).reshape(-1, d)])
    return Scene(tokens, points.truth, points.label, None)


def draws(source: Source) -> int:
    """Random numbers that make a training set and first weights."""
    return source.data.d * (source.token_count + source.units)
