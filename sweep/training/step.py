"""One lane: start, advance, measure. No batch of trials in sight; `engine` maps these functions over lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from sweep.data.base import feature_count
from sweep.filters import Network, TrainingInputs, network, on_transposed_filters, training_inputs
from sweep.padding import valid_mask
from sweep.prng import Purpose, stream
from sweep.spec import Scalar
from sweep.status import Status
from sweep.training.lazy_cond import cond_if_any
from sweep.trial import Trial

Count = Int[Array, ""]


class Batch(NamedTuple):
    """The part of the training inputs that one gradient sees; `weight` is 0 where points are padded or a batch is filled up."""

    inputs: TrainingInputs
    weight: Float[Array, " points"] | None


class State(NamedTuple):
    """What the next step needs.

    `params` are the trained variables of the network and `rest` its others, as nnx states; `order` is the permutation
    of the running epoch, None for full batches.
    """

    params: Any
    rest: nnx.State
    moments: optax.OptState
    order: Int[Array, " n"] | None
    step: Count
    status: Count


def start(trial: Trial) -> tuple[TrainingInputs, State]:
    """The training set of a trial and its untrained network."""
    _, params, rest = nnx.split(network(trial.source, trial.coordinates), nnx.Param, ...)
    order = None if batch_size(trial) == trial.data.n else jnp.arange(trial.data.n)
    status = _status(trial.train.steps <= 0, Status.OUT_OF_STEPS, Status.RUNNING)
    moments = update_rule(trial).init(params)
    return training_inputs(trial.source, trial.coordinates), State(
        params, rest, moments, order, jnp.zeros((), jnp.int32), status
    )


def advance(trial: Trial, seen: TrainingInputs, state: State) -> State:
    """One update, or the state as it is where the trial has ended.

    Targets are looked at before the update: on the loss and gradient of the step where batches are full, and on those
    of the whole training set at the beginning of each epoch where they are not.
    """
    order = None if state.order is None else _order(trial, state, state.order)
    batch = _batch(trial, seen, state.step, order)
    value, grads, rest = loss_and_grads(trial, state, batch, training=True)
    reached = _reached(trial, seen, state, value, grads)
    outcome = _status(jnp.isfinite(value), _status(reached, Status.CONVERGED, state.status), Status.NONFINITE)
    status = _status(state.status == Status.RUNNING, outcome, state.status)

    moved = state._replace(rest=rest, order=order)
    return update_if_running(
        status == Status.RUNNING, lambda: _update(trial, seen, moved, value, grads), state._replace(status=status)
    )


def update_if_running(running: Bool[Array, ""], update: Callable[[], State], ended: State) -> State:
    """`update()` of a lane that is running, else how it has `ended`.

    A branch rather than a choice between two results: then XLA changes weights and moments of a lane alone where they
    lie, and copies none of them first. Under vmap it becomes the choice.
    """
    return jax.lax.cond(running, update, lambda: ended)


def _update(trial: Trial, seen: TrainingInputs, state: State, value: Scalar, grads: nnx.State) -> State:
    norm = merge(trial, state.params, state.rest, training=False).squared_norm(seen)
    objective = value + 0.5 * trial.objective.l2 * norm
    updates, moments = update_rule(trial).update(grads, state.moments, state.params, value=objective, grad=grads)
    params, step = optax.apply_updates(state.params, updates), state.step + 1
    status = _status(step >= trial.train.steps, Status.OUT_OF_STEPS, Status.RUNNING)
    return state._replace(params=params, moments=moments, step=step, status=status)


def update_rule(trial: Trial) -> optax.GradientTransformationExtraArgs:
    """What makes updates of gradients: the optimizer, on the weights as they stand where their shapes say nothing."""
    made = optax.with_extra_args_support(trial.optimizer.transform())
    return made if trial.optimizer.elementwise or trial.optimizer.linear else on_transposed_filters(made)


def _status(condition: Any, yes: Any, no: Any) -> Count:
    """One of two statuses, in the one type that a loop carries."""
    return jax.lax.convert_element_type(jnp.where(condition, yes, no), jnp.int32)


def batch_size(trial: Trial) -> int:
    """Points that a gradient sees."""
    return min(trial.train.batch_size or trial.data.n, trial.data.n)


def margins(
    trial: Trial, net: Network, seen: TrainingInputs
) -> tuple[Float[Array, " points"], Float[Array, "points P units"]]:
    """Margins of training points and the pre-activations of their patches."""
    pre = net.filters(seen.tokens)
    points, N = seen.true_label.shape[0], trial.data.noise_vectors
    K = pre.shape[0] - points * N
    patches = trial.data.assemble(pre[:K], pre[K:].reshape(points, N, -1), seen.true_label)
    return net(patches), patches


def merge(trial: Trial, params: nnx.State, rest: nnx.State, training: bool) -> Network:
    """The network of a trial with the given weights, as it trains or as it is used: without dropout, for example."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: network(trial.source, trial.coordinates)))
    net = nnx.merge(graph, params, rest, copy=True)
    if not training:
        net.eval()
    return net


