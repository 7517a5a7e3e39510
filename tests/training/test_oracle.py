"""What a rule may ask of the objective, against finite differences and in every kind of coordinates."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sweep import optimizers
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.oracle import Oracle
from sweep.spec import Scalar, lane, part
from sweep.training import step
from sweep.training.batches import full_batch
from sweep.trial import Trial
from tests.contracts.parts import trial
from tests.training_cases import quick

pytestmark = pytest.mark.usefixtures("float64")


@part
class LookAhead(AbstractOptimizer):
    """w <- w - lr grad(w - radius grad(w) / ||grad(w)||): asks for a gradient elsewhere and a norm."""

    linear = True
    lr: Scalar = lane(above=0, doc="step size")
    radius: Scalar = lane(0.3, doc="length of the look ahead")

    def transform(self) -> optax.GradientTransformation:
        """The rule by the oracle."""

        def update(grads: Any, state: Any, params: Any, *, oracle: Oracle, **_: Any) -> Any:
            length = self.radius / oracle.norm(grads)
            ahead = jax.tree.map(lambda w, g: w - length * g, params, grads)
            return jax.tree.map(lambda g: -self.lr * g, oracle.gradient(ahead)), state

        return optax.GradientTransformationExtraArgs(lambda params: (), update)


@part
class Shaped(LookAhead):
    """The same rule, by an author who says nothing of it: it gets weights as flax has them."""

    linear = False


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optimizers.KINDS, "look_ahead", LookAhead)
    monkeypatch.setitem(optimizers.KINDS, "shaped", Shaped)


def measured(one: Trial, steps: int = 6) -> np.ndarray:
    """The margins of the training points after some steps: the same in all coordinates."""

    @quick
    def outputs(one: Trial) -> jax.Array:
        inputs, state = step.start(one)
        state = jax.lax.fori_loop(0, steps, lambda _, s: step.advance(one, inputs, s), state)
        network = step.merge(one, state.params, state.rest, training=False)
        batch = full_batch(one, inputs)
        return network(step.objective_inputs(one, network, batch, state.step, False).patches)

    return np.asarray(outputs(one))


VALUES: dict[str, Any] = {"lr": 0.3, "batch_size": 4, "l2": 0.1}


def test_a_rule_that_asks_is_the_same_in_span_coordinates() -> None:
    ambient, span = (
        measured(trial({"optimizer": "look_ahead"}, coordinates=each, **VALUES))
        for each in ("ambient", "span")
    )
    np.testing.assert_allclose(span, ambient, rtol=0, atol=1e-12)
    plain = measured(trial({"optimizer": "gd"}, **VALUES))
    assert np.abs(plain - ambient).max() > 1e-3, "the rule would be plain descent"


def test_a_rule_that_tells_rows_from_columns_asks_in_its_own_shapes() -> None:
    found = (measured(trial({"optimizer": kind}, **VALUES)) for kind in ("look_ahead", "shaped"))
    np.testing.assert_array_equal(*found)


def asked(one: Trial) -> tuple[Oracle, Any]:
    """The oracle of the first step and the first weights."""
    inputs, state = step.start(one)
    return step.make_oracle(one, inputs, state, full_batch(one, inputs)), state.params


def test_derivatives_are_those_of_the_value() -> None:
    one = trial({"model": "linear"}, init_scale=0.2, l2=0.3)
    oracle, weights = asked(one)
    vector = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), weights)

    def moved(distance: float) -> Any:
        return jax.tree.map(lambda w, v: w + distance * v, weights, vector)

    def along(gradient: Any) -> float:
        return float(optax.tree.vdot(gradient, vector))

    h = 1e-5
    slope = (oracle.value(moved(h)) - oracle.value(moved(-h))) / (2 * h)
    assert along(oracle.gradient(weights)) == pytest.approx(float(slope), abs=1e-9)
    bent = (along(oracle.gradient(moved(h))) - along(oracle.gradient(moved(-h)))) / (2 * h)
    assert along(oracle.hvp(weights, vector)) == pytest.approx(bent, abs=1e-8)
    length = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(weights)))
    assert float(oracle.norm(weights)) == pytest.approx(float(length), rel=1e-12)


def test_a_norm_in_span_coordinates_is_that_of_the_weights() -> None:
    norms = []
    for coordinates in ("ambient", "span"):
        oracle, weights = asked(trial(coordinates=coordinates))
        norms += [float(oracle.norm(weights)), float(oracle.norm(oracle.gradient(weights)))]
    np.testing.assert_allclose(norms[:2], norms[2:], rtol=1e-12)


def test_every_step_has_a_key_of_its_own() -> None:
    one = trial()
    inputs, state = step.start(one)
    batch = full_batch(one, inputs)
    keys = [
        jax.random.key_data(
            step.make_oracle(one, inputs, state._replace(step=at), batch).key
        ).tolist()
        for at in (jnp.int32(0), jnp.int32(1))
    ]
    assert keys[0] != keys[1]
