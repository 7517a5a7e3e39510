"""What is told of a lane: losses, errors and the theory's observables. The next step needs none of it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from sweep.data.base import features, test_points
from sweep.filters import Network
from sweep.models.base import AbstractFiltered
from sweep.spec import Scalar
from sweep.status import Status
from sweep.trainer import Batch, State, World, at_target, loss_and_grads, margins, merge
from sweep.trial import Trial

TEST_CHUNK = 512


class Measurement(NamedTuple):
    """A lane at one step: points with margin <= 0, and the floating-point columns that its parts have."""

    step: Int[Array, ""]
    status: Int[Array, ""]
    train_wrong: Int[Array, ""]
    test_wrong: Int[Array, ""]
    observables: dict[str, Float[Array, ""]]


def measure(trial: Trial, world: World, state: State, points: int) -> Measurement:
    """Losses, errors and observables of a lane, on `points` fresh points (none where 0)."""
    value, grads, _ = loss_and_grads(trial, state, Batch(world, None), training=False)
    net = merge(trial, state.params, state.rest, training=False)
    margin, patches = margins(trial, net, world)
    observables = {
        "train_loss": value,
        **alignment(trial, net, world, patches),
        **normalized_margins(trial, state, jnp.min(world.label * margin)),
        "grad_norm": optax.tree.norm(grads),
        "weight_norm": optax.tree.norm(state.params),
        "weight_max": optax.tree.norm(state.params, ord=jnp.inf),
    }
    test_wrong = jnp.array(0)
    if points:
        observables["test_loss"], test_wrong = on_fresh_points(trial, net, points)
    status = final_status(state.status, value, observables["weight_norm"], at_target(trial, value, grads))
    return Measurement(state.step, status, wrong(world.label * margin), test_wrong, observables)


def final_status(status: Scalar, value: Scalar, norm: Scalar, reached: Bool[Array, ""]) -> Int[Array, ""]:
    """The status of a trial that made all its steps, by what its last update left."""
    last = jnp.where(reached, Status.CONVERGED, status)
    last = jnp.where(jnp.isfinite(value) & jnp.isfinite(norm), last, Status.NONFINITE)
    return jnp.where(status == Status.OUT_OF_STEPS, last, status).astype(jnp.int32)


def columns(measured: Measurement, n: int, points: int) -> dict[str, np.ndarray]:
    """The observables of the tables from fetched measurements, in float64; errors are exact ratios of counts."""
    found = {name: np.asarray(each, np.float64) for name, each in measured.observables.items()}
    found["train_error"] = np.asarray(measured.train_wrong) / n
    if points:
        found["test_error"] = np.asarray(measured.test_wrong) / points
        found["generalization_gap"] = found["test_error"] - found["train_error"]
    return found


def wrong(margin: Float[Array, " points"]) -> Int[Array, ""]:
    """How many points have a margin <= 0; one that is not a number counts as wrong."""
    return jnp.sum(~(margin > 0))


def on_fresh_points(trial: Trial, net: Network, points: int) -> tuple[Scalar, Int[Array, ""]]:
    """Mean loss on fresh points and how many of them are wrong, drawn and forgotten a few hundred at a time."""
    directions = features(trial.data, trial.seed)
    on_features = net.filters.project(directions)

    def chunk(first: Array) -> tuple[Scalar, Int[Array, ""]]:
        rows = first + jnp.arange(min(TEST_CHUNK, points))
        fresh = test_points(trial.data, trial.seed, directions, rows)
        margin = fresh.label * net(trial.data.assemble(on_features, net.filters.project(fresh.noise), fresh.truth))
        counted = rows < points
        losses = jnp.where(counted, trial.objective.loss(margin), 0.0)
        return jnp.sum(losses), jnp.sum(counted & ~(margin > 0))

    losses, wrongs = jax.lax.map(chunk, jnp.arange(0, points, TEST_CHUNK))
    return jnp.sum(losses) / points, jnp.sum(wrongs)


def alignment(trial: Trial, net: Network, world: World, patches: Float[Array, "n P units"]) -> dict[str, Array]:
    """Feature learning and noise memorization of filters (arXiv 2108.11371, Section 5)."""
    if not isinstance(trial.model, AbstractFiltered):
        return {}
    on_noise = trial.model.by_class(patches[:, -trial.data.noise_vectors :])
    own = jnp.where(world.label[:, None] > 0, on_noise[..., 0], on_noise[..., 1]).max(axis=-1)
    found = {"noise_min": own.min(), "noise_mean": own.mean(), "noise_max": own.max()}
    directions = jax.eval_shape(lambda: features(trial.data, trial.seed)).value.shape[0]
    if directions == 0:
        return found
    direction = net.filters(jax.tree.map(lambda each: each[:1], world.tokens))[0]
    positive, negative = trial.model.by_class(direction)[0], trial.model.by_class(-direction)[1]
    return found | {"feature": jnp.minimum(positive, negative), "feature_pos": positive, "feature_neg": negative}


def normalized_margins(trial: Trial, state: State, least: Scalar) -> dict[str, Array]:
    """min_i y_i <w, x_i> over two norms of w, for linear models (arXiv 2406.10650)."""
    if not trial.model.linear:
        return {}
    norm, largest = optax.tree.norm(state.params), optax.tree.norm(state.params, ord=jnp.inf)
    return {"margin_l2": least / norm, "margin_linf": least / largest}
