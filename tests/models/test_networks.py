"""Fully connected networks, autoencoders and pruned networks, against NumPy and their definitions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sweep.filters import Source
from sweep.models import CNN, KINDS
from sweep.models.autoencoder import Autoencoder
from sweep.models.mlp import MLP
from sweep.models.pruned import Pruned
from tests.contracts.parts import of, trial
from tests.training_cases import train

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(0)
PATCHES = RNG.normal(size=(5, 2, 6))
ACTIVATIONS: dict[str, Any] = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    # The approximation by tanh, as in the paper and in jax.
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("layers", "outputs"), [(1, 1), (3, 4)])
def test_a_fully_connected_network_is_its_formula(
    activation: str, layers: int, outputs: int
) -> None:
    model = MLP(hidden=7, layers=layers, outputs=outputs, activation=activation)
    head: Any = model.head(2, 6, nnx.Rngs(0))
    values = PATCHES.reshape(5, 12)
    for number, layer in enumerate(head.layers):
        layer.bias[...] = jnp.asarray(RNG.normal(size=layer.bias.shape))
        values = values @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
        values = values if number == layers else ACTIVATIONS[activation](values)
    found = np.asarray(head(jnp.asarray(PATCHES)))
    assert len(head.layers) == layers + 1
    np.testing.assert_allclose(found, values[:, 0] if outputs == 1 else values, rtol=1e-10)


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2.0), ("tanh", 1.0)])
def test_first_weights_of_a_layer_have_the_variance_of_its_inputs(
    activation: str, variance: float
) -> None:
    head: Any = MLP(hidden=200, activation=activation, gain=0.5).head(2, 30, nnx.Rngs(0))
    kernel = np.asarray(head.layers[0].kernel[...])
    squares = kernel**2 * 60 / (0.25 * variance)
    assert abs(squares.mean() - 1) < 5 * np.sqrt(2 / squares.size)
    assert not np.asarray(head.layers[0].bias[...]).any()


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_an_autoencoder_has_tied_weights(activation: str) -> None:
    head: Any = Autoencoder(neurons=3, activation=activation).head(2, 6, nnx.Rngs(0))
    w = np.asarray(head.weights[...])
    hidden = PATCHES @ w
    hidden = np.maximum(hidden, 0) if activation == "relu" else hidden
    np.testing.assert_allclose(head(jnp.asarray(PATCHES)), hidden @ w.T, rtol=1e-12)
    assert w.shape == (6, 3)


def test_an_odd_activation_has_the_sign_of_its_argument() -> None:
    pre = jnp.asarray(RNG.normal(size=(5, 2, 4)))
    head: Any = CNN(width=2, power=3, odd=True).head(2, 6, nnx.Rngs(0))
    expected = (np.asarray(pre) ** 3).sum(axis=1) @ np.array([1, -1, 1, -1])
    np.testing.assert_allclose(head(pre), expected, rtol=1e-12)
    np.testing.assert_allclose(head(-pre), -expected, rtol=1e-12)


def test_gain_multiplies_uniform_weights_and_biases() -> None:
    plain, half = (trial(init="uniform", bias=True, gain=gain, n=2).source for gain in (1.0, 0.5))
    rows = jnp.arange(12)
    np.testing.assert_allclose(half.first_weights(rows), 0.5 * plain.first_weights(rows))
    heads: list[Any] = [source.filtered.head(2, 12, nnx.Rngs(0)) for source in (plain, half)]
    np.testing.assert_allclose(heads[1].bias[...], 0.5 * heads[0].bias[...])


ROWS = jnp.arange(400)


def masks(keep: float, seed: int = 1) -> np.ndarray:
    """Which weights of a network of ten filters are kept."""
    source = Source(of("data")[0].part(), Pruned(inner=CNN(width=5), keep=keep), seed)
    return np.asarray(source.mask(ROWS))


def test_a_higher_rate_keeps_what_a_lower_one_keeps() -> None:
    lower, higher = masks(0.3), masks(0.7)
    assert (lower <= higher).all() and lower.sum() < higher.sum()
    assert masks(1.0).all() and not masks(0.0).any()
    assert (masks(0.3, seed=2) != lower).any()


@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_weights_are_kept_independently_with_the_given_chance(keep: float) -> None:
    kept = masks(keep)
    spread = np.sqrt(keep * (1 - keep))
    assert abs(kept.mean() - keep) < 5 * spread / np.sqrt(kept.size)
    pairs = kept[1:] & kept[:-1]
    assert abs(pairs.mean() - keep**2) < 5 * np.sqrt(keep**2 / pairs.size)


def weights(kinds: dict[str, str], updates: int, **values: Any) -> np.ndarray:
    """W^T of a pruned network, or of the one within, after some updates."""
    one = trial({**kinds}, **{"steps": 10**6, "l2": 0.1, **values})
    return np.asarray(train(one, updates, 0).state.params["filters"]["weights"][...])


PRUNED = {"model": "pruned", "model_inner": "cnn"}


@pytest.mark.parametrize("kind", ["adam", "adamw", "gd"])
def test_what_is_pruned_stays_zero(kind: str) -> None:
    """Whatever moves the other weights: gradients, an l2 term, decay."""
    more = {} if kind == "adam" else {"weight_decay": 0.1}
    first = weights({}, 0)
    found = [
        weights({**PRUNED, "optimizer": kind}, updates, keep=0.6, **more) for updates in (0, 15)
    ]
    kept = found[0] != 0
    np.testing.assert_array_equal(found[0][kept], first[kept])
    assert 0.3 < kept.mean() < 0.9
    assert not found[1][~kept].any() and (found[1][kept] != found[0][kept]).all()


@pytest.mark.parametrize("kind", ["adam", "gd"])
def test_a_network_that_keeps_all_weights_is_the_one_within_to_the_bit(kind: str) -> None:
    pruned = weights({**PRUNED, "optimizer": kind}, 15, keep=1.0)
    np.testing.assert_array_equal(pruned, weights({"optimizer": kind}, 15))


def test_these_networks_are_registered() -> None:
    assert (KINDS["mlp"], KINDS["autoencoder"], KINDS["pruned"]) == (MLP, Autoencoder, Pruned)
