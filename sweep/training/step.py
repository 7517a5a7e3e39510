"""One lane: its start and its updates. Nothing here batches trials; `engine` maps over lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Int

from sweep.filters import (
    Network,
    TrainingInputs,
    initial_network,
    on_transposed_filters,
    training_inputs,
)
from sweep.objectives.base import ObjectiveInputs
from sweep.optimizers.oracle import Oracle
from sweep.prng import Purpose, stream
from sweep.spec import Scalar
from sweep.status import Status
from sweep.training.batches import (
    Batch,
    Count,
    batch_at,
    epoch_order,
    full_batch,
    initial_order,
    mean_loss,
    steps_per_epoch,
)
from sweep.training.lazy_cond import cond_if_any
from sweep.trial import Trial


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        params: The trained variables of the network, as an nnx state.
        rest: Its other variables, as an nnx state.
        moments: The state of the optimizer.
        order: The permutation of the current epoch; None for full batches.
        step: Updates made so far.
        status: A value of `Status`.
    """

    params: Any
    rest: nnx.State
    moments: optax.OptState
    order: Int[Array, " n"] | None
    step: Count
    status: Count


def start(trial: Trial) -> tuple[TrainingInputs, State]:
    """The training set of a trial and its untrained network."""
    _, params, rest = nnx.split(initial_network(trial.source, trial.coordinates), nnx.Param, ...)
    order = initial_order(trial)
    status = _status(trial.train.steps <= 0, Status.OUT_OF_STEPS, Status.RUNNING)
    moments = update_rule(trial).init(params)
    state = State(params, rest, moments, order, jnp.zeros((), jnp.int32), status)
    inputs = training_inputs(trial.source, trial.coordinates)
    arrival = trial.train.curriculum.arrival(trial.data, inputs.info)
    return inputs._replace(arrival=arrival), state


def advance(trial: Trial, inputs: TrainingInputs, state: State) -> State:
    """One update, or the state unchanged if the trial has ended.

    Targets are checked before the update: on the loss and gradient of the step for full batches,
    on those of the whole training set at the beginning of each epoch for mini-batches.

    Args:
        trial: The trial.
        inputs: Its training inputs.
        state: Its state after the updates so far.
    """
    order = None if state.order is None else epoch_order(trial, inputs, state.step, state.order)
    batch = batch_at(trial, inputs, state.step, order)
    loss, grads, rest = loss_and_grads(trial, state, batch, training=True)
    reached = _target_reached(trial, inputs, state, loss, grads)
    outcome = _status(reached, Status.CONVERGED, state.status)
    outcome = _status(jnp.isfinite(loss), outcome, Status.NONFINITE)
    status = _status(state.status == Status.RUNNING, outcome, state.status)

    def update() -> State:
        oracle = make_oracle(trial, inputs, state, batch)
        moved = state._replace(rest=rest, order=order)
        return _update(trial, inputs, moved, loss, grads, oracle)

    return update_if_running(status == Status.RUNNING, update, state._replace(status=status))


def update_if_running(running: Bool[Array, ""], update: Callable[[], State], ended: State) -> State:
    """`update()` for a lane that is running, else its state `ended`.

    Args:
        running: Whether the lane is running.
        update: Makes the update.
        ended: The state of a lane that is not running.
    """
    # A branch rather than a select between two results: XLA then updates weights and moments of a
    # lane in place, without copying them. Under vmap it becomes the select.
    return jax.lax.cond(running, update, lambda: ended)


def _update(
    trial: Trial,
    inputs: TrainingInputs,
    state: State,
    loss: Scalar,
    grads: nnx.State,
    oracle: Oracle,
) -> State:
    """The state after an update by the loss and the gradient of a batch."""
    norm = merge(trial, state.params, state.rest, training=False).squared_norm(inputs)
    objective = loss + 0.5 * trial.objective.l2 * norm
    updates, moments = update_rule(trial).update(
        grads,
        state.moments,
        state.params,
        value=objective,
        grad=grads,
        value_fn=oracle.value,
        oracle=oracle,
    )
    params, step = optax.apply_updates(state.params, updates), state.step + 1
    status = _status(step >= trial.train.steps, Status.OUT_OF_STEPS, Status.RUNNING)
    return state._replace(params=params, moments=moments, step=step, status=status)


def make_oracle(
    trial: Trial, inputs: TrainingInputs, state: State, batch: Batch, training: bool = True
) -> Oracle:
    """What the optimizer may ask of the objective on a batch, at any weights.

    Args:
        trial: The trial.
        inputs: Its training inputs, for norms.
        state: Its state; of the network the variables that are not trained.
        batch: The points.
        training: Whether network and objective behave as in training.
    """

    def squared_norm(tree: nnx.State) -> Scalar:
        return merge(trial, tree, state.rest, training=False).squared_norm(inputs)

    def at(params: nnx.State) -> tuple[Scalar, nnx.State]:
        moved = state._replace(params=params)
        loss, grads, _ = loss_and_grads(trial, moved, batch, training)
        return loss + 0.5 * trial.objective.l2 * squared_norm(params), grads

    def hvp(params: nnx.State, vector: nnx.State) -> nnx.State:
        # Reverse over reverse: responses have rules of their own for gradients, and no forward mode.
        return jax.vjp(lambda params: at(params)[1], params)[1](vector)[0]

    return Oracle(
        value=lambda params: at(params)[0],
        gradient=lambda params: at(params)[1],
        norm=lambda tree: jnp.sqrt(squared_norm(tree)),
        hvp=hvp,
        key=jax.random.fold_in(stream(trial.seed, Purpose.OPTIMIZER), state.step),
    )


