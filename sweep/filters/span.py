"""Span coordinates: gradients are sums of training vectors, so the weights never leave W0 and their span.

Exact for every optimizer that is linear in gradients and weights. A step costs inner products between tokens, whatever
the dimension.
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


class Inner(NamedTuple):
    """Inner products of tokens: with all tokens, and with the first weights; `place` is their number."""

    gram: Float[Array, "tokens all"]
    first: Float[Array, "tokens units"]
    place: Int[Array, " tokens"]

    def take(self, which: Index) -> Inner:
        """Some of the tokens."""
        return Inner(self.gram[which], self.first[which], self.place[which])


class SpanContext(NamedTuple):
    """The vectors themselves, the first weights W0 and W0^T W0."""

    vectors: Float[Array, "all d"]
    first: Float[Array, "d units"]
    first_gram: Float[Array, "units units"]


class Span(AbstractFilters):
    """W = kept W0 + tokens^T along, with a number `kept` and `along` (tokens, units).

    `rotated` says that vectors and W0 are known up to a rotation only.
    """

    def __init__(self, source: Source, rotated: bool = False) -> None:
        self.kept = nnx.Param(jnp.ones(()))
        self.along = nnx.Param(jnp.zeros((source.token_count, source.units)))
        self.rotated = rotated

    def __call__(self, tokens: Inner) -> Float[Array, "tokens units"]:
        return jax.lax.stop_gradient(self.kept[...]) * tokens.first + span_responses(
            self.along[...], tokens.gram, tokens.place
        )

    def weights(self, frame: SpanContext) -> Float[Array, "d units"]:
        """W."""
        return self.kept[...] * frame.first + frame.vectors.T @ self.along[...]

    def projector(self, source: Source, frame: SpanContext) -> Callable[[Vectors], Float[Array, "*rows units"]]:
        weights = self.weights(frame)
        return lambda vectors: vectors.project(weights)

    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        kept, along = self.kept[...], self.along[...]
        cross = kept * inputs.tokens.first.T @ along
        return kept**2 * inputs.frame.first_gram + cross + cross.T + along.T @ (inputs.tokens.gram @ along)

    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        kept, along = self.kept[...], self.along[...]
        moved = jnp.sum(along * (2 * kept * inputs.tokens.first + inputs.tokens.gram @ along))
        return jnp.maximum(kept**2 * jnp.trace(inputs.frame.first_gram) + moved, 0.0)

    def largest(self, inputs: TrainingInputs) -> Scalar | None:
        return None if self.rotated else jnp.max(jnp.abs(self.weights(inputs.frame)))


@jax.custom_vjp
def span_responses(along: Array, gram: Array, place: Array) -> Array:
    """What tokens see of `along`.

    Its cotangent S is handed back as it is, as the gradient of `along`: the gradient of W is tokens^T S, whose
    coordinates are S.
    """
    return gram @ along


def _forward(along: Array, gram: Array, place: Array) -> tuple[Array, Any]:
    return gram @ along, (along, gram.shape[0] == gram.shape[1], place)


def _backward(kept: Any, cotangent: Array) -> tuple[Array, None, None]:
    along, whole, place = kept
    return (cotangent if whole else jnp.zeros_like(along).at[place].add(cotangent)), None, None


span_responses.defvjp(_forward, _backward)


def span_inputs(source: Source) -> TrainingInputs:
    """The inner products of the training set of `source` and its first weights."""
    drawn = ambient.ambient_inputs(source)
    return of(drawn, source.first_weights(jnp.arange(source.data.d)))


def of(drawn: TrainingInputs, first: Float[Array, "d units"]) -> TrainingInputs:
    """Inner products of a scene in ambient coordinates and the first weights."""
    vectors = drawn.tokens.rows
    tokens = Inner(vectors @ vectors.T, vectors @ first, jnp.arange(vectors.shape[0]))
    return drawn._replace(tokens=tokens, frame=SpanContext(vectors, first, first.T @ first))
