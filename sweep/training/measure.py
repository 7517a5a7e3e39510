"""What is told of a lane: losses, errors and the theory's observables. The next step needs none of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sweep.data.base import feature_count
from sweep.filters import Network, TrainingInputs
from sweep.models.base import AbstractFiltered
from sweep.padding import actual_size, mask_padding, valid_mask
from sweep.spec import Scalar
from sweep.status import Status
from sweep.training import evaluation
from sweep.training.step import State, at_target, full_batch, gradient_norm, loss_and_grads, margins, merge
from sweep.trial import Trial


class Measurement(NamedTuple):
    """A lane at one step: points with margin <= 0, and the floating-point columns that its parts have."""

    step: Int[Array, ""]
    status: Int[Array, ""]
    train_wrong: Int[Array, ""]
    test_wrong: Int[Array, ""]
    observables: dict[str, Float[Array, ""]]


def measure(
    trial: Trial, seen: TrainingInputs, state: State, points: int, kept: evaluation.CachedDraws | None = None
) -> Measurement:
    """Losses, errors and observables of a lane, on `points` fresh points (none where 0), drawn now or `kept`."""
    value, grads, _ = loss_and_grads(trial, state, full_batch(trial, seen), training=False)
    net = merge(trial, state.params, state.rest, training=False)
    margin, patches = margins(trial, net, seen)
    gradient, norm = gradient_norm(trial, seen, state, grads), jnp.sqrt(net.squared_norm(seen))
    largest = net.largest(seen)
    observables = {
        "train_loss": value,
        **alignment(trial, net, seen, patches),
        **normalized_margins(trial, least(trial, seen.label * margin), norm, largest),
        "grad_norm": gradient,
        "weight_norm": norm,
        **({} if largest is None else {"weight_max": largest}),
    }
    test_wrong = jnp.array(0)
    if points:
        observables["test_loss"], test_wrong = evaluation.on_fresh_points(trial, net, seen, points, kept)
    status = final_status(state.status, value, norm, at_target(trial, value, gradient))
    return Measurement(state.step, status, wrong(trial, seen.label * margin), test_wrong, observables)


def final_status(status: Scalar, value: Scalar, norm: Scalar, reached: Bool[Array, ""]) -> Int[Array, ""]:
    """The status of a trial that made all its steps, by what its last update left."""
    last = jnp.where(reached, Status.CONVERGED, status)
    last = jnp.where(jnp.isfinite(value) & jnp.isfinite(norm), last, Status.NONFINITE)
    return jnp.where(status == Status.OUT_OF_STEPS, last, status).astype(jnp.int32)


def columns(measured: Measurement, n: np.ndarray, points: int) -> dict[str, np.ndarray]:
    """The observables of the tables from fetched measurements, in float64; errors are exact ratios of counts.

    `n` counts the training points of each.
    """
    found = {name: np.asarray(each, np.float64) for name, each in measured.observables.items()}
    found["train_error"] = np.asarray(measured.train_wrong) / n
    if points:
        found["test_error"] = np.asarray(measured.test_wrong) / points
        found["generalization_gap"] = found["test_error"] - found["train_error"]
    return found


def wrong(trial: Trial, margin: Float[Array, " points"]) -> Int[Array, ""]:
    """How many training points have a margin <= 0; one that is not a number counts as wrong."""
    kept = valid_mask(trial.data.n)
    return jnp.sum(~(margin > 0) if kept is None else ~(margin > 0) & kept)


def least(trial: Trial, each: Float[Array, " points"]) -> Scalar:
    """The smallest of a number of each training point."""
    kept = valid_mask(trial.data.n)
    return jnp.min(each if kept is None else jnp.where(kept, each, jnp.inf))


def alignment(trial: Trial, net: Network, seen: TrainingInputs, patches: Float[Array, "n P units"]) -> dict[str, Array]:
    """Feature learning and noise memorization of filters (arXiv 2108.11371, Section 5)."""
    if not isinstance(trial.model, AbstractFiltered):
        return {}
    on_noise = trial.model.by_class(patches[:, -trial.data.noise_vectors :])
    own = jnp.where(seen.label[:, None] > 0, on_noise[..., 0], on_noise[..., 1]).max(axis=-1)
    mean = jnp.sum(mask_padding(own, valid_mask(trial.data.n))) / actual_size(trial.data.n)
    found = {"noise_min": least(trial, own), "noise_mean": mean, "noise_max": -least(trial, -own)}
    if feature_count(trial.data) == 0:
        return found
    direction = net.filters(seen.tokens.take(slice(1)))[0]
    positive, negative = trial.model.by_class(direction)[0], trial.model.by_class(-direction)[1]
    return found | {"feature": jnp.minimum(positive, negative), "feature_pos": positive, "feature_neg": negative}


def normalized_margins(trial: Trial, least: Scalar, norm: Scalar, largest: Scalar | None) -> dict[str, Any]:
    """min_i y_i <w, x_i> over two norms of w, for linear models (arXiv 2406.10650)."""
    if not trial.model.linear:
        return {}
    found = {"margin_l2": least / norm}
    return found if largest is None else found | {"margin_linf": least / largest}
