"""A check that a model and an objective give one number a point, which plugins may miss."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from sweep.errors import SweepError
from sweep.filters import initial_network
from sweep.filters.first_layer import patch_count
from sweep.models.base import AbstractFiltered
from sweep.planning.bucket import Bucket
from sweep.trial import Trial

FAMILIES = ("data", "model", "objective")
"""The parts that decide the shapes of outputs and losses."""


def check_outputs(buckets: Iterable[Bucket]) -> None:
    """Check one bucket of each combination of parts, by shapes alone.

    Raises:
        SweepError: outputs or losses have another shape. Later they would be broadcast against
            labels, to other losses or a long traceback.
    """
    first: dict[tuple[str, ...], Bucket] = {}
    for bucket in buckets:
        kinds = bucket.source.kinds
        first.setdefault(tuple(kinds[family] for family in FAMILIES), bucket)
    for bucket in first.values():
        _check(bucket)


def _check(bucket: Bucket) -> None:
    batch = bucket.source.trial(bucket.rows[:1], bucket.statics, bucket.sizes)
    trial = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), batch)
    points = int(bucket.statics["n"])
    outputs = jax.eval_shape(functools.partial(_outputs, points=points), trial)
    kinds = bucket.source.kinds
    if outputs.shape != (points,):
        raise SweepError(
            f"The model {kinds['model']} gives outputs of shape {outputs.shape} for {points} "
            f"points, and expected is ({points},): one number a point, positive for class +1. "
            "Let the module that its head returns sum or squeeze the other axes."
        )
    losses = jax.eval_shape(lambda trial, outputs: trial.objective.loss(outputs), trial, outputs)
    if losses.shape != (points,):
        raise SweepError(
            f"The objective {kinds['objective']} gives losses of shape {losses.shape} for {points} "
            f"points, and expected is ({points},): the loss of each point, not their mean."
        )


def _outputs(trial: Trial, points: int) -> Any:
    """What the head gives for so many points, whatever their patches are."""
    model, data = trial.model, trial.data
    units = model.units() if isinstance(model, AbstractFiltered) else data.d
    shape = (points, patch_count(data), int(units))
    return initial_network(trial.source, trial.coordinates).head(jnp.zeros(shape))
