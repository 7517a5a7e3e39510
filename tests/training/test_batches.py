"""Laws of the ways to draw mini-batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.training import step
from sweep.training.batches import batch_at, epoch_order, steps_per_epoch
from tests.contracts.parts import trial
from tests.training_cases import quick


def rows_of(sampling: str, steps: int, **values: Any) -> np.ndarray:
    """Numbers of the points in the batches of so many steps, -1 where a place is filled up."""
    kinds = {"data": "signal_noise"}
    one = trial(kinds, sampling=sampling, flip=0.0, **values)

    @quick
    def draw() -> jax.Array:
        inputs, state = step.start(one)
        named = inputs._replace(info=inputs.info._replace(true_label=jnp.arange(float(one.data.n))))

        def batch(order: Any, at: Any) -> Any:
            order = epoch_order(one, inputs, at, order)
            found = batch_at(one, named, at, order)
            rows = found.inputs.info.true_label
            return order, rows if found.weight is None else jnp.where(found.weight, rows, -1)

        return jax.lax.scan(batch, state.order, jnp.arange(steps))[1]

    return np.asarray(draw()).astype(int)


def test_an_epoch_of_permutations_has_each_point_once_and_epochs_differ() -> None:
    found = rows_of("permutation", 6, n=7, batch_size=3).reshape(2, 9)
    for epoch in found:
        assert sorted(epoch[epoch >= 0]) == list(range(7))
    assert (found[0] != found[1]).any()


def test_a_fixed_order_is_that_of_the_rows() -> None:
    found = rows_of("fixed", 6, n=7, batch_size=3).reshape(2, 9)
    np.testing.assert_array_equal(found, [[*range(7), -1, -1]] * 2)


def test_with_replacement_points_are_independent_and_equally_likely() -> None:
    """Counts are binomial, and two places of a batch agree with chance 1/n."""
    n, steps, size = 6, 3000, 4
    found = rows_of("replacement", steps, n=n, batch_size=size)
    counts = np.bincount(found.ravel(), minlength=n)
    spread = np.sqrt(steps * size * (1 / n) * (1 - 1 / n))
    assert counts.shape == (n,) and np.abs(counts - steps * size / n).max() < 5 * spread
    for one, other in ((found[:, 0], found[:, 1]), (found[:-1, 0], found[1:, 0])):
        agree = (one == other).mean()
        assert abs(agree - 1 / n) < 5 * np.sqrt(1 / n * (1 - 1 / n) / len(one))


@pytest.mark.parametrize(("n", "size"), [(40, 10), (30, 6)])
def test_stratified_batches_have_the_shares_of_the_classes(n: int, size: int) -> None:
    """Each number of points of a class is that of its share, up to one; an epoch has each point once."""
    one = trial({"data": "signal_noise"}, n=n, flip=0.0, seed=7)
    labels = np.asarray(quick(lambda: step.start(one)[0].info.label)())
    found = rows_of("stratified", 2 * n // size, n=n, batch_size=size, seed=7)
    share = (labels > 0).mean()
    assert 0.2 < share < 0.8
    assert np.abs((labels[found] > 0).sum(axis=1) - size * share).max() < 1.0 + 1e-9
    epochs = found.reshape(2, n)
    assert (np.sort(epochs) == np.arange(n)).all() and (epochs[0] != epochs[1]).any()


def test_the_seed_alone_decides() -> None:
    one, other, again = (
        rows_of("replacement", 5, n=6, batch_size=4, seed=seed) for seed in (1, 2, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert steps_per_epoch(trial(n=7, batch_size=3)) == 3
