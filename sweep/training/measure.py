"""Measures a lane: losses, errors and the registered observables.

The next step needs none of it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sweep.filters import TrainingInputs
from sweep.observables import KINDS, Snapshot
from sweep.padding import valid_mask
from sweep.prng import Purpose
from sweep.spec import Scalar
from sweep.status import Status
from sweep.training import evaluation
from sweep.training.step import (
    State,
    at_target,
    full_batch,
    gradient_norm,
    loss_and_grads,
    margins,
    merge,
)
from sweep.trial import Trial


class Measurement(NamedTuple):
    """A lane at one step: counts of errors, and the floating-point columns that its parts have."""

    step: Int[Array, ""]
    status: Int[Array, ""]
    train_wrong: Int[Array, ""]
    test_wrong: Int[Array, ""]
    test_ties: Int[Array, ""]
    validation_wrong: Int[Array, ""]
    observables: dict[str, Scalar]


def measure(
    trial: Trial,
    inputs: TrainingInputs,
    state: State,
    points: int,
    draws: evaluation.CachedDraws | None = None,
    validation_points: int = 0,
) -> Measurement:
    """Losses, errors and observables of a lane.

    Args:
        trial: the trial in the lane.
        inputs: its training set.
        state: where it stands.
        points: how many fresh points it is tested on; none where 0.
        draws: the random numbers of the fresh points, drawn now where None.
        validation_points: how many other fresh points it is validated on; none where 0.
    """
    loss, gradients, _ = loss_and_grads(trial, state, full_batch(trial, inputs), training=False)
    network = merge(trial, state.params, state.rest, training=False)
    outputs, patches = margins(trial, network, inputs)
    snapshot = Snapshot(
        trial,
        network,
        inputs,
        margins=inputs.label * outputs,
        patches=patches,
        loss=loss,
        gradient_norm=gradient_norm(trial, inputs, state, gradients),
        weight_norm=jnp.sqrt(network.squared_norm(inputs)),
        largest_weight=network.largest(inputs),
    )
    observables: dict[str, Scalar] = {}
    for kind in KINDS.values():
        observables |= kind.measure(snapshot)

    def evaluate(count: int, purpose: Purpose) -> evaluation.FreshResult:
        return evaluation.evaluate_fresh_points(trial, network, inputs, count, draws, purpose)

    test = validation = evaluation.FreshResult(loss, jnp.array(0), jnp.array(0))
    if points:
        test = evaluate(points, Purpose.TEST)
        observables["test_loss"] = test.loss
    if validation_points:
        validation = evaluate(validation_points, Purpose.VALIDATION)
        observables["validation_loss"] = validation.loss
    reached = at_target(trial, loss, snapshot.gradient_norm)
    status = final_status(state.status, loss, snapshot.weight_norm, reached)
    train_wrong = count_errors(trial, snapshot.margins)
    counts = train_wrong, test.wrong, test.ties, validation.wrong
    return Measurement(state.step, status, *counts, observables)


def final_status(
    status: Scalar, value: Scalar, norm: Scalar, reached: Bool[Array, ""]
) -> Int[Array, ""]:
    """The status of a trial that made all its steps, by what its last update left."""
    last = jnp.where(reached, Status.CONVERGED, status)
    last = jnp.where(jnp.isfinite(value) & jnp.isfinite(norm), last, Status.NONFINITE)
    return jnp.where(status == Status.OUT_OF_STEPS, last, status).astype(jnp.int32)


def columns(
    measured: Measurement, n: np.ndarray, points: int, validation_points: int = 0
) -> dict[str, np.ndarray]:
    """The observables of the tables, in float64; errors are exact ratios of counts.

    Args:
        measured: measurements fetched from the device, leaves (lanes,).
        n: training points of each lane.
        points: fresh points that each was tested on.
        validation_points: fresh points that each was validated on.
    """
    table = {name: np.asarray(values, np.float64) for name, values in measured.observables.items()}
    table["train_error"] = np.asarray(measured.train_wrong) / n
    if points:
        table["test_error"] = np.asarray(measured.test_wrong) / points
        table["test_ties"] = np.asarray(measured.test_ties) / points
        table["generalization_gap"] = table["test_error"] - table["train_error"]
    if validation_points:
        table["validation_error"] = np.asarray(measured.validation_wrong) / validation_points
    return table


def count_errors(trial: Trial, margins: Float[Array, " points"]) -> Int[Array, ""]:
    """How many training points have a margin <= 0; one that is not a number is an error."""
    valid = valid_mask(trial.data.n)
    return jnp.sum(~(margins > 0) if valid is None else ~(margins > 0) & valid)
