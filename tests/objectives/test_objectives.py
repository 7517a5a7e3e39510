"""Losses of the margin: closed forms, far tails, derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import numpy as np
import pytest

from sweep import objectives
from sweep.objectives import KINDS
from sweep.objectives.base import AbstractMarginLoss

FORMS: dict[str, Callable[[float], float]] = {
    "logistic": lambda z: math.log1p(math.exp(-z)),
    "exponential": lambda z: math.exp(-z),
    "square": lambda z: (1 - z) ** 2 / 2,
    "hinge": lambda z: max(0.0, 1 - z),
    "ramp": lambda z: min(1.0, max(0.0, 1 - z)),
    "generalized_cross_entropy": lambda z: (1 - (1 / (1 + math.exp(-z))) ** 0.7) / 0.7,
}
SLOPES: dict[str, Callable[[float], float]] = {
    "logistic": lambda z: -1 / (1 + math.exp(z)),
    "exponential": lambda z: -math.exp(-z),
    "square": lambda z: z - 1,
    "hinge": lambda z: -float(z < 1),
    "ramp": lambda z: -float(0 < z < 1),
    "generalized_cross_entropy": lambda z: -((1 / (1 + math.exp(-z))) ** 0.7) / (1 + math.exp(z)),
}
KINKS = {"hinge": [1.0], "ramp": [0.0, 1.0]}
"""Margins at which a loss has no slope."""
MARGINS = np.array([-7.0, -1.0, -1e-3, 0.0, 0.5, 1.0, 4.0, 20.0])

pytestmark = pytest.mark.usefixtures("float64")


def loss(kind: str, margin: np.ndarray) -> np.ndarray:
    return np.asarray(KINDS[kind]().loss(jax.numpy.asarray(margin)))


def slope(kind: str, margin: np.ndarray) -> np.ndarray:
    return np.asarray(jax.vmap(jax.grad(KINDS[kind]().loss))(jax.numpy.asarray(margin)))


def test_every_objective_has_a_closed_form_here() -> None:
    margins = {
        kind for kind, cls in objectives.KINDS.items() if issubclass(cls, AbstractMarginLoss)
    }
    assert set(FORMS) == set(SLOPES) == margins


@pytest.mark.parametrize("kind", FORMS)
def test_loss_is_its_formula(kind: str) -> None:
    np.testing.assert_allclose(
        loss(kind, MARGINS), [FORMS[kind](z) for z in MARGINS], rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("kind", FORMS)
def test_slope_is_its_formula_and_the_finite_difference(kind: str) -> None:
    """Central differences of step h are off by h^2 times the third derivative, at most exp(7) here."""
    margins, h = np.setdiff1d(MARGINS, KINKS.get(kind, [])), 1e-6
    found = slope(kind, margins)
    np.testing.assert_allclose(found, [SLOPES[kind](z) for z in margins], rtol=1e-12, atol=1e-15)
    differences = (loss(kind, margins + h) - loss(kind, margins - h)) / (2 * h)
    np.testing.assert_allclose(found, differences, rtol=1e-6, atol=1e-8)


def test_logistic_loss_overflows_nowhere() -> None:
    """log(1 + exp(-z)) is -z far to the left and 0 far to the right; its slope lies in [-1, 0]."""
    far = np.array([-1e3, 1e3, -1e30, 1e30])
    np.testing.assert_array_equal(loss("logistic", far), [1e3, 0.0, 1e30, 0.0])
    np.testing.assert_array_equal(slope("logistic", far), [-1.0, 0.0, -1.0, 0.0])


def test_logistic_loss_is_accurate_in_its_right_tail() -> None:
    """log(1 + e) with e = exp(-40) is e to first order, which a naive sum would round to 0."""
    assert loss("logistic", np.array([40.0]))[0] == pytest.approx(math.exp(-40), rel=1e-12)


def test_exponential_loss_is_infinite_and_not_nan_where_it_overflows() -> None:
    far = np.array([-1e3, 1e3])
    np.testing.assert_array_equal(loss("exponential", far), [np.inf, 0.0])
    np.testing.assert_array_equal(slope("exponential", far), [-np.inf, 0.0])


def test_logistic_loss_is_the_cross_entropy_of_two_logits() -> None:
    """-log softmax of the right one of F_+ and F_-, at margin F_+ - F_-."""
    plus, minus = np.array([0.3, -2.0, 5.0]), np.array([1.1, 0.4, -1.0])
    entropy = -np.log(np.exp(plus) / (np.exp(plus) + np.exp(minus)))
    np.testing.assert_allclose(loss("logistic", plus - minus), entropy, rtol=1e-12)


@pytest.mark.parametrize("kind", FORMS)
def test_l2_is_a_number_of_the_lane(kind: str) -> None:
    assert jax.tree.leaves(KINDS[kind](l2=0.25))[0] == 0.25
    assert KINDS[kind]().l2 == 0


@pytest.mark.parametrize("kind", ["hinge", "ramp", "generalized_cross_entropy", "logistic"])
def test_lipschitz_losses_have_slopes_in_minus_one_and_zero(kind: str) -> None:
    found = slope(kind, np.linspace(-30, 30, 2001))
    assert -1 <= found.min() < -0.1 and found.max() <= 0


def test_generalized_cross_entropy_lies_between_logistic_loss_and_probability() -> None:
    """q -> 0 is the logistic loss, off by at most q loss^2 / 2; q = 1 is 1 - p."""
    cls, z = objectives.GeneralizedCrossEntropy, jax.numpy.asarray(MARGINS)
    logistic = loss("logistic", MARGINS)
    assert np.all(np.abs(cls(robustness=1e-7).loss(z) - logistic) <= 1e-7 * logistic**2)
    probability = [1 / (1 + math.exp(-each)) for each in MARGINS]
    np.testing.assert_allclose(
        cls(robustness=1.0).loss(z), 1 - np.array(probability), rtol=1e-7, atol=1e-15
    )
