"""Data models against their definitions (science, section 2). Tolerances of moments are in standard errors."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.data import base
from sweep.data.base import AbstractGaussian, Dense, Sparse
from sweep.prng import Purpose
from tests.contracts.parts import Example, named, of
from tests.training_cases import quick

MANY = 4000


class Drawn(NamedTuple):
    """A data set written out: feature directions (K, d), noise vectors (points, N, d), labels and patches."""

    features: np.ndarray
    noise: np.ndarray
    truth: np.ndarray
    label: np.ndarray
    patches: np.ndarray
    info: base.PointInfo


@functools.partial(quick, static_argnames="fresh")
def _draw(data: Any, seed: Any, fresh: bool) -> tuple[Any, ...]:
    directions = base.feature_directions(data, seed)
    if fresh:
        rows = jnp.arange(data.n)
        points = base.test_points(
            data, base.test_draws(data, seed, rows, Purpose.TEST), directions, rows
        )
    else:
        points = base.training_points(data, seed, directions)
    noise, vectors = points.noise.dense(data.d), directions.dense(data.d)
    return (
        vectors,
        noise,
        points.info.true_label,
        points.info.label,
        data.assemble(vectors, noise, points.info),
        points.info,
    )


def draw(data: Any, seed: int = 3, fresh: bool = False) -> Drawn:
    """The training set, or as many test points."""
    return Drawn(*jax.tree.map(np.asarray, _draw(data, np.uint32(seed), fresh)))


def example(name: str, **changes: Any) -> Any:
    """The data model of a row of the table, of dimension 6 and with many points."""
    (row,) = (each for each in of("data") if each.id == f"data-{name}")
    return row.part(**{"n": MANY, "d": 6, "sparsity": 3, **changes})


def near(values: np.ndarray, mean: float, spread: float) -> None:
    """The average of independent values of known standard deviation lies within 5 standard errors of the mean."""
    assert abs(np.mean(values) - mean) < 5 * spread / np.sqrt(np.size(values)), (
        np.mean(values),
        mean,
    )


def by_definition(kind: str, data: Any, drawn: Drawn) -> np.ndarray:
    """Patches of the points as the papers write them, in plain NumPy."""
    patches = []
    attributes = drawn.info.attributes if kind == "spurious" else drawn.truth
    for y, a, noise in zip(drawn.truth, attributes, drawn.noise[:, 0], strict=True):
        first, second = np.eye(data.d)[:2]
        if kind == "feature_noise":
            patches.append([y * first, noise - data.feature_noise * y * first])
        elif kind == "signal_noise":
            patches.append([y * data.signal * first, noise])
        elif kind == "spurious":
            patches.append([y * data.core * first, a * data.spurious * second, noise])
        else:
            patches.append([noise])
    return np.array(patches)


@pytest.mark.parametrize("row", of("data"), ids=named)
def test_patches_are_the_definition(row: Example) -> None:
    """Assembled from the vectors themselves, patches are the points of the paper."""
    data = row.part()
    drawn = draw(data)
    np.testing.assert_allclose(drawn.patches, by_definition(row.kind, data, drawn), atol=1e-6)


@pytest.mark.parametrize("row", of("data"), ids=named)
def test_assembly_is_linear(row: Example) -> None:
    """What filters give on patches is assembled from what they give on vectors: the promise behind all coordinates."""
    data = row.part()
    drawn = draw(data)
    weights = np.random.default_rng(0).normal(size=(data.d, 5)).astype(np.float32)
    on_vectors = map(jnp.asarray, (drawn.features @ weights, drawn.noise @ weights))
    assembled = data.assemble(*on_vectors, jax.tree.map(jnp.asarray, drawn.info))
    np.testing.assert_allclose(assembled, drawn.patches @ weights, atol=1e-5)


@pytest.mark.parametrize("row", of("data"), ids=named)
def test_shapes_and_labels(row: Example) -> None:
    data = row.part()
    drawn = draw(data)
    assert drawn.features.shape[1:] == (data.d,)
    assert drawn.noise.shape == (data.n, data.noise_vectors, data.d)
    np.testing.assert_allclose(np.linalg.norm(drawn.features, axis=1), 1, rtol=1e-6)
    assert set(np.concatenate([drawn.truth, drawn.label]).tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("row", {each.kind: each for each in of("data")}.values(), ids=named)
def test_more_points_leave_the_old_ones_as_they_are(row: Example) -> None:
    """A row of the training set does not depend on n."""
    small, large = row.part(n=3), row.part(n=9)

    @quick
    def both(seed: Any) -> tuple[Any, Any]:
        directions = base.feature_directions(small, seed)
        return base.training_points(small, seed, directions), base.training_points(
            large, seed, directions
        )

    few, many = both(np.uint32(3))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:3]), few, many)
    np.testing.assert_array_equal(few.noise.dense(12), draw(row.part()).noise[:3])


@pytest.mark.parametrize("name", ["feature_noise", "signal_noise", "separable_teacher", "spurious"])
def test_no_test_point_is_a_training_point(name: str) -> None:
    data = example(name)
    train, fresh = draw(data).noise[:, 0], draw(data, fresh=True).noise[:, 0]
    assert len(np.unique(np.concatenate([train, fresh]), axis=0)) == 2 * MANY


RANDOM = [each for each in of("data") if each.cls.has_fresh_points]


@pytest.mark.parametrize("row", RANDOM, ids=named)
def test_seeds_draw_different_points(row: Example) -> None:
    data = row.part()
    one, other = draw(data, 1), draw(data, 2)
    assert not np.any((one.noise == other.noise) & (one.noise != 0))


class TestFeatureNoise:
    """Definition 3.1 of arXiv 2108.11371."""

    def test_noise_has_s_coordinates_and_never_the_first(self) -> None:
        noise = draw(example("feature_noise")).noise[:, 0]
        assert np.all((noise != 0).sum(axis=1) == 3)
        assert not noise[:, 0].any()

    def test_every_other_coordinate_is_as_likely(self) -> None:
        """Three of five coordinates: each with probability 3/5, each pair with probability 3/10."""
        there = draw(example("feature_noise")).noise[:, 0, 1:] != 0
        for place in range(5):
            near(there[:, place], 0.6, np.sqrt(0.24))
        for place in range(4):
            near(there[:, place] & there[:, place + 1], 0.3, np.sqrt(0.21))

    def test_noise_is_gaussian(self) -> None:
        """Mean 0, variance noise^2, fourth moment 3 noise^4; standard deviations of squares and fourth powers known."""
        z = (noise := draw(example("feature_noise", noise=0.4)).noise)[noise != 0] / 0.4
        near(z, 0, 1)
        near(z**2, 1, np.sqrt(2))
        near(z**4, 3, np.sqrt(96))

    def test_classes_are_balanced(self) -> None:
        assert draw(example("feature_noise")).truth.sum() == 0
        assert draw(example("feature_noise"), fresh=True).truth.sum() == 0

    def test_labels_are_fair_coins_where_they_are_random(self) -> None:
        truth = draw(example("feature_noise_random_labels")).truth
        near(truth, 0, 1)
        near(truth[1:] * truth[:-1], 0, 1)

    def test_labels_are_never_flipped(self) -> None:
        drawn = draw(example("feature_noise"))
        np.testing.assert_array_equal(drawn.truth, drawn.label)

    def test_noise_and_label_are_independent(self) -> None:
        drawn = draw(example("feature_noise_random_labels"))
        near(drawn.truth * drawn.noise[:, 0].sum(axis=1) / (0.4 * np.sqrt(3)), 0, 1)


class TestSignalNoise:
    """Definitions of arXiv 2202.06526 and 2303.04145."""

    def test_noise_is_gaussian_in_all_coordinates(self) -> None:
        noise = draw(example("signal_noise", noise=0.7)).noise[:, 0] / 0.7
        for place in range(6):
            near(noise[:, place], 0, 1)
            near(noise[:, place] ** 2, 1, np.sqrt(2))
        near(noise[:, 0] * noise[:, 1], 0, 1)

    def test_orthogonal_noise_leaves_out_the_signal_alone(self) -> None:
        noise = draw(example("signal_noise_orthogonal", noise=0.7)).noise[:, 0] / 0.7
        assert not noise[:, 0].any()
        near(noise[:, 1:] ** 2, 1, np.sqrt(2))

    @pytest.mark.parametrize(("name", "fresh", "rate"), [
        ("signal_noise", False, 0.2),
        ("signal_noise", True, 0.0),
        ("signal_noise_orthogonal", False, 0.2),
        ("signal_noise_orthogonal", True, 0.2),
    ])  # fmt: skip
    def test_labels_are_flipped_where_they_should(
        self, name: str, fresh: bool, rate: float
    ) -> None:
        """Training labels always, test labels only with flip_test, in both classes alike."""
        drawn = draw(example(name), fresh=fresh)
        flipped = drawn.label != drawn.truth
        for sign in (-1, 1):
            near(flipped[drawn.truth == sign], rate, np.sqrt(rate * (1 - rate)) + 1e-12)

    def test_patches_carry_the_true_label(self) -> None:
        """A flip changes what is seen and not the point: the signal patch is y mu of the label before flipping."""
        drawn = draw(example("signal_noise"))
        np.testing.assert_array_equal(np.sign(drawn.patches[:, 0, 0]), drawn.truth)

    def test_labels_are_fair_coins(self) -> None:
        near(draw(example("signal_noise")).truth, 0, 1)

    def test_the_flip_rate_is_a_number_of_the_lane(self) -> None:
        assert np.all(
            draw(example("signal_noise", flip=0.0)).label
            == draw(example("signal_noise", flip=0.0)).truth
        )


class TestSeparable:
    """Linearly separable data of arXiv 2406.10650, and a teacher."""

    def test_free_points_are_gaussian_and_free_of_their_labels(self) -> None:
        drawn = draw(example("separable_free"))
        x = drawn.noise[:, 0]
        assert drawn.features.shape == (0, 6)
        near(x, 0, 1)
        near(x**2, 1, np.sqrt(2))
        near(drawn.truth, 0, 1)
        near(drawn.truth[:, None] * x, 0, 1)

    def test_a_teacher_keeps_all_points_at_the_margin_or_beyond(self) -> None:
        drawn = draw(example("separable_teacher", margin=0.3))
        assert np.min(drawn.truth * (drawn.noise[:, 0] @ drawn.features[0])) > 0.3 - 1e-6
        assert drawn.truth.sum() == 0

    def test_without_margin_a_teacher_labels_standard_gaussians(self) -> None:
        """x ~ N(0, I) and y = sign(<u, x>), though the label is drawn first."""
        drawn = draw(example("separable_teacher", margin=0.0))
        x, u = drawn.noise[:, 0], drawn.features[0]
        np.testing.assert_array_equal(np.sign(x @ u), drawn.truth)
        near(x, 0, 1)
        for one in range(6):
            for other in range(one + 1):
                near(x[:, one] * x[:, other], float(one == other), np.sqrt(1 + (one == other)))

    def test_a_margin_moves_points_along_the_teacher_alone(self) -> None:
        """Across the teacher's direction, points are as they were; along it, y <u, x> - margin is |N(0, 1)|."""
        moved, still = (draw(example("separable_teacher", margin=each)) for each in (0.3, 0.0))
        u = moved.features[0]
        step = moved.noise[:, 0] - still.noise[:, 0]
        np.testing.assert_allclose(step, 0.3 * moved.truth[:, None] * u, atol=1e-6)

    def test_teachers_are_uniform_unit_vectors(self) -> None:
        """u u^T has mean I / d; an entry of u has variance 1/d and fourth moment 3 / (d (d + 2))."""
        data = example("separable_teacher")
        u = np.asarray(
            quick(jax.vmap(lambda seed: base.feature_directions(data, seed).dense(6)[0]))(
                jnp.arange(2000)
            )
        )
        for place in range(6):
            near(u[:, place], 0, np.sqrt(1 / 6))
            near(u[:, place] ** 2, 1 / 6, np.sqrt(3 / 48 - 1 / 36))

    def test_test_points_have_the_same_teacher(self) -> None:
        data = example("separable_teacher", margin=0.3)
        train, fresh = draw(data), draw(data, fresh=True)
        np.testing.assert_array_equal(train.features, fresh.features)
        assert np.all(fresh.truth * (fresh.noise[:, 0] @ train.features[0]) > 0.3 - 1e-6)


