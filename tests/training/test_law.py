"""What is drawn from its law instead of made of vectors, against vectors. All seeds are fixed, so no test is flaky."""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
import pytest
from scipy import stats

from sweep import filters
from sweep.filters import TrainingInputs
from sweep.padding import Size
from sweep.training import evaluation, measure, step
from sweep.trial import Trial
from tests.contracts.parts import trial
from tests.training_cases import quick

SEEDS, STEPS, TEST_POINTS, MOST = 2000, 40, 200, 48


class Sample(NamedTuple):
    """What trainings of as many seeds ended with."""

    train_loss: np.ndarray
    feature: np.ndarray
    test_error: np.ndarray


@quick
def _trainings(one: Trial, seeds: Any) -> Any:
    def lane(seed: Any) -> Any:
        mine = one.replace(seed=seed)
        scene, state = step.start(mine)
        state = jax.lax.fori_loop(
            0, STEPS, lambda _, state: step.advance(mine, scene, state), state
        )
        found = measure.measure(mine, scene, state, TEST_POINTS)
        return (
            found.observables["train_loss"],
            found.observables["feature"],
            found.test_wrong / TEST_POINTS,
        )

    return jax.vmap(lane)(seeds)


@functools.cache
def sample(case: str, coordinates: str, d: int, signal: float = 0.0) -> Sample:
    """Trainings of a data model with a network, where d is a number of the lane, so that there are few programs.

    No seed of `gram` is one of `ambient`: the samples are independent.
    """
    kinds, values = CASES[case]
    given = {**values, "d": Size(MOST, d), "signal": signal}
    one = trial(kinds, coordinates=coordinates, n=8, lr=0.2, l2=0.0, **given)
    first = 0 if coordinates == "ambient" else SEEDS
    found = _trainings(one, np.arange(first, first + SEEDS, dtype=np.uint32))
    return Sample(*(np.asarray(each, float) for each in found))


CASES: dict[str, Any] = {
    "signal_noise": (
        {"data": "signal_noise"},
        {"noise": 1.0, "flip": 0.1, "width": 3, "power": 2, "readout": "mean", "init_scale": 0.1},
    ),
    "teacher": (
        {"data": "separable", "model": "linear"},
        {"labels": "teacher", "margin": 0.2, "init_scale": 0.3},
    ),
}
POINTS = [
    ("signal_noise", 12, 2.0),
    ("signal_noise", 24, 1.0),
    ("signal_noise", 48, 3.0),
    ("teacher", 12, 0.0),
]
"""12 dimensions are fewer than the 15 vectors of a feature, 8 points and 6 filters: a Gram matrix of less rank."""


def chances(one: Sample, other: Sample) -> dict[str, float]:
    """p-values of two samples of one law: Kolmogorov-Smirnov, and a difference of means in standard errors."""
    error = np.sqrt((one.test_error.var() + other.test_error.var()) / SEEDS)
    z = (one.test_error.mean() - other.test_error.mean()) / error
    return {
        "train_loss": stats.ks_2samp(one.train_loss, other.train_loss).pvalue,
        "feature": stats.ks_2samp(one.feature, other.feature).pvalue,
        "test_error": 2 * stats.norm.sf(abs(z)),
    }


@pytest.mark.slow
class TestTrainings:
    """Trainings in gram coordinates, in which no vector exists, have the law of those of vectors."""

    @pytest.mark.parametrize(("case", "d", "signal"), POINTS)
    def test_what_they_end_with(self, case: str, d: int, signal: float) -> None:
        ambient, gram = (
            sample(case, coordinates, d, signal) for coordinates in ("ambient", "gram")
        )
        assert 0.05 < ambient.test_error.mean() < 0.49 and ambient.train_loss.mean() < 0.5
        found = chances(ambient, gram)
        assert min(found.values()) > 1e-3, found

    @pytest.mark.parametrize(
        ("d", "signal", "wrong"), [(12, 2.0, 14), (24, 1.0, 12), (48, 3.0, 24)]
    )
    def test_so_many_would_show_a_wrong_law(self, d: int, signal: float, wrong: int) -> None:
        """Gram matrices of another number of dimensions; two more of twelve are enough."""
        ambient, gram = (
            sample("signal_noise", "ambient", d, signal),
            sample("signal_noise", "gram", wrong, signal),
        )
        assert chances(ambient, gram)["train_loss"] < 1e-3


@quick
def _products(one: Trial, seeds: Any) -> Any:
    def lane(seed: Any) -> Any:
        scene = filters.training_inputs(one.replace(seed=seed).source, "gram")
        return scene.tokens.gram, scene.tokens.first, scene.context.first_gram

    return jax.vmap(lane)(seeds)


