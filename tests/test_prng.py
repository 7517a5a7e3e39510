"""Random draws: keyed by seed, purpose and row, and distributed as they say."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.padding import Size
from sweep.prng import Purpose, each_row, sample_distinct, stream

KEY = jax.random.key(7)
LOW, HIGH = 2, 7


@jax.jit
def _pairs(keys: jax.Array) -> jax.Array:
    return jax.vmap(lambda key: sample_distinct(key, 2, LOW, HIGH))(keys)


def test_distinct_is_uniform_over_subsets() -> None:
    """All C(5, 2) = 10 pairs are equally likely: chi-square has mean 9 and variance 18, so 4 standard errors is 17."""
    draws = np.sort(np.asarray(_pairs(jax.random.split(KEY, 40_000))), axis=1)
    subsets = dict.fromkeys(itertools.combinations(range(LOW, HIGH), 2), 0)
    found, counts = np.unique(draws, axis=0, return_counts=True)
    assert {tuple(pair) for pair in found} == set(subsets)
    expected = len(draws) / len(subsets)
    assert np.sum((counts - expected) ** 2) / expected < 9 + 4 * np.sqrt(18)


@pytest.mark.parametrize(("count", "low", "high"), [(1, 0, 1), (5, 3, 8), (7, 1, 400)])
def test_distinct_numbers_are_distinct_and_in_range(count: int, low: int, high: int) -> None:
    """The whole range is allowed, and then the draw is a rearrangement of it."""
    draw = jax.jit(jax.vmap(lambda key: sample_distinct(key, count, low, high)))
    draws = np.asarray(draw(jax.random.split(KEY, 64)))
    assert draws.shape == (64, count)
    assert draws.min() >= low
    assert draws.max() < high
    assert all(len(set(row)) == count for row in draws.tolist())


@pytest.mark.usefixtures("float64")
def test_distinct_works_with_wide_integers() -> None:
    draws = np.asarray(_pairs(jax.random.split(KEY, 64)))
    assert draws.dtype == np.int64
    assert np.all(draws[:, 0] != draws[:, 1])
    assert set(draws.ravel().tolist()) == set(range(LOW, HIGH))


@pytest.mark.parametrize("own", [1, 3, 6])
@pytest.mark.parametrize("high", [7, 50])
def test_a_padded_count_draws_the_same_numbers_and_nothing_beyond(own: int, high: int) -> None:
    """A trial that shares a program with wider ones has the same numbers as alone, filled up with the padded `high`."""
    keys = jax.random.split(KEY, 64)
    alone = jax.jit(jax.vmap(lambda key: sample_distinct(key, own, 1, high)))(keys)

    @jax.jit
    def draw(own: jax.Array, high: jax.Array) -> jax.Array:
        return jax.vmap(lambda key: sample_distinct(key, Size(6, own), 1, Size(99, high)))(keys)

    padded = np.asarray(draw(jnp.int32(own), jnp.int32(high)))
    assert padded.shape == (64, 6)
    np.testing.assert_array_equal(padded[:, :own], alone)
    assert np.all(padded[:, own:] == 99)


def test_fewer_rows_and_narrower_rows_are_the_beginning_of_more() -> None:
    """A larger n, d or width continues the smaller draw, so that cells of a diagram share their randomness."""

    @jax.jit
    def draw(key: jax.Array) -> tuple[jax.Array, ...]:
        few = each_row(lambda key, _: jax.random.normal(key, (3,)), key, jnp.arange(4))
        many = each_row(lambda key, _: jax.random.normal(key, (8,)), key, jnp.arange(9))
        some = each_row(lambda key, _: jax.random.normal(key, (8,)), key, jnp.array([6, 2]))
        return few, many, some

    few, many, some = map(np.asarray, draw(KEY))
    np.testing.assert_array_equal(few, many[:4, :3])
    np.testing.assert_array_equal(some, many[[6, 2]])
    assert len(np.unique(many)) == many.size


def test_each_row_tells_the_row_and_gives_trees() -> None:
    drawn = each_row(lambda key, row: {"row": row, "twice": 2 * row}, KEY, jnp.array([5, 3]))
    assert {name: each.tolist() for name, each in drawn.items()} == {
        "row": [5, 3],
        "twice": [10, 6],
    }


def test_streams_of_all_purposes_and_seeds_differ() -> None:
    seeds = [0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1]
    data = {
        tuple(jax.random.key_data(stream(jnp.uint32(s), p)).tolist())
        for s in seeds
        for p in Purpose
    }
    assert len(data) == len(seeds) * len(Purpose)


def test_a_seed_is_the_same_as_a_number_and_inside_a_program() -> None:
    inside = jax.jit(lambda seed: jax.random.key_data(stream(seed, Purpose.INIT)))(np.uint32(5))
    np.testing.assert_array_equal(inside, jax.random.key_data(stream(5, Purpose.INIT)))


def test_numbers_of_purposes_never_change() -> None:
    """They are part of every result: a name may be added at the end, none may move."""
    first = ["DATA", "INIT", "TEST", "BATCH", "WORLD", "HEAD"]
    assert [each.name for each in sorted(Purpose)][:6] == first
    assert [each.value for each in sorted(Purpose)] == list(range(len(Purpose)))
