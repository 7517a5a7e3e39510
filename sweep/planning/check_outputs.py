"""A check of the shapes that a model and an objective give, which plugins may miss."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from sweep.data.base import patch_count
from sweep.errors import SweepError
from sweep.filters import initial_network
from sweep.models.base import AbstractFiltered
from sweep.objectives.base import AbstractMarginLoss, ObjectiveInputs
from sweep.planning.bucket import Bucket
from sweep.trial import Trial

FAMILIES = ("data", "model", "objective")
"""The parts that decide the shapes of outputs and losses."""


def check_outputs(buckets: Iterable[Bucket]) -> None:
    """Check one bucket of each combination of parts, by shapes alone.

    Raises:
        SweepError: outputs, losses or mistakes have another shape. Later they would be broadcast
            against labels, to other losses or a long traceback.
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
    is_binary = isinstance(trial.objective, AbstractMarginLoss)
    expected = (points,) if is_binary else (points, *outputs.shape[1:])
    if outputs.shape != expected:
        raise SweepError(
            f"The model {kinds['model']} gives outputs of shape {outputs.shape} for {points} "
            f"points, and expected is {expected}: one number a point, positive for class +1. "
            "Let the module that its head returns sum or squeeze the other axes."
        )
    losses, mistakes = jax.eval_shape(functools.partial(_losses, points=points), trial)
    if losses.shape != (points,):
        raise SweepError(
            f"The objective {kinds['objective']} gives losses of shape {losses.shape} for {points} "
            f"points with outputs of shape {outputs.shape}, and expected is ({points},): the loss "
            "of each point, not their mean."
        )
    if mistakes is not None and mistakes.shape != (points,):
        raise SweepError(
            f"The objective {kinds['objective']} gives mistakes of shape {mistakes.shape} for "
            f"{points} points, and expected is ({points},): whether each point is misclassified."
        )


def _head(trial: Trial, points: int) -> tuple[nnx.Module, Array]:
    """The head of the network, and patches of so many points, whatever they are."""
    model, data = trial.model, trial.data
    units = model.units() if isinstance(model, AbstractFiltered) else data.d
    shape = (points, patch_count(data), int(units))
    return initial_network(trial.source, trial.coordinates).head, jnp.zeros(shape)


def _outputs(trial: Trial, points: int) -> Any:
    """What the head gives."""
    head, patches = _head(trial, points)
    return head(patches)


def _losses(trial: Trial, points: int) -> tuple[Any, Any]:
    """The losses of the objective, and its mistakes."""
    head, patches = _head(trial, points)
    info = trial.source.training_set()[1].info
    losses = trial.objective.losses(head, ObjectiveInputs(patches, info))
    return losses, trial.objective.mistakes(head(patches), info)
