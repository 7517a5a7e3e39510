"""Support coordinates: the rows of W that the training data touches. Everything else only decays.

Exact for sparse data and optimizers that move each weight by its own gradients, where weights without a gradient all
keep the same share of their first value: without an l2 term, or where the optimizer is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from sweep.data.base import Sparse, Vectors
from sweep.filters.ambient import Written, ambient_responses, written
from sweep.filters.base import AbstractFilters, Rows, Source, TrainingInputs
from sweep.spec import Scalar

CHUNK = 4096


class SupportContext(NamedTuple):
    """The touched coordinates in ascending order, filled up with d; what the first weights have in all other rows."""

    rows: Int[Array, " touched"]
    other_square: Float[Array, ""]
    other_largest: Float[Array, ""]


class Support(AbstractFilters):
    """`weights` (units, touched) are rows of W, transposed; every other row is `kept` times its first value."""

    def __init__(self, weights: Float[Array, "units touched"]) -> None:
        self.weights = Rows(weights)
        self.kept = nnx.Param(jnp.ones(()))

    def __call__(self, tokens: Written) -> Float[Array, "tokens units"]:
        return ambient_responses(self.weights[...], tokens)

    def projector(self, source: Source, frame: SupportContext) -> Callable[[Sparse], Float[Array, "*rows units"]]:
        weights = self.weights[...].T

        def rows(index: Int[Array, " r"]) -> Float[Array, "r units"]:
            place = jnp.minimum(jnp.searchsorted(frame.rows, index), len(frame.rows) - 1)
            touched = (frame.rows[place] == index)[:, None]
            return jnp.where(touched, weights[place], self.kept[...] * source.first_weights(index))

        def project(vectors: Sparse) -> Float[Array, "*rows units"]:
            found = rows(vectors.index.reshape(-1)).reshape(*vectors.index.shape, -1)
            return jnp.einsum("...s,...su->...u", vectors.value, found)

        return project

    def covariance(self, inputs: TrainingInputs) -> Float[Array, "units units"]:
        raise NotImplementedError("Sparse noise has no Gaussian law that would ask for it.")

    def squared_norm(self, inputs: TrainingInputs) -> Scalar:
        return jnp.sum(self.weights[...] ** 2) + self.kept[...] ** 2 * inputs.frame.other_square

    def largest(self, inputs: TrainingInputs) -> Scalar:
        touched = jnp.max(jnp.abs(self.weights[...]))
        return jnp.maximum(touched, jnp.abs(self.kept[...]) * inputs.frame.other_largest)


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
    return TrainingInputs(written(tokens), points.truth, points.label, SupportContext(rows, *_other_rows(source, rows)))


def touched(source: Source) -> int:
    """How many rows there are: at most one for each coordinate of a training vector that is not zero."""
    return jax.eval_shape(lambda: _touched(source)).shape[0]


def _touched(source: Source) -> Int[Array, " touched"]:
    directions, points = source.training_set()
    assert isinstance(directions, Sparse) and isinstance(points.noise, Sparse)
    index = jnp.concatenate([jnp.ravel(directions.index), jnp.ravel(points.noise.index)])
    d = int(source.data.d)
    return jnp.unique(index, size=min(d, len(index)), fill_value=d)


def _first_weights(source: Source, rows: Int[Array, " r"]) -> Float[Array, "r units"]:
    return jnp.where((rows < source.data.d)[:, None], source.first_weights(rows), 0.0)


def _other_rows(source: Source, touched: Int[Array, " touched"]) -> tuple[Array, Array]:
    """Sum of squares and largest absolute first weight of the rows that are not touched, drawn a few at a time."""

    def chunk(first: Array) -> tuple[Array, Array]:
        rows = first + jnp.arange(CHUNK)
        place = jnp.minimum(jnp.searchsorted(touched, rows), len(touched) - 1)
        weights = jnp.where((touched[place] == rows)[:, None], 0.0, _first_weights(source, rows))
        return jnp.sum(weights**2), jnp.max(jnp.abs(weights))

    squares, largest = jax.lax.map(chunk, jnp.arange(0, int(source.data.d), CHUNK))
    return jnp.sum(squares), jnp.max(largest)
