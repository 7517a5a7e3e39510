"""Loss and error on fresh points: their random numbers, and what filters give on them.

Points of a test and points of a validation are drawn by one law from streams of their own.

The random numbers of a point depend on the seed and on counts only. One table of them therefore
serves all trials of a seed and all records of a trial; drawing it costs more than using it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep import spec
from sweep.data.base import (
    AbstractGaussian,
    feature_count,
    feature_directions,
    test_draws,
    test_points,
)
from sweep.filters import AbstractFilters, Network, TrainingInputs
from sweep.models.base import AbstractFiltered
from sweep.padding import actual_size
from sweep.prng import Purpose, stream
from sweep.spec import Scalar
from sweep.trial import Trial

CHUNK = 512
"""Fresh points that are evaluated at a time."""


def has_law(trial: Trial) -> bool:
    """Is the law of what the network sees of fresh points known, so that no vectors are needed?"""
    return isinstance(trial.data, AbstractGaussian) and isinstance(trial.model, AbstractFiltered)


def draw_origin(trial: Trial) -> tuple[Scalar, ...]:
    """All that the random numbers of fresh points depend on, except what is compiled in."""
    if has_law(trial):
        return (trial.seed,)
    fields = spec.fields(type(trial.data)).items()
    # The number of training points is padded too, but fresh points do not depend on it.
    names = [name for name, field in fields if field.padded and name != "n"]
    return trial.seed, *(actual_size(getattr(trial.data, name)) for name in names)


def draw_points(trial: Trial, first: Scalar, count: int, purpose: Purpose = Purpose.TEST) -> Any:
    """The random numbers of a chunk of fresh points.

    Args:
        trial: The trial, of which `draw_origin` and compiled-in fields matter.
        first: Row number of the first point, a multiple of CHUNK.
        count: Number of points.
        purpose: The stream they are drawn from, TEST or VALIDATION.

    Returns:
        A pytree with leaves (count, ...).
    """
    if not has_law(trial):
        return test_draws(trial.data, trial.seed, first + jnp.arange(count), purpose)
    data = cast(AbstractGaussian, trial.data)
    key = jax.random.fold_in(stream(trial.seed, purpose), first)
    return data.draw_responses(key, count, trial.source.units)


def draw_table(trial: Trial, points: int, purpose: Purpose = Purpose.TEST) -> Any:
    """The random numbers of all fresh points: leaves (chunks, points per chunk, ...)."""
    count = min(CHUNK, points)
    firsts = jnp.arange(0, points, CHUNK)
    return jax.lax.map(lambda first: draw_points(trial, first, count, purpose), firsts)


def draw_tables(trial: Trial, test_points: int, validation_points: int) -> dict[str, Any]:
    """The tables of test and validation points by the name of their purpose, if there are any."""
    counts = {Purpose.TEST: test_points, Purpose.VALIDATION: validation_points}
    return {
        purpose.name: draw_table(trial, count, purpose)
        for purpose, count in counts.items()
        if count
    }


class CachedDraws(NamedTuple):
    """Tables in one slot of many: those of `draw_tables`, leaves (slots, chunks, ...)."""

    tables: Mapping[str, Any]
    slot: Int[Array, ""]

    def chunk(self, purpose: Purpose, number: Int[Array, ""]) -> Any:
        """The random numbers of one chunk."""
        return jax.tree.map(lambda leaf: leaf[self.slot, number], self.tables[purpose.name])


class FreshResult(NamedTuple):
    """Mean loss on fresh points, how many are misclassified, and how many get exactly 0."""

    loss: Scalar
    wrong: Int[Array, ""]
    ties: Int[Array, ""]


ResponseFunction = Callable[
    [Any, Int[Array, " rows"]], tuple[Float[Array, "rows P units"], Float[Array, " rows"]]
]
"""From random numbers and row numbers of points to pre-activations of patches and seen labels."""


def vector_response(trial: Trial, net: Network, inputs: TrainingInputs) -> ResponseFunction:
    """Responses of filters to fresh points, by drawing the vectors of the points themselves.

    Args:
        trial: The trial.
        net: Its network.
        inputs: Its training inputs, whose `context` the filters need.
    """
    directions = feature_directions(trial.data, trial.seed)
    project = net.filters.projector(trial.source, inputs.context)
    on_features = project(directions)

    def respond(draws: Any, rows: Int[Array, " rows"]) -> tuple[Array, Array]:
        fresh = test_points(trial.data, draws, directions, rows)
        return trial.data.assemble(on_features, project(fresh.noise), fresh.true_label), fresh.label

    return respond


def covariance_root(covariance: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """R with R^T R = the covariance, up to rounding.

    Filters that are zero, as padded ones are, stay zero.
    """
    variances = jnp.diagonal(covariance)
    is_zero = variances <= 0
    # A covariance of dependent filters is singular, and rounding may leave it slightly indefinite:
    # raising its diagonal by the size of the rounding error makes the Cholesky factor exist.
    rounding = 10 * len(variances) * jnp.finfo(covariance.dtype).eps * jnp.max(variances)
    raised = covariance + jnp.diag(jnp.where(is_zero, 1.0, rounding))
    return jnp.where(is_zero, 0.0, jnp.linalg.cholesky(raised).T)


def law_response(trial: Trial, net: Network, inputs: TrainingInputs) -> ResponseFunction:
    """Responses of filters to fresh points, drawn from their law without vectors of the points.

    For Gaussian noise the inner products with the filters are Gaussian too, with known covariance.

    Args:
        trial: The trial, for which `has_law` is true.
        net: Its network.
        inputs: Its training inputs.
    """
    data, filters = cast(AbstractGaussian, trial.data), cast(AbstractFilters, net.filters)
    on_features = filters(inputs.tokens.take(slice(feature_count(data))))
    root = covariance_root(filters.covariance(inputs) - on_features.T @ on_features)

    def respond(draws: Any, rows: Int[Array, " rows"]) -> tuple[Array, Array]:
        noise, truth, label = data.responses(draws, rows, on_features, root)
        return data.assemble(on_features, noise, truth), label

    return respond


def evaluate_fresh_points(
    trial: Trial,
    net: Network,
    inputs: TrainingInputs,
    points: int,
    cached_draws: CachedDraws | None = None,
    purpose: Purpose = Purpose.TEST,
) -> FreshResult:
    """Evaluate a network on fresh points.

    Args:
        trial: The trial.
        net: Its network, as it is used after training.
        inputs: Its training inputs.
        points: Number of fresh points.
        cached_draws: Their random numbers; None to draw them chunk by chunk.
        purpose: The stream they are drawn from, TEST or VALIDATION.
    """
    respond = (law_response if has_law(trial) else vector_response)(trial, net, inputs)

    def evaluate_chunk(number: Array) -> FreshResult:
        first = CHUNK * number
        rows = first + jnp.arange(min(CHUNK, points))
        if cached_draws:
            draws = cached_draws.chunk(purpose, number)
        else:
            draws = draw_points(trial, first, len(rows), purpose)
        patches, label = respond(draws, rows)
        margin = label * net(patches)
        is_counted = rows < points  # the last chunk is filled up
        losses = jnp.where(is_counted, trial.objective.loss(margin), 0.0)
        # Not `margin <= 0`: a margin that is NaN counts as wrong.
        wrong, ties = is_counted & ~(margin > 0), is_counted & (margin == 0)
        return FreshResult(jnp.sum(losses), jnp.sum(wrong), jnp.sum(ties))

    chunk_count = -(-points // CHUNK)
    sums = jax.tree.map(jnp.sum, jax.lax.map(evaluate_chunk, jnp.arange(chunk_count)))
    return sums._replace(loss=sums.loss / points)
