"""Label noise and mixup: what they do to the inner objective, and where they leave it alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.data.points import PointInfo
from sweep.objectives import LabelNoise, Logistic, Mixup, Square
from sweep.objectives.base import AbstractObjective, ObjectiveInputs

pytestmark = pytest.mark.usefixtures("float64")

POINTS = 4000
RNG = np.random.default_rng(0)
PATCHES, LABEL = RNG.normal(size=(POINTS, 1, 3)), np.resize([-1.0, 1.0], POINTS)
W = np.array([0.3, -1.0, 0.8])


def network(patches: Any) -> jax.Array:
    """A linear margin, so that what a mixed point gives is known."""
    return patches[:, 0] @ W


def losses(objective: AbstractObjective, key: jax.Array | None = None) -> np.ndarray:
    """The losses of the points at a step, or as they are measured without a key."""
    y = jnp.asarray(LABEL)
    inputs = ObjectiveInputs(jnp.asarray(PATCHES), PointInfo(y, y), key=key)
    return np.asarray(objective.losses(network, inputs))


KEY = jax.random.key(3)
WRAPPED = [
    LabelNoise(inner=Logistic(), label_noise=0.3),
    Mixup(inner=Logistic(), share=0.6),
    LabelNoise(inner=Mixup(inner=Logistic(), share=0.6), label_noise=0.3),
]


@pytest.mark.parametrize("objective", WRAPPED)
def test_it_is_measured_as_the_inner_objective(objective: Any) -> None:
    np.testing.assert_array_equal(losses(objective), losses(Logistic()))
    assert np.abs(losses(objective, KEY) - losses(Logistic())).max() > 0.1


@pytest.mark.parametrize(
    "neutral",
    [LabelNoise(inner=Logistic(), label_noise=0.0), Mixup(inner=Logistic(), share=1.0)],
)
def test_without_noise_it_is_the_inner_objective(neutral: Any) -> None:
    np.testing.assert_allclose(losses(neutral, KEY), losses(Logistic()), rtol=1e-12)


def test_the_inner_objective_gives_l2_and_mistakes() -> None:
    wrapped = LabelNoise(inner=Mixup(inner=Square(l2=0.25)))
    y = jnp.array([1.0, 1.0])
    assert wrapped.l2 == 0.25 and wrapped.classifies
    assert wrapped.mistakes(jnp.array([1.0, -1.0]), PointInfo(y, y)).tolist() == [False, True]


def test_labels_change_their_sign_independently_with_the_given_chance() -> None:
    """Each loss is that of one sign of the label or of the other, and each step draws anew."""
    noisy = LabelNoise(inner=Logistic(), label_noise=0.3)
    margin = LABEL * network(PATCHES)
    flipped = []
    for key in jax.random.split(KEY):
        found = losses(noisy, key)
        flipped.append(np.abs(found - np.log1p(np.exp(margin))) < 1e-9)
        kept = np.abs(found - np.log1p(np.exp(-margin))) < 1e-9
        assert (flipped[-1] ^ kept).all()
        assert abs(flipped[-1].mean() - 0.3) < 5 * np.sqrt(0.21 / POINTS)
    both = (flipped[0] & flipped[1]).mean()
    assert abs(both - 0.09) < 5 * np.sqrt(0.09 * 0.91 / POINTS)


def test_mixed_losses_are_those_of_mixed_points_and_both_labels() -> None:
    """(1 - y z)^2 / 2 of z = share z_i + (1 - share) z_j: the partner j is found by its value."""
    share, z = 0.6, network(PATCHES)
    found = losses(Mixup(inner=Square(), share=share), KEY)
    partner = np.asarray(jax.random.permutation(jax.random.split(KEY)[0], POINTS))
    mixed = share * z + (1 - share) * z[partner]
    own, other = (1 - LABEL * mixed) ** 2 / 2, (1 - LABEL[partner] * mixed) ** 2 / 2
    np.testing.assert_allclose(found, share * own + (1 - share) * other, rtol=1e-10)
    assert sorted(partner) == list(range(POINTS))