def loss_and_grads(trial: Trial, state: State, batch: Batch, training: bool) -> tuple[Scalar, nnx.State, nnx.State]:
    """Mean loss of the batch without the l2 term, gradient with it, and what the forward pass left in the network."""

    def loss(params: nnx.State) -> tuple[Scalar, nnx.State]:
        net = merge(trial, params, state.rest, training)
        margin, _ = margins(trial, net, batch.inputs)
        each = trial.objective.loss(batch.inputs.label * margin)
        mean = jnp.mean(each) if batch.weight is None else jnp.sum(batch.weight * each) / jnp.sum(batch.weight)
        return mean, nnx.state(net, nnx.Not(nnx.Param))

    (value, rest), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    return value, jax.tree.map(lambda g, w: g + trial.objective.l2 * w, grads, state.params), rest


def steps_per_epoch(trial: Trial) -> int:
    """Updates in one pass over the training set."""
    return -(-trial.data.n // batch_size(trial))


def _order(trial: Trial, state: State, order: Int[Array, " n"]) -> Int[Array, " n"]:
    """The permutation of the epoch that `state.step` is in: a fresh one at its beginning."""
    epoch, within = jnp.divmod(state.step, steps_per_epoch(trial))

    def shuffle(seed: Scalar, epoch: Count) -> Int[Array, " n"]:
        return jax.random.permutation(jax.random.fold_in(stream(seed, Purpose.BATCH), epoch), trial.data.n)

    return cond_if_any(within == 0, shuffle, order, trial.seed, epoch)


def _batch(trial: Trial, seen: TrainingInputs, step: Count, order: Int[Array, " n"] | None) -> Batch:
    """The points that the gradient of a step sees."""
    if order is None:
        return full_batch(trial, seen)
    n, size, N = trial.data.n, batch_size(trial), trial.data.noise_vectors
    place = (step % steps_per_epoch(trial)) * size + jnp.arange(size)
    rows = order[jnp.minimum(place, n - 1)]
    K = feature_count(trial.data)
    noise = (K + rows[:, None] * N + jnp.arange(N)).reshape(-1)
    tokens = seen.tokens.take(jnp.concatenate([jnp.arange(K), noise]))
    weight = None if n % size == 0 else (place < n).astype(seen.true_label.dtype)
    return Batch(TrainingInputs(tokens, seen.true_label[rows], seen.label[rows], seen.context), weight)


def full_batch(trial: Trial, seen: TrainingInputs) -> Batch:
    """The batch of all points; those beyond a padded n have no weight."""
    kept = valid_mask(trial.data.n)
    return Batch(seen, None if kept is None else kept.astype(seen.true_label.dtype))


def _reached(trial: Trial, seen: TrainingInputs, state: State, value: Scalar, grads: nnx.State) -> Bool[Array, ""]:
    """Is a target of the trial met at the weights of `state`?"""
    if trial.train.target_loss is None and trial.train.target_grad is None:
        return jnp.array(False)
    if state.order is None:
        return at_target(trial, value, gradient_norm(trial, seen, state, grads))

    def look(trial: Trial, seen: TrainingInputs, state: State) -> Bool[Array, ""]:
        value, grads, _ = loss_and_grads(trial, state, full_batch(trial, seen), training=False)
        return at_target(trial, value, gradient_norm(trial, seen, state, grads))

    begins = state.step % steps_per_epoch(trial) == 0
    return cond_if_any(begins, look, jnp.array(False), trial, seen, state)


def gradient_norm(trial: Trial, seen: TrainingInputs, state: State, grads: nnx.State) -> Scalar:
    """The norm of a gradient, whatever the coordinates that it is given in."""
    return jnp.sqrt(merge(trial, grads, state.rest, training=False).squared_norm(seen))


def at_target(trial: Trial, value: Scalar, gradient: Scalar) -> Bool[Array, ""]:
    """Is this loss, or this norm of the gradient, at most a target of the trial?"""
    reached = jnp.array(False)
    if trial.train.target_loss is not None:
        reached |= value <= trial.train.target_loss
    if trial.train.target_grad is not None:
        reached |= gradient <= trial.train.target_grad
    return reached
