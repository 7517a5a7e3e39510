"""Fresh points: one table of random numbers for all trials of a seed, and what is kept of such tables."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep import spec
from sweep.engine import draw_cache, programs
from sweep.engine.draw_cache import DrawCache, NoDrawCache, draw_cache_for, draw_origins
from sweep.engine.driver import Driver
from sweep.engine.recorder import RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.padding import Size
from sweep.prng import Purpose
from sweep.training import evaluation, step
from sweep.training.measure import measure
from sweep.trial import Trial
from tests.contracts.parts import Example, batch, named, of, trial
from tests.training_cases import quick

POINTS = 20

table = functools.partial(quick, static_argnums=(1, 2))(evaluation.draw_table)


def leaves(tree: Any) -> list[np.ndarray]:
    """The arrays of a table."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def equal(one: Any, other: Any) -> bool:
    """Are two tables the same to the bit?"""
    return all(np.array_equal(a, b) for a, b in zip(leaves(one), leaves(other), strict=True))


def moved(one: Trial, **changes: Any) -> Trial:
    """The trial with every lane field of its data and network moved a little, the seed left as it is."""

    def other(part: Any) -> Any:
        lanes = [name for name, field in spec.fields(type(part)).items() if field.role == "lane"]
        return part.replace(**{name: getattr(part, name) * 0.5 + 0.1 for name in lanes})

    parts = {name: other(getattr(one, name)) for name in ("data", "model")}
    return one.replace(**parts, **changes)


