"""Span coordinates: gradients are sums of training vectors, so weights stay in W0 plus their span.

Exact for every optimizer that is linear in gradients and weights. A step costs inner products
between tokens, whatever the dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from sweep.data.base import Vectors
from sweep.filters import ambient
from sweep.filters.base import AbstractFilters, Index, Source, TrainingInputs
from sweep.spec import Scalar


class InnerProducts(NamedTuple):
    """Inner products of tokens with all tokens and with W0; `index` is the number of a token."""

    gram: Float[Array, "tokens all"]
    first: Float[Array, "tokens units"]
    index: Int[Array, " tokens"]

    def take(self, indices: Index) -> InnerProducts:
        """A selection of the tokens."""
        return InnerProducts(self.gram[indices], self.first[indices], self.index[indices])


class SpanContext(NamedTuple):
    """The vectors themselves, the initial weights W0 and W0^T W0."""

    vectors: Float[Array, "all d"]
    first: Float[Array, "d units"]
    first_gram: Float[Array, "units units"]


class Span(AbstractFilters):
    """W = kept W0 + tokens^T along, with a number `kept` and `along` (tokens, units).

    `rotated`: vectors and W0 are known only up to a rotation.
    """

    def __init__(self, source: Source, rotated: bool = False) -> None:
        # Names and order of parameters are part of every checkpoint.
        self.kept = nnx.Param(jnp.ones(()))
        self.along = nnx.Param(jnp.zeros((source.token_count, source.units)))
        self.rotated = rotated

    def __call__(self, tokens: InnerProducts) -> Float[Array, "tokens units"]:
        moved = span_responses(self.along[...], tokens.gram, tokens.index)
        # `kept` has no gradient: only weight decay changes it.
        return jax.lax.stop_gradient(self.share) * tokens.first + moved

    @property
    def share(self) -> Float[Array, ""]:
        """The share of W0 that is left."""
        return self.kept[...]

    def weights(self, context: SpanContext) -> Float[Array, "d units"]:
        """W."""
        return self.share * context.first + context.vectors.T @ self.along[...]

    def projector(
        self, source: Source, context: SpanContext
    ) -> Callable[[Vectors], Float[Array, "*rows units"]]:
        """A function from vectors to their inner products with the current weights W."""
        weights = self.weights(context)
        return lambda vectors: vectors.project(weights)

    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        """W^T W (units, units), from the inner products."""
        share, along = self.share, self.along[...]
        cross = share * inputs.tokens.first.T @ along
        moved = along.T @ (inputs.tokens.gram @ along)
        return share**2 * inputs.context.first_gram + cross + cross.T + moved

    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        """||W||^2, from the inner products."""
        share, along = self.share, self.along[...]
        moved = jnp.sum(along * (2 * share * inputs.tokens.first + inputs.tokens.gram @ along))
        # Rounding may push a norm near zero below it.
        return jnp.maximum(share**2 * jnp.trace(inputs.context.first_gram) + moved, 0.0)

    def largest(self, inputs: TrainingInputs) -> Scalar | None:
        """The largest absolute weight, None where W is known only up to a rotation."""
        return None if self.rotated else jnp.max(jnp.abs(self.weights(inputs.context)))


@jax.custom_vjp
def span_responses(along: Array, gram: Array, index: Array) -> Array:
    """Inner products of some tokens T with W = A^T along, differentiated in span coordinates.

    Tokens are the training vectors (see `filters.base.Tokens`): A are all of them, T those of a
    batch. The cotangent S is passed on as the gradient of `along`: the gradient of W is T^T S,
    whose coordinates are S.

    Args:
        along: coordinates of W (all tokens, units).
        gram: inner products T A^T (tokens, all tokens).
        index: numbers of the tokens of T among all (tokens,).
    """
    return gram @ along


def _forward(along: Array, gram: Array, index: Array) -> tuple[Array, Any]:
    """The responses, and what the backward pass needs."""
    full_batch = gram.shape[0] == gram.shape[1]
    return gram @ along, (along, full_batch, index)


def _backward(residuals: Any, cotangent: Array) -> tuple[Array, None, None]:
    """The cotangent as the gradient of `along`, with zeros for tokens outside the batch."""
    along, full_batch, index = residuals
    if full_batch:
        return cotangent, None, None
    return jnp.zeros_like(along).at[index].add(cotangent), None, None


span_responses.defvjp(_forward, _backward)


def span_inputs(source: Source) -> TrainingInputs:
    """The inner products of the training set of `source` and its initial weights."""
    inputs = ambient.ambient_inputs(source)
    return inner_product_inputs(inputs, source.first_weights(jnp.arange(source.data.d)))


def inner_product_inputs(inputs: TrainingInputs, first: Float[Array, "d units"]) -> TrainingInputs:
    """Inputs in span coordinates, from those in ambient coordinates and the initial weights."""
    vectors = inputs.tokens.rows
    tokens = InnerProducts(vectors @ vectors.T, vectors @ first, jnp.arange(vectors.shape[0]))
    return inputs._replace(tokens=tokens, context=SpanContext(vectors, first, first.T @ first))
