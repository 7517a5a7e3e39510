"""Ambient coordinates: the weights themselves. Exact for everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.data.base import Vectors
from sweep.filters.base import AbstractFilters, Index, Rows, Source, TrainingInputs
from sweep.spec import Scalar


class DenseTokens(NamedTuple):
    """Tokens written out, with their transpose so that both products of a step read in order.

    `columns` is None for a mini-batch.
    """

    rows: Float[Array, "tokens d"]
    columns: Float[Array, "d tokens"] | None

    def take(self, indices: Index) -> DenseTokens:
        """A selection of the tokens."""
        return DenseTokens(self.rows[indices], None)


def dense_tokens(rows: Float[Array, "tokens d"]) -> DenseTokens:
    """All tokens, with the transpose."""
    return DenseTokens(rows, rows.T)


@jax.custom_vjp
def ambient_responses(
    weights: Float[Array, "units d"], tokens: DenseTokens
) -> Float[Array, "tokens units"]:
    """tokens weights^T, with both products of a step as products of long rows."""
    # Tall products with only `units` columns are up to 1.5 times slower on a CPU, and without the
    # barriers XLA would swap the operands back.
    return _forward(weights, tokens)[0]


def _forward(weights: Array, tokens: DenseTokens) -> tuple[Array, DenseTokens]:
    """The responses, and the tokens for the backward pass."""
    columns = tokens.rows.T if tokens.columns is None else tokens.columns
    return jax.lax.optimization_barrier(weights @ columns).T, tokens


def _backward(tokens: DenseTokens, cotangent: Array) -> tuple[Array, None]:
    """The gradient of the weights; the tokens have none."""
    return jax.lax.optimization_barrier(cotangent.T) @ tokens.rows, None


ambient_responses.defvjp(_forward, _backward)


class Ambient(AbstractFilters):
    """`weights` (units, d): W^T, a filter a row."""

    def __init__(self, weights: Float[Array, "units d"]) -> None:
        self.weights = Rows(weights)

    def __call__(self, tokens: DenseTokens) -> Float[Array, "tokens units"]:
        return ambient_responses(self.weights[...], tokens)

    def projector(
        self, source: Source, context: None
    ) -> Callable[[Vectors], Float[Array, "*rows units"]]:
        """A function from vectors to their inner products with the current weights W."""
        weights = self.weights[...].T
        return lambda vectors: vectors.project(weights)

    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        """W^T W (units, units)."""
        return self.weights[...] @ self.weights[...].T

    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        """||W||^2."""
        return jnp.sum(self.weights[...] ** 2)

    def largest(self, inputs: TrainingInputs) -> Scalar:
        """The largest absolute weight."""
        return jnp.max(jnp.abs(self.weights[...]))


def ambient_filters(source: Source) -> Ambient:
    """The first layer before training."""
    return Ambient(source.first_weights(jnp.arange(source.data.d)).T)


def ambient_inputs(source: Source) -> TrainingInputs:
    """All vectors of the training set, written out."""
    directions, points = source.training_set()
    d = int(source.data.d)
    tokens = jnp.concatenate([directions.dense(d), points.noise.dense(d).reshape(-1, d)])
    return TrainingInputs(dense_tokens(tokens), points.true_label, points.label, None)


def ambient_draws(source: Source) -> int:
    """The number of random numbers that make a training set and initial weights."""
    return source.data.d * (source.token_count + source.units)
