"""Losses of classes, numbers and reconstructions against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.data.points import PointInfo
from sweep.objectives import CrossEntropy, Logistic, Reconstruction, SquaredError
from sweep.objectives.base import ObjectiveInputs

pytestmark = pytest.mark.usefixtures("float64")

RNG = np.random.default_rng(0)
POINTS = 6


def inputs(label: np.ndarray, patches: np.ndarray | None = None) -> ObjectiveInputs:
    """Points with such labels; a network below sees nothing else of them."""
    seen = np.zeros((len(label), 1, 1)) if patches is None else patches
    y = jnp.asarray(label, float)
    return ObjectiveInputs(jnp.asarray(seen), PointInfo(y, y))


def test_cross_entropy_is_minus_the_log_of_the_softmax() -> None:
    logits, label = RNG.normal(size=(POINTS, 4)), np.arange(POINTS) % 4
    found = CrossEntropy().losses(lambda patches: jnp.asarray(logits), inputs(label))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, -np.log(softmax[np.arange(POINTS), label]), rtol=1e-12)


def test_cross_entropy_of_two_classes_is_the_logistic_loss_of_the_difference() -> None:
    """Labels of -1 and +1 are classes 0 and 1."""
    logits, label = RNG.normal(size=(POINTS, 2)), np.resize([-1.0, 1.0], POINTS)
    found = CrossEntropy().losses(lambda patches: jnp.asarray(logits), inputs(label))
    margin = label * (logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(found, Logistic().loss(jnp.asarray(margin)), rtol=1e-12)


def test_a_class_is_right_only_where_its_output_is_above_all_others() -> None:
    outputs = jnp.array([[1.0, 0.0, 0.5], [1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [np.nan, 0.0, 0.0]])
    info = inputs(np.array([0.0, 0.0, 2.0, 0.0])).info
    assert CrossEntropy().mistakes(outputs, info).tolist() == [False, True, True, True]
    two = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    assert CrossEntropy().mistakes(two, inputs(np.array([-1.0, -1.0])).info).tolist() == [
        False,
        True,
    ]


def test_squared_error_has_any_target() -> None:
    outputs, target = RNG.normal(size=POINTS), RNG.normal(size=POINTS)
    found = SquaredError().losses(lambda patches: jnp.asarray(outputs), inputs(target))
    np.testing.assert_allclose(found, (outputs - target) ** 2 / 2, rtol=1e-12)
    assert SquaredError().mistakes(jnp.asarray(outputs), inputs(target).info) is None
    assert not SquaredError().classifies and CrossEntropy().classifies


def test_reconstruction_is_half_the_squared_distance() -> None:
    patches, given = RNG.normal(size=(2, POINTS, 3, 5))
    found = Reconstruction().losses(
        lambda patches: jnp.asarray(given), inputs(np.ones(POINTS), patches)
    )
    expected = [((one - other) ** 2).sum() / 2 for one, other in zip(patches, given, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    slope = jax.grad(
        lambda scale: (
            Reconstruction()
            .losses(lambda patches: scale * patches, inputs(np.ones(POINTS), patches))
            .sum()
        )
    )(0.5)
    assert float(slope) == pytest.approx(-0.5 * (patches**2).sum())
