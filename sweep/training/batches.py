"""The training points that each gradient sees: all of them, or mini-batches without replacement."""

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
    return Batch(
        inputs, None if is_valid is None else is_valid.astype(inputs.info.true_label.dtype)
    )


def initial_order(trial: Trial) -> Int[Array, " n"] | None:
    """A permutation of the training points before the first epoch; None for full batches."""
    return None if batch_size(trial) == trial.data.n else jnp.arange(trial.data.n)


def epoch_order(trial: Trial, step: Count, order: Int[Array, " n"]) -> Int[Array, " n"]:
    """The permutation of the epoch of a step: a new one if the epoch begins, else `order`.

    Args:
        trial: The trial.
        step: Updates made so far.
        order: The permutation of the step before.
    """
    epoch, step_in_epoch = jnp.divmod(step, steps_per_epoch(trial))

    def shuffle(seed: Scalar, epoch: Count) -> Int[Array, " n"]:
        key = jax.random.fold_in(stream(seed, Purpose.BATCH), epoch)
        return jax.random.permutation(key, trial.data.n)

    return cond_if_any(step_in_epoch == 0, shuffle, order, trial.seed, epoch)


def batch_at(
    trial: Trial, inputs: TrainingInputs, step: Count, order: Int[Array, " n"] | None
) -> Batch:
    """The batch of a step.

    Args:
        trial: The trial.
        inputs: All training inputs.
        step: Updates made so far.
        order: The permutation of the epoch; None for full batches.
    """
    if order is None:
        return full_batch(trial, inputs)
    n, size, N = trial.data.n, batch_size(trial), trial.data.noise_vectors
    position = (step % steps_per_epoch(trial)) * size + jnp.arange(size)
    rows = order[jnp.minimum(position, n - 1)]
    # Tokens are the K feature directions, followed by the N noise vectors of each point.
    K = feature_count(trial.data)
    noise = (K + rows[:, None] * N + jnp.arange(N)).reshape(-1)
    tokens = inputs.tokens.take(jnp.concatenate([jnp.arange(K), noise]))
    weight = None if n % size == 0 else (position < n).astype(inputs.info.true_label.dtype)
    return Batch(
        TrainingInputs(tokens, jax.tree.map(lambda leaf: leaf[rows], inputs.info), inputs.context),
        weight,
    )
