"""Measures a lane: losses, errors and the registered observables.

The next step needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from sweep.filters import TrainingInputs
from sweep.observables import Snapshot, measured_kinds
from sweep.observables.groups import count_groups
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
    make_oracle,
    merge,
    objective_inputs,
)
from sweep.trial import Trial


class Measurement(NamedTuple):
    """A lane at one step: counts of mistakes, and the floating-point columns that its parts have.

    The counts are None where nothing is classified, or where no such points are evaluated.
    """

    step: Int[Array, ""]
    status: Int[Array, ""]
    train_wrong: Int[Array, ""] | None
    test_wrong: Int[Array, ""] | None
    test_ties: Int[Array, ""] | None
    validation_wrong: Int[Array, ""] | None
    observables: dict[str, Scalar]
    train_groups: Int[Array, "groups 2"] | None = None
    test_groups: Int[Array, "groups 2"] | None = None


def measure(
    trial: Trial,
    inputs: TrainingInputs,
    state: State,
    points: int,
    draws: evaluation.CachedDraws | None = None,
    validation_points: int = 0,
    metrics: Sequence[str] = (),
) -> Measurement:
    """Losses, errors and observables of a lane.

    Args:
        trial: the trial in the lane.
        inputs: its training set.
        state: where it stands.
        points: how many fresh points it is tested on; none where 0.
        draws: the random numbers of the fresh points, drawn now where None.
        validation_points: how many other fresh points it is validated on; none where 0.
        metrics: observables that are measured on request.
    """
    batch = full_batch(trial, inputs)
    loss, gradients, _ = loss_and_grads(trial, state, batch, training=False)
    network = merge(trial, state.params, state.rest, training=False)
    seen = objective_inputs(trial, network, batch, state.step, training=False)
    outputs = network(seen.patches)
    mistakes = trial.objective.mistakes(outputs, inputs.info)
    has_margins = mistakes is not None and outputs.ndim == 1
    snapshot = Snapshot(
        trial,
        network,
        inputs,
        outputs=outputs,
        margins=inputs.info.label * outputs if has_margins else None,
        patches=seen.patches,
        loss=loss,
        gradient_norm=gradient_norm(trial, inputs, state, gradients),
        weight_norm=jnp.sqrt(network.squared_norm(inputs)),
        largest_weight=network.largest(inputs),
        params=state.params,
        oracle=make_oracle(trial, inputs, state, batch, training=False),
    )
    observables: dict[str, Scalar] = {}
    for kind in measured_kinds(trial, metrics):
        observables |= kind.measure(snapshot)

    def evaluate(count: int, purpose: Purpose) -> evaluation.FreshResult:
        return evaluation.evaluate_fresh_points(trial, network, inputs, count, draws, purpose)

    test = validation = evaluation.FreshResult(loss, None, None)
    if points:
        test = evaluate(points, Purpose.TEST)
        observables["test_loss"] = test.loss
    if validation_points:
        validation = evaluate(validation_points, Purpose.VALIDATION)
        observables["validation_loss"] = validation.loss
    reached = at_target(trial, loss, snapshot.gradient_norm)
    status = final_status(state.status, loss, snapshot.weight_norm, reached)
    train_wrong = None if mistakes is None else count_mistakes(trial, mistakes)
    train_groups = None
    if mistakes is not None:
        valid = valid_mask(trial.data.n)
        counted = jnp.ones(mistakes.shape, bool) if valid is None else valid
        train_groups = count_groups(trial, inputs.info, mistakes, counted)
    counts = train_wrong, test.wrong, test.ties, validation.wrong
    return Measurement(state.step, status, *counts, observables, train_groups, test.groups)


def final_status(
    status: Scalar, value: Scalar, norm: Scalar, reached: Bool[Array, ""]
) -> Int[Array, ""]:
    """The status of a trial that made all its steps, by what its last update left."""
    last = jnp.where(reached, Status.CONVERGED, status)
    last = jnp.where(jnp.isfinite(value) & jnp.isfinite(norm), last, Status.NONFINITE)
    return jnp.where(status == Status.OUT_OF_STEPS, last, status).astype(jnp.int32)


def columns(
    measurement: Measurement,
    n: np.ndarray,
    points: int,
    validation_points: int = 0,
    groups: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The observables of the tables, in float64; errors are exact ratios of counts.

    Args:
        measurement: measurements fetched from the device, leaves (lanes,).
        n: training points of each lane.
        points: fresh points that each was tested on.
        validation_points: fresh points that each was validated on.
        groups: names of the groups of points.
    """
    table = {
        name: np.asarray(values, np.float64) for name, values in measurement.observables.items()
    }
    if measurement.train_wrong is not None:
        table["train_error"] = np.asarray(measurement.train_wrong) / n
    if measurement.test_wrong is not None:
        table["test_error"] = np.asarray(measurement.test_wrong) / points
        table["test_ties"] = np.asarray(measurement.test_ties) / points
    if {"train_error", "test_error"} <= table.keys():
        table["generalization_gap"] = table["test_error"] - table["train_error"]
    if measurement.validation_wrong is not None:
        table["validation_error"] = np.asarray(measurement.validation_wrong) / validation_points
    for which, counts in (("train", measurement.train_groups), ("test", measurement.test_groups)):
        if counts is not None:
            table |= _group_errors(which, np.asarray(counts), groups)
    return table


def _group_errors(which: str, counts: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Errors of groups from their counts (lanes, groups, 2), NaN for a group without points."""
    points, wrong = counts[..., 0].astype(float), counts[..., 1]
    errors = np.divide(wrong, points, out=np.full(points.shape, np.nan), where=points > 0)
    table = {f"{which}_error_{group}": errors[:, index] for index, group in enumerate(groups)}
    if which == "test":
        # Of groups without points the error is unknown, and so is the worst one.
        table["worst_error"] = errors.max(axis=1)
    return table


def count_mistakes(trial: Trial, mistakes: Bool[Array, " points"]) -> Int[Array, ""]:
    """How many training points are misclassified, padded ones not counted."""
    valid = valid_mask(trial.data.n)
    return jnp.sum(mistakes if valid is None else mistakes & valid)