MANY = 20_000


@functools.cache
def products(d: int, double: bool = True) -> np.ndarray:
    """Inner products (seeds, 1 + m, 1 + m) of the feature, 4 noise vectors of standard normals and 2 filters.

    Odd dimensions are compiled in, so that fewer numbers may be drawn; others are numbers of a lane.
    """
    size = d if d % 2 else Size(10**9, d)
    one = trial(
        {"data": "signal_noise"},
        coordinates="gram",
        n=4,
        d=size,
        width=1,
        noise=1.0,
        init_scale=0.5,
    )
    with jax.enable_x64(double):
        gram, first, square = map(np.asarray, _products(one, np.arange(MANY, dtype=np.uint32)))
    first, square = first / 0.5, square / 0.25
    return np.block([[gram, first], [np.swapaxes(first, 1, 2), square]])


def near(values: np.ndarray, mean: Any, spread: Any) -> None:
    """Averages over seeds of numbers of known mean and standard deviation, within 4.5 standard errors."""
    error = np.abs(values.mean(axis=0) - mean) / (np.asarray(spread) / np.sqrt(len(values)))
    assert np.max(error) < 4.5, error


@pytest.mark.parametrize("d", [2, 3, 8, 40, 10**9])
class TestProducts:
    """Six standard Gaussian vectors in d dimensions: their inner products G have a Wishart law.

    With four of them and two filters there are more vectors than dimensions where d is 2 or 3.
    """

    def test_moments(self, d: int) -> None:
        """E G_ii = d, Var G_ii = 2 d, E G_ij = 0, Var G_ij = d; fourth moments of both are those of the Wishart law."""
        G = products(d)[:, 1:, 1:]
        own, (i, j) = np.einsum("sii->si", G), np.triu_indices(6, 1)
        near(own, d, np.sqrt(2 * d))
        near((own - d) ** 2, 2 * d, 2 * d * np.sqrt(2 + 12 / d))
        near(G[:, i, j], 0, np.sqrt(d))
        near(G[:, i, j] ** 2, d, d * np.sqrt(2 + 6 / d))

    def test_three_vectors_at_once(self, d: int) -> None:
        """E G_ij G_jk G_ki = d, which no law of single entries knows, by the spread that it has."""
        G = products(d)[:, 1:, 1:]
        for i, j, k in ((0, 1, 2), (1, 2, 3), (0, 3, 4), (3, 4, 5), (0, 1, 5)):
            cycle = G[:, i, j] * G[:, j, k] * G[:, k, i]
            near(cycle, d, cycle.std())

    def test_lengths_are_chi_squared(self, d: int) -> None:
        """In single precision too, in which trainings are."""
        for G, i in itertools.product((products(d), products(d, double=False)), range(1, 7)):
            assert stats.kstest(G[:, i, i], stats.chi2(d).cdf).pvalue > 1e-4

    def test_the_feature_is_one_of_the_dimensions(self, d: int) -> None:
        """What vectors have along it is standard normal, and what is left has one dimension less."""
        found = products(d)
        np.testing.assert_array_equal(found[:, 0, 0], 1.0)
        along, G = found[:, 0, 1:], found[:, 1:, 1:]
        for i in range(6):
            assert stats.kstest(along[:, i], stats.norm.cdf).pvalue > 1e-4
        across = np.einsum("sii->si", G) - along**2
        assert across.min() > 0
        near(across, d - 1, np.sqrt(2 * (d - 1)))

    def test_no_more_dimensions_than_there_are(self, d: int) -> None:
        """The rank of the matrix of all seven vectors, the feature included."""
        values = np.linalg.eigvalsh(products(d)[:100])[:, ::-1]
        assert np.all(np.abs(values[:, d:]) < 1e-12 * values[:, :1])
        assert np.all(values[:, : min(d, 7)] > 1e-12 * values[:, :1])


@pytest.mark.parametrize(
    ("data", "more"),
    [
        ("signal_noise", {"flip": 0.3}),
        ("signal_noise", {"flip": 0.3, "balanced": True, "orthogonal": True}),
        ("separable", {"labels": "teacher", "margin": 0.3}),
        ("separable", {"balanced": True}),
    ],
)
def test_labels_are_those_of_the_seed(data: str, more: dict[str, Any]) -> None:
    """In gram coordinates noise is another, labels and flips are those of all other coordinates."""
    one = trial({"data": data}, n=40, **more)

    @quick
    def labels(one: Trial) -> Any:
        scenes: tuple[TrainingInputs, ...] = tuple(
            filters.training_inputs(one.source, each) for each in ("gram", "ambient")
        )
        return [(scene.info.true_label, scene.info.label) for scene in scenes]

    gram, ambient = labels(one)
    np.testing.assert_array_equal(gram, ambient)
    assert bool(np.any(gram[0] != gram[1])) == ("flip" in more)


