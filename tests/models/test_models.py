"""Networks against naive loops: margins, filters by class, laws of initial weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sweep.data.base import patch_count
from sweep.filters import Source, initial_network
from sweep.filters.ambient import dense_tokens
from sweep.filters.first_layer import Patches
from sweep.models import CNN, Linear
from sweep.prng import Purpose, stream
from tests.contracts.parts import Example, named, of
from tests.training_cases import quick

POINTS, PATCHES, D = 5, 2, 12


def cnn_margin(model: CNN, weights: np.ndarray, bias: np.ndarray, point: np.ndarray) -> float:
    """F_{+1} - F_{-1} of one point (P, d), filter by filter and patch by patch, as the papers write it."""
    total = {1: 0.0, -1: 0.0}
    for r in range(model.width):
        for j, unit in ((1, 2 * r), (-1, 2 * r + 1)):
            for patch in point:
                z = sum(weights[i, unit] * patch[i] for i in range(len(patch))) + bias[unit]
                total[j] += max(z, 0.0) ** model.power
    c = (1 / model.width if model.readout == "mean" else 1) * (
        1 / len(point) if model.patches == "mean" else 1
    )
    return c * (total[1] - total[-1])


MODELS = [
    pytest.param(
        CNN(width=width, power=power, readout=readout, patches=patches, bias=bias), id=name
    )
    for name, width, power, readout, patches, bias in (
        ("core_paper", 3, 3, "sum", "sum", False),
        ("benign_relu", 3, 1, "mean", "sum", False),
        ("benign_power", 2, 2, "sum", "mean", False),
        ("released_code", 3, 1, "sum", "mean", True),
        ("all_means", 2, 4, "mean", "mean", True),
    )
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("float64")
def test_cnn_is_the_loop_of_the_papers(model: CNN) -> None:
    rng = np.random.default_rng(0)
    points, weights = rng.normal(size=(POINTS, PATCHES, D)), rng.normal(size=(D, model.units()))
    head: Any = model.head(PATCHES, D, nnx.Rngs(0))
    bias = np.zeros(model.units())
    if model.bias:
        bias = rng.normal(size=model.units())
        head.bias[...] = jnp.asarray(bias)
    expected = [cnn_margin(model, weights, bias, point) for point in points]
    np.testing.assert_allclose(head(jnp.asarray(points @ weights)), expected, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_linear_is_the_sum_over_patches() -> None:
    rng = np.random.default_rng(0)
    points, w = rng.normal(size=(POINTS, PATCHES, D)), rng.normal(size=(D, 1))
    expected = [sum(float(patch @ w[:, 0]) for patch in point) for point in points]
    head: Any = Linear().head(PATCHES, D, nnx.Rngs(0))
    np.testing.assert_allclose(head(jnp.asarray(points @ w)), expected, rtol=1e-12)


def test_by_class_is_the_best_filter_of_each() -> None:
    """Filters 0, 2, 4 belong to class +1 and 1, 3, 5 to class -1; a linear filter serves both, with a sign."""
    on_filters = np.array([[1.0, 9.0, -2.0, 3.0, 0.5, 4.0], [-3.0, -7.0, -1.0, -8.0, -2.0, -9.0]])
    np.testing.assert_array_equal(
        CNN(width=3).by_class(jnp.asarray(on_filters)), [[1.0, 9.0], [-1.0, -7.0]]
    )
    np.testing.assert_array_equal(
        Linear().by_class(jnp.array([[0.5], [-2.0]])), [[0.5, -0.5], [-2.0, 2.0]]
    )


def test_raising_a_filter_of_a_class_raises_its_logit_alone() -> None:
    """What `by_class` calls class +1 is what the margin adds, and class -1 what it subtracts."""
    model = CNN(width=2, power=2)
    head: Any = model.head(1, D, nnx.Rngs(0))
    for unit in range(4):
        pre = np.full(4, -1.0)
        pre[unit] = 2.0
        positive, negative = np.asarray(model.by_class(jnp.asarray(pre))).tolist()
        assert float(head(jnp.asarray(pre[None, None]))[0]) == (
            4.0 if positive > negative else -4.0
        )


@quick
def _first(model: Any, key: jax.Array, rows: jax.Array) -> jax.Array:
    return model.first_weights(key, rows, 500)


def first_weights(model: Any, rows: Any = None) -> np.ndarray:
    """Rows of the initial weights of a d = 500 network."""
    rows = np.arange(500) if rows is None else np.asarray(rows)
    return np.asarray(_first(model, stream(5, Purpose.INIT), rows))


def near(values: np.ndarray, mean: float, spread: float) -> None:
    """The average lies within 5 standard errors of the mean."""
    assert abs(np.mean(values) - mean) < 5 * spread / np.sqrt(np.size(values))


@pytest.mark.parametrize(
    "model", [CNN(width=3, init_scale=0.2), Linear(init_scale=0.2)], ids=["cnn", "linear"]
)
def test_first_weights_are_gaussian(model: Any) -> None:
    z = first_weights(model) / 0.2
    assert z.shape == (500, model.units())
    near(z, 0, 1)
    near(z**2, 1, np.sqrt(2))
    near(z**4, 3, np.sqrt(96))


def test_uniform_first_weights_fill_their_interval() -> None:
    """Uniform on +-1/sqrt(d): variance 1/3 and fourth moment 1/5 in units of the bound."""
    z = first_weights(CNN(width=3, init="uniform")) * np.sqrt(500)
    assert 0.99 < np.abs(z).max() <= 1 + 1e-6
    near(z, 0, np.sqrt(1 / 3))
    near(z**2, 1 / 3, np.sqrt(1 / 5 - 1 / 9))


@pytest.mark.parametrize("init", ["normal", "uniform"])
def test_first_weights_are_keyed_by_coordinate(init: str) -> None:
    """A narrower network is the beginning of a wider one, and any rows can be drawn alone."""
    wide, narrow = CNN(width=3, init=init), CNN(width=2, init=init)
    whole = first_weights(wide)
    np.testing.assert_array_equal(first_weights(narrow), whole[:, :4])
    np.testing.assert_array_equal(first_weights(wide, rows=[3, 499, 0]), whole[[3, 499, 0]])
    assert len(np.unique(whole, axis=0)) == 500


def test_a_linear_model_starts_at_the_origin_by_default() -> None:
    assert not first_weights(Linear()).any()


@pytest.mark.parametrize("example", of("data"), ids=named)
def test_the_number_of_patches_comes_from_the_data(example: Example) -> None:
    counts = {"separable": 1, "orthonormal": 1, "spurious": 3}
    assert patch_count(example.part()) == counts.get(example.kind, 2)


def test_a_bias_is_drawn_from_the_seed_and_not_from_the_weights_stream() -> None:
    """Adding a bias changes no first weight."""
    data, plain, biased = of("data")[0].part(), CNN(width=2), CNN(width=2, bias=True)

    @quick
    def both(seed: Any) -> tuple[Any, Any]:
        one, other = (
            initial_network(Source(data, model, seed), "ambient") for model in (plain, biased)
        )
        return nnx.state(one, nnx.Param), nnx.state(other, nnx.Param)

    one, other = both(np.uint32(1))
    np.testing.assert_array_equal(one.filters.weights[...], other.filters.weights[...])
    bias = np.asarray(other.head.bias[...])
    assert bias.shape == (4,)
    assert np.all(np.abs(bias) <= 1 / np.sqrt(12))
    assert len(set(bias.tolist())) == 4
    assert not np.array_equal(bias, np.asarray(both(np.uint32(2))[1].head.bias[...]))


def test_no_filters_means_the_vectors_themselves() -> None:
    vectors = jnp.asarray(np.random.default_rng(0).normal(size=(4, D)))
    assert Patches(D)(dense_tokens(vectors)) is vectors
