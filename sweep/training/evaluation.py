"""Fresh points to test a network on: their random numbers, and what filters give on them.

The random numbers of a point depend on the seed and on counts alone. So one table of them serves all trials of a seed
and all records of a trial; making it takes longer than all that is done with it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep import spec
from sweep.data.base import AbstractGaussian, feature_count, feature_directions, test_draws, test_points
from sweep.filters import AbstractFilters, Network, TrainingInputs
from sweep.models.base import AbstractFiltered
from sweep.padding import actual_size
from sweep.prng import Purpose, stream
from sweep.spec import Scalar
from sweep.trial import Trial

CHUNK = 512
"""Points are looked at so many at a time."""


def has_law(trial: Trial) -> bool:
    """Is the law known of what the network sees of fresh points, so that they need no vectors?"""
    return isinstance(trial.data, AbstractGaussian) and isinstance(trial.model, AbstractFiltered)


def draw_origin(trial: Trial) -> tuple[Scalar, ...]:
    """All that the random numbers of fresh points depend on, but for what is compiled in."""
    if has_law(trial):
        return (trial.seed,)
    counts = [name for name, field in spec.fields(type(trial.data)).items() if field.padded and name != "n"]
    return trial.seed, *(actual_size(getattr(trial.data, name)) for name in counts)


def draw_test_points(trial: Trial, first: Scalar, count: int) -> Any:
    """The random numbers of so many fresh points from row `first` on, a multiple of CHUNK."""
    if not has_law(trial):
        return test_draws(trial.data, trial.seed, first + jnp.arange(count))
    assert isinstance(trial.data, AbstractGaussian)
    key = jax.random.fold_in(stream(trial.seed, Purpose.TEST), first)
    return trial.data.draw_responses(key, count, trial.source.units)


def draw_table(trial: Trial, points: int) -> Any:
    """The random numbers of all fresh points in chunks: leaves (chunks, points of a chunk, ...)."""
    return jax.lax.map(lambda first: draw_test_points(trial, first, min(CHUNK, points)), jnp.arange(0, points, CHUNK))


class CachedDraws(NamedTuple):
    """A table among others: leaves of `tables` are (tables, chunks, ...)."""

    tables: Any
    place: Int[Array, ""]

    def chunk(self, number: Int[Array, ""]) -> Any:
        """The random numbers of one chunk."""
        return jax.tree.map(lambda leaf: leaf[self.place, number], self.tables)


Respond = Callable[[Any, Int[Array, " rows"]], tuple[Float[Array, "rows P units"], Float[Array, " rows"]]]
"""From random numbers and row numbers of fresh points to what their patches give on filters, and the labels seen."""


def by_vectors(trial: Trial, net: Network, seen: TrainingInputs) -> Respond:
    """Fresh points whose vectors are made."""
    directions = feature_directions(trial.data, trial.seed)
    project = net.filters.projector(trial.source, seen.context)
    on_features = project(directions)

    def respond(drawn: Any, rows: Int[Array, " rows"]) -> tuple[Array, Array]:
        fresh = test_points(trial.data, drawn, directions, rows)
        return trial.data.assemble(on_features, project(fresh.noise), fresh.true_label), fresh.label

    return respond


def root_of(covariance: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """R with R^T R = the covariance up to rounding: Cholesky's, of a diagonal that is larger by its rounding error.

    So it exists where filters depend on each other; those that are zero, as padded ones are, stay zero.
    """
    variances = jnp.diagonal(covariance)
    none = variances <= 0
    rounding = 10 * len(variances) * jnp.finfo(covariance.dtype).eps * jnp.max(variances)
    raised = covariance + jnp.diag(jnp.where(none, 1.0, rounding))
    return jnp.where(none, 0.0, jnp.linalg.cholesky(raised).T)


def by_law(trial: Trial, net: Network, seen: TrainingInputs) -> Respond:
    """Fresh points of which only inner products with the filters are made: for Gaussian noise their law is known."""
    data, filters = trial.data, net.filters
    assert isinstance(data, AbstractGaussian) and isinstance(filters, AbstractFilters)
    on_features = filters(seen.tokens.take(slice(feature_count(data))))
    root = root_of(filters.covariance(seen) - on_features.T @ on_features)

    def respond(drawn: Any, rows: Int[Array, " rows"]) -> tuple[Array, Array]:
        noise, truth, label = data.responses(drawn, rows, on_features, root)
        return data.assemble(on_features, noise, truth), label

    return respond


def on_fresh_points(
    trial: Trial, net: Network, seen: TrainingInputs, points: int, kept: CachedDraws | None = None
) -> tuple[Scalar, Int[Array, ""]]:
    """Mean loss on fresh points and how many of them are wrong.

    Their random numbers are read where they are `kept`, else drawn and forgotten a chunk at a time.
    """
    respond = (by_law if has_law(trial) else by_vectors)(trial, net, seen)

    def chunk(number: Array) -> tuple[Scalar, Int[Array, ""]]:
        first = CHUNK * number
        rows = first + jnp.arange(min(CHUNK, points))
        patches, label = respond(kept.chunk(number) if kept else draw_test_points(trial, first, len(rows)), rows)
        margin = label * net(patches)
        counted = rows < points
        losses = jnp.where(counted, trial.objective.loss(margin), 0.0)
        return jnp.sum(losses), jnp.sum(counted & ~(margin > 0))

    losses, wrongs = jax.lax.map(chunk, jnp.arange(-(-points // CHUNK)))
    return jnp.sum(losses) / points, jnp.sum(wrongs)
