"""Support coordinates: the rows of W that the training data touches. All other rows only decay.

Exact for sparse data and optimizers that move each weight by its own gradients, where all weights
without a gradient keep the same share of their first value: without an l2 term, or where the
optimizer is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from sweep.data.base import Sparse, Vectors
from sweep.filters.ambient import DenseTokens, ambient_responses, dense_tokens
from sweep.filters.base import AbstractFilters, Rows, Source, TrainingInputs
from sweep.spec import Scalar

CHUNK = 4096
"""Rows of initial weights that are drawn at once for norms of the untouched ones."""


class SupportContext(NamedTuple):
    """The touched coordinates, ascending and filled up with d; norms of all other rows of W0."""

    rows: Int[Array, " touched"]
    untouched_square: Float[Array, ""]
    untouched_largest: Float[Array, ""]


class Support(AbstractFilters):
    """`weights` (units, touched) are rows of W, transposed; all others are `kept` times W0's."""

    def __init__(self, weights: Float[Array, "units touched"]) -> None:
        # Names and order of parameters are part of every checkpoint.
        self.weights = Rows(weights)
        self.kept = nnx.Param(jnp.ones(()))

    def __call__(self, tokens: DenseTokens) -> Float[Array, "tokens units"]:
        return ambient_responses(self.weights[...], tokens)

    @property
    def share(self) -> Float[Array, ""]:
        """The share of the initial weights that is left in untouched rows."""
        return self.kept[...]

    def projector(
        self, source: Source, context: SupportContext
    ) -> Callable[[Sparse], Float[Array, "*rows units"]]:
        """A function from vectors to their inner products with the current weights W."""
        weights = self.weights[...].T

        def rows(index: Int[Array, " r"]) -> Float[Array, "r units"]:
            position, touched = _find_rows(context.rows, index)
            untouched = self.share * source.first_weights(index)
            return jnp.where(touched[:, None], weights[position], untouched)

        def project(vectors: Sparse) -> Float[Array, "*rows units"]:
            entries = rows(vectors.index.reshape(-1)).reshape(*vectors.index.shape, -1)
            return jnp.einsum("...s,...su->...u", vectors.value, entries)

        return project

    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        """Not available: raises NotImplementedError."""
        raise NotImplementedError("Only Gaussian noise needs a covariance; support data is sparse.")

    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        """||W||^2, untouched rows included."""
        untouched = self.share**2 * inputs.context.untouched_square
        return jnp.sum(self.weights[...] ** 2) + untouched

    def largest(self, inputs: TrainingInputs) -> Scalar:
        """The largest absolute weight, untouched rows included."""
        touched = jnp.max(jnp.abs(self.weights[...]))
        return jnp.maximum(touched, jnp.abs(self.share) * inputs.context.untouched_largest)


def support_filters(source: Source) -> Support:
    """The first layer before training."""
    return Support(_first_weights(source, _touched(source)).T)


def support_inputs(source: Source) -> TrainingInputs:
    """The training set, written out on the touched coordinates."""
    directions, points = source.training_set()
    rows = _touched(source)

    def dense(vectors: Vectors) -> Float[Array, "*rows touched"]:
        assert isinstance(vectors, Sparse)
        return Sparse(jnp.searchsorted(rows, vectors.index), vectors.value).dense(len(rows))

    tokens = jnp.concatenate([dense(directions), dense(points.noise).reshape(-1, len(rows))])
    context = SupportContext(rows, *_untouched_norms(source, rows))
    return TrainingInputs(dense_tokens(tokens), points.true_label, points.label, context)


def touched_count(source: Source) -> int:
    """An upper bound on the touched rows: the nonzero entries of training vectors, at most d."""
    return jax.eval_shape(lambda: _touched(source)).shape[0]


def _touched(source: Source) -> Int[Array, " touched"]:
    """Coordinates at which any training vector is nonzero, ascending, filled up with d."""
    directions, points = source.training_set()
    assert isinstance(directions, Sparse) and isinstance(points.noise, Sparse)
    index = jnp.concatenate([jnp.ravel(directions.index), jnp.ravel(points.noise.index)])
    d = int(source.data.d)
    return jnp.unique(index, size=min(d, len(index)), fill_value=d)


def _first_weights(source: Source, rows: Int[Array, " r"]) -> Float[Array, "r units"]:
    """Rows of W0 at the touched coordinates, zero where the coordinate is only filling."""
    return jnp.where((rows < source.data.d)[:, None], source.first_weights(rows), 0.0)


def _find_rows(
    rows: Int[Array, " touched"], index: Int[Array, " r"]
) -> tuple[Int[Array, " r"], Bool[Array, " r"]]:
    """Positions of `index` in the sorted `rows`, and whether they are there at all."""
    position = jnp.minimum(jnp.searchsorted(rows, index), len(rows) - 1)
    return position, rows[position] == index


def _untouched_norms(source: Source, touched: Int[Array, " touched"]) -> tuple[Array, Array]:
    """Sum of squares and largest absolute value of the initial weights in untouched rows."""

    def chunk(first: Array) -> tuple[Array, Array]:
        rows = first + jnp.arange(CHUNK)
        _, is_touched = _find_rows(touched, rows)
        weights = jnp.where(is_touched[:, None], 0.0, _first_weights(source, rows))
        return jnp.sum(weights**2), jnp.max(jnp.abs(weights))

    # A chunk at a time: support is for dimensions whose initial weights do not fit into memory.
    squares, largest = jax.lax.map(chunk, jnp.arange(0, int(source.data.d), CHUNK))
    return jnp.sum(squares), jnp.max(largest)