def update_rule(trial: Trial) -> optax.GradientTransformationExtraArgs:
    """The optimizer of a trial as a transformation of the gradients of its coordinates."""
    rule = optax.with_extra_args_support(trial.optimizer.transform())
    # Other optimizers depend on which axis of a weight matrix is the input; filters are rows here.
    if trial.optimizer.elementwise or trial.optimizer.stays_in_span:
        return rule
    return on_transposed_filters(rule)


def _status(condition: Any, if_true: Any, if_false: Any) -> Count:
    """One of two statuses, always as int32: the carry of a loop must not change its type."""
    return jax.lax.convert_element_type(jnp.where(condition, if_true, if_false), jnp.int32)


def objective_inputs(
    trial: Trial, net: Network, batch: Batch, step: Count, training: bool
) -> ObjectiveInputs:
    """Training points as the objective sees them through the filters of a network.

    Args:
        trial: The trial.
        net: Its network.
        batch: The points.
        step: Updates made so far.
        training: Whether the objective may draw random numbers.
    """
    pre, info = net.filters(batch.inputs.tokens), batch.inputs.info
    points, N = info.true_label.shape[0], trial.data.noise_vectors
    K = pre.shape[0] - points * N
    patches = trial.data.assemble(pre[:K], pre[K:].reshape(points, N, -1), info)
    key = jax.random.fold_in(stream(trial.seed, Purpose.OBJECTIVE), step) if training else None
    return ObjectiveInputs(patches, info, batch.weight, step, key)


def merge(trial: Trial, params: nnx.State, rest: nnx.State, training: bool) -> Network:
    """The network of a trial with the given variables.

    Args:
        trial: The trial.
        params: Trained variables, or a gradient in their place.
        rest: The other variables.
        training: Whether it behaves as in training or as in use (for example, without dropout).
    """
    graph = nnx.graphdef(nnx.eval_shape(lambda: initial_network(trial.source, trial.coordinates)))
    net = nnx.merge(graph, params, rest, copy=True)
    if not training:
        net.eval()
    return net


def loss_and_grads(
    trial: Trial, state: State, batch: Batch, training: bool
) -> tuple[Scalar, nnx.State, nnx.State]:
    """Loss of a batch, its gradient, and the variables that the forward pass updates.

    Args:
        trial: The trial.
        state: Its state, of which the variables of the network matter.
        batch: The points.
        training: Whether the network behaves as in training.

    Returns:
        The mean loss without the l2 term, the gradient with it, and the new `rest`.
    """

    def loss(params: nnx.State) -> tuple[Scalar, nnx.State]:
        net = merge(trial, params, state.rest, training)
        inputs = objective_inputs(trial, net, batch, state.step, training)
        losses = trial.objective.losses(net, inputs)
        return mean_loss(batch, losses), nnx.state(net, nnx.Not(nnx.Param))

    (value, rest), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    l2 = trial.objective.l2
    return value, jax.tree.map(lambda g, w: g + l2 * w, grads, state.params), rest


def _target_reached(
    trial: Trial, inputs: TrainingInputs, state: State, loss: Scalar, grads: nnx.State
) -> Bool[Array, ""]:
    """Do the weights of `state` meet a target of the trial?"""
    if trial.train.target_loss is None and trial.train.target_grad is None:
        return jnp.array(False)
    if state.order is None and inputs.arrival is None:
        return at_target(trial, loss, gradient_norm(trial, inputs, state, grads))

    # A mini-batch says little about the whole set, and the whole set is costly: once per epoch.
    def check_all_points(trial: Trial, inputs: TrainingInputs, state: State) -> Bool[Array, ""]:
        batch = full_batch(trial, inputs)
        loss, grads, _ = loss_and_grads(trial, state, batch, training=False)
        return at_target(trial, loss, gradient_norm(trial, inputs, state, grads))

    begins_epoch = state.step % steps_per_epoch(trial) == 0
    return cond_if_any(begins_epoch, check_all_points, jnp.array(False), trial, inputs, state)


def gradient_norm(trial: Trial, inputs: TrainingInputs, state: State, grads: nnx.State) -> Scalar:
    """The norm of a gradient with respect to W, whatever coordinates it is given in.

    Args:
        trial: The trial.
        inputs: Its training inputs.
        state: Its state, for the variables that are not trained.
        grads: The gradient.
    """
    # A network that holds a gradient in place of weights is the gradient: see AbstractFilters.
    return jnp.sqrt(merge(trial, grads, state.rest, training=False).squared_norm(inputs))


def at_target(trial: Trial, loss: Scalar, gradient: Scalar) -> Bool[Array, ""]:
    """Is the loss or the norm of the gradient at or below a target of the trial?

    Args:
        trial: The trial.
        loss: Mean loss without the l2 term.
        gradient: Norm of the gradient with the l2 term.
    """
    reached = jnp.array(False)
    if trial.train.target_loss is not None:
        reached |= loss <= trial.train.target_loss
    if trial.train.target_grad is not None:
        reached |= gradient <= trial.train.target_grad
    return reached
