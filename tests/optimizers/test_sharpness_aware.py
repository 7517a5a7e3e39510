"""SAM and SASSHA on whole trainings: limits, and the full Hessian written out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sweep.data import base
from sweep.prng import Purpose, stream
from sweep.training import step
from sweep.trial import Trial
from tests.contracts.parts import trial
from tests.training_cases import quick, train

pytestmark = pytest.mark.usefixtures("float64")

UPDATES = 8


def weights(one: Trial) -> np.ndarray:
    """W^T after some updates."""
    return np.asarray(train(one, UPDATES, 0).state.params["filters"]["weights"][...])


@pytest.mark.parametrize("inner", ["momentum", "adam"])
def test_at_no_distance_sam_is_the_rule_within_to_the_bit(inner: str) -> None:
    kinds = {"optimizer": "sam", "optimizer_inner": inner}
    found = weights(trial(kinds, rho=0.0, batch_size=4))
    plain = weights(trial({"optimizer": inner}, batch_size=4))
    np.testing.assert_array_equal(found, plain)
    assert np.abs(weights(trial(kinds, rho=0.3, batch_size=4)) - plain).max() > 1e-6


NUMBERS: dict[str, Any] = {
    "lr": 0.05,
    "rho": 0.2,
    "lazy": 3,
    "b1": 0.8,
    "b2": 0.95,
    "eps": 1e-3,
    "weight_decay": 0.1,
    "l2": 0.05,
    "power": 3,
}


def objective(one: Trial) -> Any:
    """The objective of W (d, units) as the paper writes it, from the vectors of the points."""

    @quick
    def draw() -> Any:
        directions = base.feature_directions(one.data, one.seed)
        points = base.training_points(one.data, one.seed, directions)
        d = one.data.d
        patches = one.data.assemble(directions.dense(d), points.noise.dense(d), points.info)
        return patches, points.info.label

    patches, label = draw()
    signs = jnp.resize(jnp.array([1.0, -1.0]), one.source.units)

    def total(flat: jax.Array) -> jax.Array:
        w = flat.reshape(one.data.d, -1)
        outputs = (jnp.maximum(patches @ w, 0) ** 3).sum(axis=1) @ signs
        loss = jnp.log1p(jnp.exp(-label * outputs)).mean()
        return loss + 0.5 * NUMBERS["l2"] * jnp.sum(flat**2)

    return total


def by_the_full_hessian(one: Trial, first: np.ndarray) -> np.ndarray:
    """Algorithm 1 of arXiv 2502.18153 on flat weights, with the Hessian as a matrix."""
    total = objective(one)
    gradient, hessian = quick(jax.grad(total)), quick(jax.hessian(total))
    lr, rho, b1, b2, eps = (NUMBERS[name] for name in ("lr", "rho", "b1", "b2", "eps"))
    w, m, d, last = first.T.ravel(), 0.0, 0.0, 0
    for t in range(1, UPDATES + 1):
        g = np.asarray(gradient(w))
        there = w + rho * g / np.linalg.norm(g)
        m = b1 * m + (1 - b1) * np.asarray(gradient(there))
        if t % NUMBERS["lazy"] == 1:
            key = jax.random.fold_in(stream(one.seed, Purpose.OPTIMIZER), t - 1)
            like = {"filters": {"weights": jnp.zeros((one.data.d, one.source.units))}}
            drawn = optax.tree.random_like(key, like, jax.random.rademacher)
            z = np.asarray(drawn["filters"]["weights"], float).ravel()
            d = b2 * d + (1 - b2) * np.abs(z * (np.asarray(hessian(there)) @ z))
            last = t
        move = (m / (1 - b1**t)) / (np.sqrt(d / (1 - b2**last)) + eps)
        w = w - lr * (move + NUMBERS["weight_decay"] * w)
    return w.reshape(one.data.d, -1).T


def test_sassha_is_its_algorithm_with_the_full_hessian() -> None:
    one = trial({"optimizer": "sassha"}, **NUMBERS, steps=10**6)
    trained = train(one, UPDATES, 0)
    first = np.asarray(trained.first["filters"]["weights"][...])
    found = np.asarray(trained.state.params["filters"]["weights"][...])
    np.testing.assert_allclose(found, by_the_full_hessian(one, first), rtol=0, atol=1e-12)
    assert np.abs(found - first).max() > 0.1


def test_signs_do_not_matter_where_the_hessian_is_diagonal() -> None:
    """|z * H z| = |diag H| for any signs; a linear model under the square loss with one patch an axis."""
    kinds = {
        "data": "orthonormal",
        "model": "linear",
        "objective": "square",
        "optimizer": "sassha",
    }
    one = trial(kinds, n=4, d=4, l2=0.3, init_scale=0.2)
    inputs, state = step.start(one)
    asked = step.make_oracle(one, inputs, state, step.full_batch(one, inputs))
    for key in jax.random.split(jax.random.key(0), 3):
        z = optax.tree.random_like(key, state.params, jax.random.rademacher)
        product = asked.hvp(state.params, z)
        for signs, along in zip(jax.tree.leaves(z), jax.tree.leaves(product), strict=True):
            np.testing.assert_allclose(jnp.abs(signs * along), 1 / 4 + 0.3, rtol=1e-12)