class TestSpurious:
    """Section 3 of arXiv 2306.04949."""

    def test_noise_is_gaussian_in_all_coordinates(self) -> None:
        noise = draw(example("spurious", noise=0.7)).noise[:, 0] / 0.7
        near(noise, 0, 1)
        near(noise**2, 1, np.sqrt(2))
        near(noise**4, 3, np.sqrt(96))
        near(noise[:, 0] * noise[:, 1], 0, 1)

    @pytest.mark.parametrize("fresh", [False, True])
    def test_the_attribute_agrees_for_a_share_of_both_classes(self, fresh: bool) -> None:
        drawn = draw(example("spurious", agreement=0.7), fresh=fresh)
        near(drawn.truth, 0, 1)
        np.testing.assert_array_equal(drawn.truth, drawn.label)
        agrees = drawn.info.attributes == drawn.truth
        for sign in (-1, 1):
            near(agrees[drawn.truth == sign], 0.7, np.sqrt(0.21))

    @pytest.mark.parametrize(("agreement", "members"), [(0.0, {1}), (1.0, {0}), (0.5, {0, 1})])
    def test_the_minority_are_points_whose_attribute_differs(
        self, agreement: float, members: set[int]
    ) -> None:
        data = example("spurious", agreement=agreement)
        info = draw(data).info
        groups = np.asarray(data.group(info))
        assert set(groups.tolist()) == members
        assert [data.groups[each] for each in (0, 1)] == ["majority", "minority"]
        np.testing.assert_array_equal(groups == 1, info.attributes == -info.true_label)

    def test_balanced_classes_are_equally_large(self) -> None:
        assert draw(example("spurious", balanced=True)).truth.sum() == 0