FRESH = 20_000
SIGNAL = {
    "n": 20,
    "signal": 2.0,
    "flip": 0.1,
    "noise": 0.6,
    "power": 2,
    "init_scale": 0.1,
    "lr": 0.1,
}
TEACHER = {"n": 30, "d": 8, "labels": "teacher", "margin": 0.1, "lr": 0.1}
LAWS = [
    pytest.param("ambient", {"data": "signal_noise"}, SIGNAL, id="signal-ambient"),
    pytest.param(
        "span",
        {"data": "signal_noise"},
        {**SIGNAL, "flip_test": True, "orthogonal": True},
        id="orthogonal-flipped-span",
    ),
    pytest.param(
        "ambient", {"data": "separable", "model": "linear"}, TEACHER, id="teacher-linear-ambient"
    ),
    pytest.param("span", {"data": "separable"}, {**TEACHER, "power": 1}, id="teacher-span"),
]
"""In which coordinates a network is trained plays no role for the errors of fresh points: see test_filters."""


class TestFreshPoints:
    """Of fresh points only what filters give on them is drawn: test errors are those of whole vectors."""

    @pytest.mark.parametrize(("coordinates", "kinds", "values"), LAWS)
    def test_errors_are_those_of_vectors(
        self, coordinates: str, kinds: dict[str, str], values: dict[str, Any]
    ) -> None:
        """Of three trained networks, within 4.5 standard errors of a difference of two shares."""
        one = trial(kinds, coordinates=coordinates, **values)

        @quick
        def count(seeds: Any) -> Any:
            def lane(seed: Any) -> Any:
                mine = one.replace(seed=seed)
                scene, state = step.start(mine)
                state = jax.lax.fori_loop(
                    0, STEPS, lambda _, state: step.advance(mine, scene, state), state
                )
                net = step.merge(mine, state.params, state.rest, training=False)
                law = evaluation.evaluate_fresh_points(mine, net, scene, FRESH)
                with mock.patch.object(evaluation, "has_law", return_value=False):
                    vectors = evaluation.evaluate_fresh_points(mine, net, scene, FRESH)
                return law.loss, law.wrong, vectors.loss, vectors.wrong

            return jax.lax.map(lane, seeds)

        losses, wrong, losses_of_vectors, wrong_of_vectors = map(
            np.asarray, count(np.arange(3, dtype=np.uint32))
        )
        share = (wrong + wrong_of_vectors) / (2 * FRESH)
        assert np.all((share > 0.01) & (share < 0.49))
        assert np.all(
            np.abs(wrong - wrong_of_vectors) < 4.5 * np.sqrt(2 * FRESH * share * (1 - share))
        )
        np.testing.assert_allclose(losses, losses_of_vectors, rtol=0.05)

    @pytest.mark.parametrize(
        ("coordinates", "data", "more"),
        [
            ("ambient", "signal_noise", {"orthogonal": True}),
            ("span", "separable", {"labels": "teacher"}),
            ("gram", "separable", {}),
        ],
        ids=["ambient", "span", "gram"],
    )
    def test_from_zero_weights(self, coordinates: str, data: str, more: dict[str, Any]) -> None:
        """No filter gives anything, which has no root but zero; after a step they do."""
        one = trial(
            {"data": data, "model": "linear"}, init_scale=0.0, coordinates=coordinates, **more
        )

        @quick
        def look(one: Trial, steps: Any) -> Any:
            scene, state = step.start(one)
            state = jax.lax.fori_loop(
                0, steps, lambda _, state: step.advance(one, scene, state), state
            )
            return measure.measure(one, scene, state, TEST_POINTS)

        start, later = look(one, 0), look(one, 1)
        assert (int(start.train_wrong), int(start.test_wrong)) == (6, TEST_POINTS)
        assert float(start.observables["test_loss"]) == pytest.approx(np.log(2))
        assert {name for name, each in start.observables.items() if np.isnan(each)} <= {
            "margin_l2",
            "margin_linf",
        }
        assert not any(np.isnan(each) for each in later.observables.values())
        assert int(later.test_wrong) < TEST_POINTS