class TestTables:
    """A table depends on nothing but its origin."""

    @pytest.mark.parametrize("row", of("data"), ids=named)
    def test_trials_of_a_seed_share_their_random_numbers(self, row: Example) -> None:
        one = row.trial()
        assert evaluation.draw_origin(one) == evaluation.draw_origin(moved(one))
        assert equal(table(one, POINTS), table(moved(one), POINTS))
        if one.data.has_fresh_points:
            assert not equal(table(one, POINTS), table(moved(one, seed=2), POINTS))

    def test_they_share_them_with_other_numbers_of_training_points(self) -> None:
        one, other = trial(n=6), trial(n=8)
        assert evaluation.draw_origin(one) == evaluation.draw_origin(other)
        assert equal(table(one, POINTS), table(other, POINTS))

    @pytest.mark.parametrize("name", ["d", "sparsity"])
    def test_counts_of_vectors_are_part_of_the_origin(self, name: str) -> None:
        one = trial()
        most = getattr(one.data, name)
        wide, narrow = (
            one.replace(data=one.data.replace(**{name: Size(most, own)}))
            for own in (most, most - 1)
        )
        assert evaluation.draw_origin(wide) != evaluation.draw_origin(narrow)
        assert not equal(table(wide, POINTS), table(narrow, POINTS))

    @pytest.mark.parametrize("row", [each for each in of("data") if not each.name], ids=named)
    def test_a_measurement_on_a_table_is_that_on_points_drawn_on_the_way(
        self, row: Example, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In three chunks, of which the last is filled up."""
        monkeypatch.setattr(evaluation, "CHUNK", 8)

        @quick
        def look(one: Trial) -> Any:
            lane = step.start(one)
            tables = jax.tree.map(
                lambda leaf: jnp.stack([jnp.zeros_like(leaf), leaf]),
                evaluation.draw_tables(one, POINTS, POINTS // 2),
            )
            cached = evaluation.CachedDraws(tables, jnp.int32(1))
            return [measure(one, *lane, POINTS, draws, POINTS // 2) for draws in (None, cached)]

        alone, shared = look(row.trial())
        assert int(alone.test_wrong) == int(shared.test_wrong)
        assert int(alone.validation_wrong) == int(shared.validation_wrong)
        for name in ("test_loss", "validation_loss"):
            np.testing.assert_allclose(shared.observables[name], alone.observables[name], rtol=1e-6)

    @pytest.mark.parametrize("data", ["feature_noise", "signal_noise"])
    def test_validation_points_are_none_of_the_test_points(self, data: str) -> None:
        """Vectors of the one kind, draws by their law of the other: no number is in both tables."""
        one = trial({"data": data})
        test, validation = (
            np.concatenate([leaf.ravel() for leaf in leaves(table(one, POINTS, purpose))])
            for purpose in (Purpose.TEST, Purpose.VALIDATION)
        )
        assert test.shape == validation.shape
        drawn = test[(test != 0) & (np.abs(test) < 1)]  # counts and places may be the same
        assert len(drawn) > POINTS and not np.isin(drawn, validation).any()


def lanes_of(seeds: list[int], **values: Any) -> Trial:
    """Trials of these seeds, each with another noise."""
    return batch(
        [trial(noise=0.1 * (place + 1), seed=seed, **values) for place, seed in enumerate(seeds)]
    )


def seeds_seen(
    kept: DrawCache | NoDrawCache, trials: Trial, due: list[int], ticket: np.ndarray
) -> list[dict[int, int]]:
    """For each look, the seed whose random numbers every due lane is given."""
    compiled = programs.compiled_programs(1, POINTS)
    drawn = {
        int(seed): compiled.store_draws(kept_blank(kept), 0, programs.take_trials(trials, place))
        for place, seed in enumerate(trials.seed)
    }
    found = []
    for some, tables, places in kept.batches(np.isin(np.arange(len(ticket)), due), ticket):
        mine = {
            lane: jax.tree.map(lambda leaf, at=places[lane]: leaf[at], tables)
            for lane in np.flatnonzero(some)
        }
        found.append(
            {
                int(lane): next(
                    seed
                    for seed, each in drawn.items()
                    if equal(jax.tree.map(lambda leaf: leaf[0], each), its)
                )
                for lane, its in mine.items()
            }
        )
    return found


def kept_blank(kept: DrawCache | NoDrawCache) -> Any:
    """Empty tables like those that are kept."""
    assert isinstance(kept, DrawCache)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), kept.tables)


@pytest.mark.thorough
class TestKept:
    """Tables are drawn once for trials that share them."""

    def test_every_lane_has_the_points_of_its_own_seed(self) -> None:
        trials = lanes_of([3, 3, 5, 3])
        kept = draw_cache_for(trials, programs.compiled_programs(1, POINTS))
        found = seeds_seen(kept, trials, [0, 2, 3], np.array([3, 1, 2, 0]))
        assert found == [{0: 3, 2: 5, 3: 3}]

    def test_seeds_for_which_there_is_no_room_wait_for_their_turn(self) -> None:
        trials = lanes_of([3, 5, 7, 3, 9])
        kept = DrawCache(
            trials, programs.compiled_programs(1, POINTS), draw_origins(trials), room=2
        )
        found = seeds_seen(kept, trials, [0, 1, 2, 3, 4], np.arange(5))
        assert found == [{0: 3, 1: 5, 3: 3}, {2: 7, 4: 9}]

    def test_the_table_unused_longest_makes_room(self) -> None:
        trials, ticket = lanes_of([3, 5, 7]), np.arange(3)
        compiled, drawn = programs.compiled_programs(1, POINTS), []

        def store_draws(tables: Any, slot: Any, one: Trial) -> Any:
            drawn.append(int(one.seed))
            return compiled.store_draws(tables, slot, one)

        kept = DrawCache(
            trials, compiled._replace(store_draws=store_draws), draw_origins(trials), room=2
        )
        for lane in (0, 1, 0, 2, 0, 1):
            assert [
                each.lane_mask.nonzero()[0].tolist()
                for each in kept.batches(ticket == lane, ticket)
            ] == [[lane]]
        assert drawn == [3, 5, 7, 5]

    @pytest.mark.parametrize(
        ("points", "room"), [(0, 1 << 30), (POINTS, 0)], ids=["no_points", "no_room"]
    )
    def test_without_points_or_room_lanes_draw_their_own(
        self, points: int, room: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(draw_cache, "MAX_BYTES", room)
        kept = draw_cache_for(lanes_of([3, 5]), programs.compiled_programs(1, points))
        ((due, tables, _),) = kept.batches(np.array([True, False]), np.arange(2))
        assert tables is None
        assert due.tolist() == [True, False]

    def test_rows_are_the_same_with_and_without_tables(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Six trials of two seeds in three lanes, measured at four steps each."""
        trials = lanes_of([3, 5, 3, 5, 5, 3], steps=9)

        def train() -> np.ndarray:
            found = np.full((6, 2), np.nan)
            for ended in Driver(
                TrialList(trials), 3, 1, RecordSchedule(points=4, test_points=POINTS)
            ):
                found[ended.index] = np.stack(
                    [ended.runs[name] for name in ("test_error", "test_loss")], axis=1
                )
            return found

        shared = train()
        monkeypatch.setattr(draw_cache, "MAX_BYTES", 0)
        np.testing.assert_allclose(shared, train(), rtol=1e-6)


@pytest.mark.usefixtures("float64")
class TestRoots:
    """R^T R is the covariance of filters, however they depend on each other."""

    @pytest.mark.parametrize(
        ("d", "units"), [(30, 6), (4, 6), (1, 5)], ids=["free", "dependent", "all_one"]
    )
    def test_they_make_the_covariance(self, d: int, units: int) -> None:
        w = np.random.default_rng(0).normal(size=(d, units))
        root = np.asarray(evaluation.covariance_root(jnp.asarray(w.T @ w)))
        np.testing.assert_allclose(root.T @ root, w.T @ w, atol=1e-12)

    def test_filters_that_are_zero_stay_zero_and_change_no_other(self) -> None:
        w = np.random.default_rng(1).normal(size=(9, 3))
        alone = np.asarray(evaluation.covariance_root(jnp.asarray(w.T @ w)))
        padded = np.pad(w, ((0, 0), (0, 2)))
        root = np.asarray(evaluation.covariance_root(jnp.asarray(padded.T @ padded)))
        np.testing.assert_allclose(root[:3, :3], alone, rtol=1e-12, atol=1e-13)
        assert not root[:, 3:].any() and not root[3:].any()
        assert not np.asarray(evaluation.covariance_root(jnp.zeros((3, 3)))).any()