def test_orthonormal_points_are_axes() -> None:
    drawn = draw(example("orthonormal", n=5))
    np.testing.assert_array_equal(drawn.patches[:, 0], np.eye(6)[:5])
    assert (drawn.label == 1).all() and drawn.features.shape == (0, 6)


GAUSSIAN = [each for each in of("data") if issubclass(each.cls, AbstractGaussian)]


@functools.partial(quick, static_argnames="rows")
def _respond(data: Any, on_features: Any, root: Any, rows: int) -> Any:
    drawn = data.draw_responses(jax.random.key(5), rows, root.shape[0])
    return data.responses(drawn, jnp.arange(rows), on_features, root)


class TestGaussian:
    """What filters give on fresh points, drawn by its law and made of vectors, has the moments of the definition."""

    weights = np.random.default_rng(3).normal(size=(6, 3)) / np.sqrt(6)

    def draws(
        self, row: Example, by_law: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """F W, and of many fresh points what filters give on their noise, true and seen labels."""
        data = row.part(n=MANY, d=6)
        drawn = draw(data, fresh=True)
        f = drawn.features @ self.weights
        if not by_law:
            return f, drawn.noise[:, 0] @ self.weights, drawn.truth, drawn.label
        root = np.linalg.cholesky(
            self.weights.T @ self.weights - f.T @ f
        ).T  # any root of the covariance will do
        noise, info = _respond(data, f.astype(np.float32), root.astype(np.float32), MANY)
        return f, *map(np.asarray, (noise[:, 0], info.true_label, info.label))

    @pytest.mark.parametrize("by_law", [True, False], ids=["law", "vectors"])
    @pytest.mark.parametrize("row", GAUSSIAN, ids=named)
    def test_moments(self, row: Example, by_law: bool) -> None:
        """E z = 0, E y z and E z z^T of z = W^T xi in closed form; along a teacher u it is y (|N(0, 1)| + margin)."""
        data, w = row.part(), self.weights
        f, z, y, _ = self.draws(row, by_law)
        square, lean = w.T @ w, np.zeros(3)
        if row.kind == "signal_noise":
            square = data.noise**2 * (square - data.orthogonal * f.T @ f)
        elif row.kind == "spurious":
            square = data.noise**2 * square
        elif data.labels == "teacher":
            half = np.sqrt(2 / np.pi)
            lean = (half + data.margin) * f[0]
            square = square + (2 * data.margin * half + data.margin**2) * f.T @ f
        for i in range(3):
            near(z[:, i], 0, np.std(z[:, i]))
            near(y * z[:, i], lean[i], np.std(y * z[:, i]))
            for j in range(i + 1):
                near(z[:, i] * z[:, j], square[i, j], np.std(z[:, i] * z[:, j]))

    @pytest.mark.parametrize("by_law", [True, False], ids=["law", "vectors"])
    @pytest.mark.parametrize("row", GAUSSIAN, ids=named)
    def test_labels(self, row: Example, by_law: bool) -> None:
        """Fair coins or in turn; a test label is flipped only where it is asked for."""
        data = row.part()
        _, _, truth, label = self.draws(row, by_law)
        if data.balanced:
            assert truth.sum() == 0
        near(truth, 0, 1)
        rate = data.flip if getattr(data, "flip_test", False) else 0.0
        near(truth != label, rate, np.sqrt(rate * (1 - rate)) + 1e-12)


def _sparse(rng: np.random.Generator, *rows: int) -> Sparse:
    index = np.array([rng.permutation(9)[:4] for _ in range(int(np.prod(rows)))]).reshape(*rows, 4)
    return Sparse(jnp.asarray(index), jnp.asarray(rng.normal(size=(*rows, 4))))


@pytest.mark.parametrize("rows", [(3,), (2, 5), (1, 1)])
@pytest.mark.usefixtures("float64")
def test_sparse_vectors_are_their_dense_twins(rows: tuple[int, ...]) -> None:
    """By hand: a zero vector with the values at their places; inner products are those of the written-out vectors."""
    rng = np.random.default_rng(1)
    vectors, weights = _sparse(rng, *rows), rng.normal(size=(9, 3))
    expected = np.zeros((*rows, 9))
    for at in np.ndindex(*rows):
        for place, value in zip(
            np.asarray(vectors.index[at]), np.asarray(vectors.value[at]), strict=True
        ):
            expected[(*at, place)] = value
    np.testing.assert_array_equal(vectors.dense(9), expected)
    np.testing.assert_allclose(
        vectors.project(jnp.asarray(weights)), expected @ weights, rtol=1e-12
    )
    written = Dense(jnp.asarray(expected))
    np.testing.assert_array_equal(written.dense(9), expected)
    np.testing.assert_allclose(
        written.project(jnp.asarray(weights)), expected @ weights, rtol=1e-12
    )


def test_balanced_labels_alternate() -> None:
    """An odd row more is one point more in class +1, and no others change."""
    for luck in (0.0, 0.9):
        labels = [
            float(base.random_label(jnp.asarray(luck), jnp.asarray(row), True)) for row in range(5)
        ]
        assert labels == [1, -1, 1, -1, 1]


def test_random_labels_are_halves_of_the_unit_interval() -> None:
    luck = np.arange(8) / 8
    labels = [
        float(base.random_label(jnp.asarray(each), jnp.asarray(row), False))
        for row, each in enumerate(luck)
    ]
    assert labels == [1, 1, 1, 1, -1, -1, -1, -1]
