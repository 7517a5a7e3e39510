"""When points arrive, by hand, and what a training sees of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.curricula import KINDS
from sweep.curricula.expansion import NEVER, Everything, Expansion
from sweep.data.points import PointInfo
from sweep.data.spurious import Spurious
from sweep.training import step
from sweep.training.batches import batch_at
from tests.contracts.parts import trial
from tests.training_cases import quick

LABELS = np.array([1, 1, 1, -1, -1, 1, 1, 1, -1], float)
MINOR = np.array([0, 0, 0, 0, 0, 1, 1, 0, 1], bool)
"""Cells (+, major): rows 0 1 2 7; (-, major): 3 4; (+, minor): 5 6; (-, minor): 8, the smallest."""

BALANCED = [0, 3, 5, 8]
LATE = [1, 2, 4, 6, 7]


def arrival(**numbers: int) -> list[int]:
    """When each of the nine points arrives."""
    y = jnp.asarray(LABELS)
    info = PointInfo(y, y, jnp.where(MINOR, -y, y))
    return np.asarray(Expansion(**numbers).arrival(Spurious(n=9), info)).tolist()


def test_it_begins_with_equally_many_of_each_class_of_each_group() -> None:
    found = arrival(warmup=10, every=4, add=2)
    assert [row for row, when in enumerate(found) if when == 0] == BALANCED
    assert [found[row] for row in LATE] == [10, 10, 14, 14, 18]


@pytest.mark.parametrize(
    ("numbers", "late"),
    [
        ({"add": 9}, [10] * 5),
        ({"add": 0}, [NEVER] * 5),
        ({"add": 2, "expansions": 1}, [10, 10, NEVER, NEVER, NEVER]),
        ({"add": 1, "expansions": 3}, [10, 14, 18, NEVER, NEVER]),
        ({"add": 2, "expansions": 0}, [NEVER] * 5),
    ],
)
def test_how_many_arrive_and_how_often(numbers: dict[str, int], late: list[int]) -> None:
    found = arrival(warmup=10, every=4, **numbers)
    assert [found[row] for row in LATE] == late
    assert [found[row] for row in BALANCED] == [0] * 4


def test_a_cell_without_points_leaves_nothing_to_begin_with() -> None:
    y = jnp.ones(3)
    found = Expansion(warmup=2, every=1, add=1).arrival(Spurious(n=3), PointInfo(y, y, y))
    assert found.tolist() == [2, 3, 4]


def test_everything_is_there_from_the_first_update() -> None:
    assert set(KINDS) == {"everything", "expansion"}
    y = jnp.ones(3)
    assert Everything().arrival(Spurious(n=3), PointInfo(y, y, y)) is None


CASE: dict[str, Any] = {
    "n": 24,
    "agreement": 0.6,
    "l2": 0.1,
    "curriculum_warmup": 3,
    "curriculum_every": 2,
    "curriculum_add": 2,
    "seed": 4,
}


def lane(**more: Any) -> Any:
    """A trial on spurious data with an expansion."""
    return trial({"data": "spurious", "curriculum": "expansion"}, **{**CASE, **more})


@pytest.mark.usefixtures("float64")
def test_a_full_batch_is_training_on_the_points_that_have_arrived() -> None:
    """Losses and gradients of a step, against the mean over the subset alone."""
    one = lane()
    inputs, state = step.start(one)
    arrives = np.asarray(inputs.arrival)
    assert 0 < (arrives == 0).sum() < 24

    @quick
    def seen(at: Any) -> Any:
        return step.loss_and_grads(one, state, batch_at(one, inputs, at, None), training=True)[:2]

    @quick
    def subset(weight: Any) -> Any:
        batch = batch_at(one.replace(train=trial().train), inputs._replace(arrival=None), 0, None)
        return step.loss_and_grads(one, state, batch._replace(weight=weight), training=True)[:2]

    for at in (0, 2, 3, 5, 100):
        weight = (arrives <= at).astype(float)
        np.testing.assert_array_equal(batch_at(one, inputs, jnp.int32(at), None).weight, weight)
        found, expected = jax.tree.leaves(seen(jnp.int32(at))), jax.tree.leaves(subset(weight))
        for each, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(each, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("sampling", ["permutation", "replacement", "fixed", "stratified"])
def test_mini_batches_have_only_points_that_have_arrived(sampling: str) -> None:
    one = lane(batch_size=4, sampling=sampling, add=1)
    inputs, state = step.start(one)
    arrives = np.asarray(inputs.arrival)

    @quick
    def batch(at: Any) -> Any:
        order = step.epoch_order(one, inputs, at, state.order)
        numbered = inputs._replace(info=inputs.info._replace(true_label=jnp.arange(24.0)))
        found = batch_at(one, numbered, at, order)
        return found.inputs.info.true_label, found.weight

    for at in range(12):
        rows, weight = batch(jnp.int32(at))
        rows, weight = np.asarray(rows).astype(int), np.asarray(weight)
        assert (arrives[rows] <= at).all() and (weight == 1).all(), at


def test_without_points_a_step_is_decay_alone() -> None:
    """Nothing has arrived: the loss is 0 and the gradient that of the l2 term."""
    one = lane(agreement=1.0)
    inputs, state = step.start(one)
    assert (np.asarray(inputs.arrival) > 0).all()
    batch = batch_at(one, inputs, jnp.int32(0), None)
    loss, grads, _ = step.loss_and_grads(one, state, batch, training=True)
    assert float(loss) == 0
    for gradient, weight in zip(jax.tree.leaves(grads), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(gradient, 0.1 * weight, rtol=1e-6)
