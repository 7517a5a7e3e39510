"""The training points that each gradient sees: all of them, or mini-batches."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep.data.base import feature_count
from sweep.filters import TrainingInputs
from sweep.padding import valid_mask
from sweep.prng import Purpose, stream
from sweep.spec import Scalar
from sweep.training.lazy_cond import cond_if_any
from sweep.trial import Trial

Count = Int[Array, ""]


class Batch(NamedTuple):
    """The training inputs that one gradient sees.

    `weight` is 0 for padded points and for those that fill up a batch; None if all points count.
    """

    inputs: TrainingInputs
    weight: Float[Array, " points"] | None


def batch_size(trial: Trial) -> int:
    """Number of training points per gradient."""
    return min(trial.train.batch_size or trial.data.n, trial.data.n)


def steps_per_epoch(trial: Trial) -> int:
    """Updates in one pass over the training set."""
    return -(-trial.data.n // batch_size(trial))


def full_batch(trial: Trial, inputs: TrainingInputs) -> Batch:
    """The batch of all points; those beyond a padded n have weight 0."""
    is_valid = valid_mask(trial.data.n)
    dtype = inputs.info.true_label.dtype
    return Batch(inputs, None if is_valid is None else is_valid.astype(dtype))


def initial_order(trial: Trial) -> Int[Array, " n"] | None:
    """The order of the training points before the first epoch; None for full batches."""
    return None if batch_size(trial) == trial.data.n else jnp.arange(trial.data.n)


def epoch_order(
    trial: Trial, inputs: TrainingInputs, step: Count, order: Int[Array, " n"]
) -> Int[Array, " n"]:
    """The order of the points in the epoch of a step: a new one if the epoch begins, else `order`.

    Args:
        trial: The trial.
        inputs: All training inputs.
        step: Updates made so far.
        order: The order of the step before.
    """
    if trial.train.sampling in ("fixed", "replacement"):
        return order
    epoch, step_in_epoch = jnp.divmod(step, steps_per_epoch(trial))

    def shuffle(seed: Scalar, epoch: Count) -> Int[Array, " n"]:
        key = jax.random.fold_in(stream(seed, Purpose.BATCH), epoch)
        shuffled = jax.random.permutation(key, trial.data.n)
        if trial.train.sampling == "stratified":
            return shuffled[_class_by_class(inputs.info.label[shuffled])]
        return shuffled

    return cond_if_any(step_in_epoch == 0, shuffle, order, trial.seed, epoch)


def _class_by_class(labels: Float[Array, " n"]) -> Int[Array, " n"]:
    """An order in which the classes take turns in proportion to their sizes."""
    order = jnp.argsort(labels, stable=True)
    ascending = labels[order]
    first = jnp.searchsorted(ascending, ascending, side="left")
    size = jnp.searchsorted(ascending, ascending, side="right") - first
    turn = (jnp.arange(len(labels)) - first + 0.5) / size
    return jnp.argsort(jnp.zeros_like(turn).at[order].set(turn), stable=True)


def batch_at(
    trial: Trial, inputs: TrainingInputs, step: Count, order: Int[Array, " n"] | None
) -> Batch:
    """The batch of a step.

    Args:
        trial: The trial.
        inputs: All training inputs.
        step: Updates made so far.
        order: The order of the epoch; None for full batches.
    """
    if order is None:
        return _without_late_points(full_batch(trial, inputs), step)
    n, size = trial.data.n, batch_size(trial)
    seen = n if inputs.arrival is None else jnp.sum(inputs.arrival <= step)
    order = _early_points_first(inputs, order, step)
    if trial.train.sampling == "replacement":
        key = jax.random.fold_in(stream(trial.seed, Purpose.BATCH), step)
        rows = order[jax.random.randint(key, (size,), 0, seen)]
        return _without_late_points(Batch(take_points(trial, inputs, rows), None), step)
    position = (step % steps_per_epoch(trial)) * size + jnp.arange(size)
    if inputs.arrival is not None:
        # Points that have arrived are seen in turn until the epoch ends.
        rows = order[position % jnp.maximum(seen, 1)]
        return _without_late_points(Batch(take_points(trial, inputs, rows), None), step)
    dtype = inputs.info.true_label.dtype
    weight = None if n % size == 0 else (position < n).astype(dtype)
    return Batch(take_points(trial, inputs, order[jnp.minimum(position, n - 1)]), weight)


def take_points(trial: Trial, inputs: TrainingInputs, rows: Int[Array, " batch"]) -> TrainingInputs:
    """The training inputs of some points.

    Args:
        trial: The trial.
        inputs: All training inputs.
        rows: Numbers of the points.
    """
    # Tokens are the K feature directions, followed by the N noise vectors of each point.
    K, N = feature_count(trial.data), trial.data.noise_vectors
    noise = (K + rows[:, None] * N + jnp.arange(N)).reshape(-1)
    tokens = inputs.tokens.take(jnp.concatenate([jnp.arange(K), noise]))
    info = jax.tree.map(lambda leaf: leaf[rows], inputs.info)
    arrival = None if inputs.arrival is None else inputs.arrival[rows]
    return TrainingInputs(tokens, info, inputs.context, arrival)


def _early_points_first(
    inputs: TrainingInputs, order: Int[Array, " n"], step: Count
) -> Int[Array, " n"]:
    """The order with the points that have arrived in front, otherwise unchanged."""
    if inputs.arrival is None:
        return order
    return order[jnp.argsort(inputs.arrival[order] > step, stable=True)]


def _without_late_points(batch: Batch, step: Count) -> Batch:
    """The batch with weight 0 for points that have not arrived."""
    arrival = batch.inputs.arrival
    if arrival is None:
        return batch
    arrived = (arrival <= step).astype(batch.inputs.info.true_label.dtype)
    return batch._replace(weight=arrived if batch.weight is None else batch.weight * arrived)


def mean_loss(batch: Batch, losses: Float[Array, " points"]) -> Scalar:
    """The mean of the losses of a batch by the weights of its points; 0 where none counts."""
    if batch.weight is None:
        return jnp.mean(losses)
    total = jnp.sum(batch.weight)
    if batch.inputs.arrival is not None:
        # Before the first point arrives nothing counts.
        total = jnp.maximum(total, 1)
    return jnp.sum(batch.weight * losses) / total
