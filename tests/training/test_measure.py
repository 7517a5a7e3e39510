"""What is told of a lane, against NumPy by hand; networks of one's own; how a measurement becomes columns."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sweep import schema
from sweep.data import base
from sweep.data.base import PointInfo
from sweep.models.base import AbstractModel
from sweep.observables import VALIDATED, columns_of
from sweep.observables.base import smallest
from sweep.padding import Size
from sweep.prng import Purpose, stream
from sweep.spec import part, static
from sweep.status import Status
from sweep.training import evaluation, measure, step
from sweep.training.measure import Measurement
from sweep.training.step import State
from sweep.trial import Trial
from tests.contracts.parts import trial
from tests.training_cases import quick

POINTS, MANY = 20, 20_000


@functools.partial(quick, static_argnums=(1, 2))
def look(trial: Trial, points: int, validation: int = 0) -> tuple[State, Measurement]:
    """A lane at its first step, measured."""
    world, state = step.start(trial)
    return state, measure.measure(trial, world, state, points, validation_points=validation)


class Written(NamedTuple):
    """Points written out: patches (points, P, d), noise patches (points, d), labels that are seen, true labels."""

    x: np.ndarray
    xi: np.ndarray
    label: np.ndarray
    truth: np.ndarray


def written(one: Trial, fresh: int = 0) -> Written:
    """The training set, or so many fresh points, as the papers define them; only the draws come from the program."""

    @quick
    def draw() -> Any:
        v = base.feature_directions(one.data, one.seed)
        if fresh:
            rows = jnp.arange(fresh)
            points = base.test_points(
                one.data, base.test_draws(one.data, one.seed, rows, Purpose.TEST), v, rows
            )
        else:
            points = base.training_points(one.data, one.seed, v)
        return points.noise.dense(one.data.d)[:, 0], points.info.true_label, points.info.label

    noise, truth, label = map(np.asarray, draw())
    signal = truth[:, None] * np.eye(one.data.d)[0] * getattr(one.data, "signal", 1.0)
    xi = noise - getattr(one.data, "feature_noise", 0.0) * signal
    return Written(np.stack([signal, xi], axis=1), xi, label, truth)


def weights(state: State) -> np.ndarray:
    """Initial weights (d, units)."""
    return np.asarray(state.params["filters"]["weights"][...]).T


def cnn_margin(one: Trial, w: np.ndarray, bias: np.ndarray | float, x: np.ndarray) -> np.ndarray:
    """F_{+1} - F_{-1}: even filters add, odd ones subtract; `mean` divides."""
    on_filters = np.maximum(x @ w + bias, 0) ** one.model.power
    share = 1 / one.model.width if one.model.readout == "mean" else 1.0
    share /= x.shape[1] if one.model.patches == "mean" else 1
    return share * on_filters.sum(axis=1) @ np.resize([1.0, -1.0], w.shape[1])


def margins_by_law(one: Trial, w: np.ndarray, points: int, chunk: int) -> np.ndarray:
    """Margins of fresh signal-noise points, of which only the inner products with the filters are drawn."""
    root = np.linalg.cholesky(w[1:].T @ w[1:]).T

    @quick
    def draw(first: Any) -> Any:
        key, rows = (
            jax.random.fold_in(stream(one.seed, Purpose.TEST), first),
            first + jnp.arange(min(chunk, points)),
        )
        drawn = one.data.draw_responses(key, len(rows), w.shape[1])
        return one.data.responses(drawn, rows, jnp.asarray(w[:1]), jnp.asarray(root))

    chunks = [jax.tree.leaves(draw(first)) for first in range(0, points, chunk)]
    noise, truth, label = (np.concatenate(each)[:points] for each in zip(*chunks, strict=True))
    pre = np.stack([one.data.signal * truth[:, None] * w[0], noise[:, 0]], axis=1)
    return label * cnn_margin(one, np.eye(w.shape[1]), 0.0, pre)


def margins_by_definition(one: Trial, w: np.ndarray) -> np.ndarray:
    """Margins of many fresh points that are made of vectors, as the papers define them; only the teacher is drawn."""
    rng, data = np.random.default_rng(0), one.data
    y, x = rng.choice([-1.0, 1.0], MANY), rng.normal(size=(MANY, data.d))
    if hasattr(data, "signal"):
        x[:, 0] *= not data.orthogonal
        patches = np.stack([y[:, None] * data.signal * np.eye(data.d)[0], data.noise * x], axis=1)
        flipped = rng.random(MANY) < (data.flip if data.flip_test else 0.0)
        return np.where(flipped, -y, y) * cnn_margin(one, w, 0.0, patches)
    if data.labels == "teacher":
        u = np.asarray(quick(lambda: base.feature_directions(data, one.seed).dense(data.d))())[0]
        y = np.sign(x @ u)
        x = x + data.margin * y[:, None] * u
    return y * cnn_margin(one, w, 0.0, x[:, None])


def logistic(margin: np.ndarray) -> float:
    """Mean of log(1 + exp(-margin))."""
    return float(np.mean(np.log1p(np.exp(-margin))))


def values(found: Measurement) -> dict[str, float]:
    """Observables as Python numbers."""
    return {name: float(each) for name, each in found.observables.items()}


@pytest.mark.usefixtures("float64")
class TestFiltered:
    """Networks with first-layer filters."""

    @staticmethod
    def by_hand(one: Trial, state: State) -> dict[str, float]:
        """All observables of a CNN but those of fresh points and the gradient."""
        w, points = weights(state), written(one)
        bias = (
            np.asarray(state.params["head"]["bias"][...])
            if one.model.bias
            else np.zeros(w.shape[1])
        )
        margin = points.label * cnn_margin(one, w, bias, points.x)
        noise = [
            max(xi @ w[:, (0 if y > 0 else 1) :: 2])
            for xi, y in zip(points.xi, points.label, strict=True)
        ]
        positive, negative = max(w[0, 0::2]), max(-w[0, 1::2])
        everything = np.concatenate([w.ravel(), bias])
        return {
            "train_loss": logistic(margin),
            "weight_norm": float(np.linalg.norm(everything)),
            "noise_min": min(noise),
            "noise_mean": float(np.mean(noise)),
            "noise_max": max(noise),
            "feature": min(positive, negative),
            "feature_pos": positive,
            "feature_neg": negative,
            "weight_max": float(np.abs(everything).max()),
            "train_wrong": float(np.sum(margin <= 0)),
        }

    @pytest.mark.parametrize(
        ("data", "more"),
        [
            ("feature_noise", {"feature_noise": 0.3}),
            (
                "signal_noise",
                {
                    "n": 12,
                    "flip": 0.4,
                    "power": 1,
                    "readout": "mean",
                    "patches": "mean",
                    "bias": True,
                },
            ),
        ],
    )
    def test_observables_of_a_cnn(self, data: str, more: dict[str, Any]) -> None:
        """The second case has flipped labels: errors and noise memorization are against the label that was seen."""
        one = trial({"data": data}, **more)
        state, found = look(one, 0)
        points = written(one)
        assert np.any(points.label != points.truth) == ("flip" in more)
        told = values(found)
        expected = self.by_hand(one, state)
        assert int(found.train_wrong) == expected.pop("train_wrong")
        assert told.pop("grad_norm") > 0
        assert told == pytest.approx(expected, rel=1e-11)

    def test_observables_of_a_linear_model(self) -> None:
        """One filter serves both classes; margins are normalized; the gradient of the logistic loss is written down."""
        one = trial({"model": "linear"}, feature_noise=0.3, l2=0.2)
        state, found = look(one, POINTS)
        w, points = weights(state)[:, 0], written(one)
        z = points.label[:, None] * points.x.sum(axis=1)
        margin, noise = z @ w, points.label * (points.xi @ w)
        slope = -1 / (1 + np.exp(margin)) / len(margin)
        norm, largest = float(np.linalg.norm(w)), float(np.abs(w).max())
        told = values(found)
        told.pop("test_loss")
        assert told == pytest.approx(
            {
                "train_loss": logistic(margin),
                "grad_norm": float(np.linalg.norm(slope @ z + 0.2 * w)),
                "noise_min": noise.min(),
                "noise_mean": noise.mean(),
                "noise_max": noise.max(),
                "feature": w[0],
                "feature_pos": w[0],
                "feature_neg": w[0],
                "margin_l2": margin.min() / norm,
                "margin_linf": margin.min() / largest,
                "weight_norm": norm,
                "weight_max": largest,
            },
            rel=1e-11,
        )
        assert int(found.train_wrong) == np.sum(margin <= 0)

    def test_ties_are_errors(self) -> None:
        """A network of zeros decides nothing: every point is wrong, at log 2 each."""
        _, found = look(
            trial({"model": "linear"}, feature_noise=0.3, init_scale=0.0, l2=0.2), POINTS
        )
        assert (int(found.train_wrong), int(found.test_wrong)) == (6, POINTS)
        told = values(found)
        assert told["train_loss"] == pytest.approx(np.log(2))
        assert told["test_loss"] == pytest.approx(np.log(2))
        assert np.isnan(told["margin_l2"])

    def test_the_feature_of_a_teacher_is_its_direction(self) -> None:
        one = trial({"data": "separable", "model": "linear"}, labels="teacher", margin=0.3)
        state, found = look(one, 0)
        u = np.asarray(quick(lambda: base.feature_directions(one.data, one.seed).dense(12))())[0]
        assert values(found)["feature"] == pytest.approx(float(u @ weights(state)[:, 0]), rel=1e-11)

    def test_where_nothing_is_the_feature_nothing_is_told_of_it(self) -> None:
        _, found = jax.eval_shape(
            lambda: look.__wrapped__(trial({"data": "separable", "model": "linear"}), 0)
        )
        assert not {name for name in found.observables if name.startswith("feature")}
        assert {"noise_min", "noise_mean", "noise_max"} <= set(found.observables)


@pytest.mark.usefixtures("float64")
class TestFreshPoints:
    """Test errors are those of the drawn points, whatever the chunk."""

    @pytest.mark.parametrize("chunk", [8, 512], ids=["a_short_last_chunk", "less_than_a_chunk"])
    def test_errors_and_losses_are_those_of_the_drawn_points(
        self, chunk: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Twenty points in chunks of eight, where four of the last one count, and in a chunk of their own."""
        monkeypatch.setattr(evaluation, "CHUNK", chunk)
        one = trial(noise=2.0)
        state, found = quick(lambda one: look.__wrapped__(one, POINTS))(one)
        points = written(one, fresh=POINTS)
        margin = points.label * cnn_margin(one, weights(state), 0.0, points.x)
        assert 0 < np.sum(margin <= 0) < POINTS
        assert int(found.test_wrong) == np.sum(margin <= 0)
        assert values(found)["test_loss"] == pytest.approx(logistic(margin), rel=1e-12)

    @pytest.mark.parametrize("chunk", [8, 512], ids=["a_short_last_chunk", "less_than_a_chunk"])
    @pytest.mark.parametrize("orthogonal", [False, True])
    def test_what_gaussian_points_give_on_filters_is_drawn(
        self, chunk: int, orthogonal: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """W^T xi is Gaussian: NumPy makes its root from W, and each chunk of the test set has its own key."""
        monkeypatch.setattr(evaluation, "CHUNK", chunk)
        more = {"flip": 0.3, "flip_test": True, "power": 1, "orthogonal": orthogonal}
        one = trial({"data": "signal_noise"}, noise=2.0, **more)
        state, found = quick(lambda one: look.__wrapped__(one, POINTS))(one)
        margin = margins_by_law(one, weights(state), POINTS, chunk)
        assert 0 < np.sum(margin <= 0) < POINTS
        assert int(found.test_wrong) == np.sum(margin <= 0)
        assert values(found)["test_loss"] == pytest.approx(logistic(margin), rel=1e-9)

    @pytest.mark.parametrize(
        ("data", "more"),
        [
            ("signal_noise", {"flip": 0.3, "flip_test": True, "power": 1}),
            ("signal_noise", {"orthogonal": True, "signal": 2.0, "readout": "mean", "power": 2}),
            ("separable", {"labels": "teacher", "margin": 0.3, "power": 1}),
            ("separable", {"labels": "free", "power": 2}),
        ],
        ids=["flipped", "orthogonal", "teacher", "free"],
    )
    def test_points_by_their_law_are_points_of_the_definition(
        self, data: str, more: dict[str, Any]
    ) -> None:
        """Error and loss on many of them, and on as many that NumPy makes of vectors, within 5 standard errors."""
        one = trial({"data": data}, noise=2.0, init_scale=0.6, **more)
        state, found = look(one, MANY)
        margin = margins_by_definition(one, weights(state))
        losses = np.logaddexp(0, -margin)
        error, spread = np.mean(margin <= 0), np.sqrt(2 / MANY)
        assert abs(int(found.test_wrong) / MANY - error) < 5 * spread * np.sqrt(error * (1 - error))
        assert abs(values(found)["test_loss"] - losses.mean()) < 5 * spread * losses.std()

    def test_validation_points_have_the_law_of_the_test_points(self) -> None:
        """Errors and losses of many points of each kind, within 5 standard errors; other points."""
        one = trial(noise=2.0)
        state, found = look(one, MANY, MANY)
        told, points = values(found), written(one, fresh=2000)
        losses = np.logaddexp(0, -points.label * cnn_margin(one, weights(state), 0.0, points.x))
        error = int(found.test_wrong) / MANY
        spread = 5 * np.sqrt(2 / MANY)
        assert abs(int(found.validation_wrong) / MANY - error) < spread * np.sqrt(error)
        assert 0 < abs(told["validation_loss"] - told["test_loss"]) < spread * losses.std()

    def test_ties_are_the_points_whose_output_is_zero(self) -> None:
        """A network of zeros ties on all points, and errs on all; one of random weights on none."""
        collapsed = look(trial(init_scale=0.0), POINTS)[1]
        assert int(collapsed.test_ties) == int(collapsed.test_wrong) == POINTS
        assert int(look(trial(noise=2.0), POINTS)[1].test_ties) == 0

    def test_without_points_nothing_is_told_of_them(self) -> None:
        _, found = look(trial(feature_noise=0.3), 0)
        assert "test_loss" not in found.observables
        assert found.test_wrong is None


class TestOutcome:
    """Errors count, statuses tell, columns divide."""

    def test_a_margin_of_nothing_or_of_no_number_is_wrong(self) -> None:
        margin = jnp.array([-1.0, 0.0, -0.0, jnp.nan, -jnp.inf, 1e-30, jnp.inf])
        one = trial(n=7)
        wrong = one.objective.mistakes(margin, PointInfo(jnp.ones(7), jnp.ones(7)))
        assert wrong is not None and int(measure.count_mistakes(one, wrong)) == 5

    @pytest.mark.parametrize("own", [1, 2, 3, 4])
    def test_points_that_a_trial_does_not_have_are_not_counted(self, own: int) -> None:
        """Zeros beyond a padded n would be errors, and the smallest of all numbers."""
        one = trial(n=Size(4, own))
        margin = jnp.array([-1.0, 2.0, jnp.nan, 3.0]).at[own:].set(0.0)
        assert int(measure.count_mistakes(one, ~(margin > 0))) == (1 if own < 3 else 2)
        assert float(smallest(one, jnp.array([5.0, 4.0, 3.0, 2.0]).at[own:].set(0.0))) == 6 - own

    @pytest.mark.parametrize(
        ("status", "loss", "norm", "reached", "expected"),
        [
            (Status.RUNNING, 0.1, 1.0, True, Status.RUNNING),
            (Status.CONVERGED, 0.1, 1.0, False, Status.CONVERGED),
            (Status.NONFINITE, np.nan, 1.0, False, Status.NONFINITE),
            (Status.OUT_OF_STEPS, 0.1, 1.0, False, Status.OUT_OF_STEPS),
            (Status.OUT_OF_STEPS, 0.1, 1.0, True, Status.CONVERGED),
            (Status.OUT_OF_STEPS, np.nan, 1.0, False, Status.NONFINITE),
            (Status.OUT_OF_STEPS, np.inf, 1.0, True, Status.NONFINITE),
            (Status.OUT_OF_STEPS, 0.0, np.inf, True, Status.NONFINITE),
        ],
    )
    def test_the_last_update_may_reach_the_target_or_break_the_weights(
        self, status: Status, loss: float, norm: float, reached: bool, expected: Status
    ) -> None:
        found = measure.final_status(
            jnp.int32(status), jnp.float32(loss), jnp.float32(norm), jnp.array(reached)
        )
        assert Status(int(found)) is expected

    def test_a_target_is_seen_after_the_last_step(self) -> None:
        """No update follows the last one, so its weights are looked at when they are measured."""
        for target, status in ((10.0, Status.CONVERGED), (1e-9, Status.OUT_OF_STEPS)):
            _, found = look(trial(steps=0, target_loss=target), 0)
            assert Status(int(found.status)) is status

    def test_columns_are_ratios_of_counts_in_double_precision(self) -> None:
        observables = {"test_loss": jnp.float32([0.5, 0.1])}
        found = Measurement(
            jnp.zeros(2),
            jnp.zeros(2),
            train_wrong=jnp.int32([1, 1]),
            test_wrong=jnp.int32([3, 7]),
            test_ties=jnp.int32([0, 5]),
            validation_wrong=jnp.int32([2, 0]),
            observables=observables,
        )
        told = measure.columns(found, n=np.array([3, 4]), points=7, validation_points=5)
        assert {name: each.tolist() for name, each in told.items()} == {
            "test_loss": [0.5, float(np.float32(0.1))],
            "train_error": [1 / 3, 1 / 4],
            "test_error": [3 / 7, 1.0],
            "test_ties": [0.0, 5 / 7],
            "generalization_gap": [3 / 7 - 1 / 3, 3 / 4],
            "validation_error": [2 / 5, 0.0],
        }
        assert all(each.dtype == np.float64 for each in told.values())

    def test_columns_without_fresh_points(self) -> None:
        counts = jnp.int32([1]), None, None, None
        found = Measurement(jnp.zeros(1), jnp.zeros(1), *counts, {})
        assert set(measure.columns(found, n=np.array([4]), points=0)) == {"train_error"}

    def test_every_observable_has_a_column(self) -> None:
        one = trial({"model": "linear"})
        found = jax.eval_shape(lambda: look.__wrapped__(one, 4, 4)[1])
        counted = {"train_error", "test_error", "test_ties", "validation_error"}
        names = {*found.observables, *counted, "generalization_gap"}
        assert names == {*schema.STANDARD_OBSERVABLES, "test_ties", *VALIDATED}
        assert names == {*schema.STANDARD_OBSERVABLES, *columns_of(one, (), validated=True)}


class Perceptron(nnx.Module):
    """Two layers on the patches laid side by side, and something that trains otherwise than it tests."""

    def __init__(self, inputs: int, between: str, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(inputs, 4, rngs=rngs)
        layers = {
            "": lambda: None,
            "norm": lambda: nnx.BatchNorm(4, rngs=rngs),
            "dropout": lambda: nnx.Dropout(0.5, rngs=rngs),
        }
        self.between = layers[between]()
        self.last = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, patches: jax.Array) -> jax.Array:
        """The margin of each point."""
        hidden = self.first(patches.reshape(patches.shape[0], -1))
        hidden = hidden if self.between is None else self.between(hidden)
        return self.last(jax.nn.relu(hidden))[:, 0]


@part
class Own(AbstractModel):
    """A network of a plugin: no filters, any flax module."""

    between: str = static("", choices=("", "norm", "dropout"), doc="what stands between the layers")

    def head(self, patches: int, d: int, rngs: nnx.Rngs) -> nnx.Module:
        """The perceptron."""
        return Perceptron(patches * d, self.between, rngs)


def own(between: str) -> Trial:
    """A trial with such a network, long enough to fit its six points."""
    return trial({"optimizer": "adam"}, lr=0.05, steps=60, feature_noise=0.3).replace(
        model=Own(between=between)
    )


def as_used(state: State, x: np.ndarray) -> np.ndarray:
    """The margins that a user of the trained network gets, in NumPy: running statistics, nothing dropped."""
    head = state.params["head"]
    first, last = (
        {name: np.asarray(head[each][name][...]) for name in ("kernel", "bias")}
        for each in ("first", "last")
    )
    hidden = x.reshape(len(x), -1) @ first["kernel"] + first["bias"]
    if "between" in head:
        seen = state.rest["head"]["between"]
        hidden = (hidden - np.asarray(seen["mean"][...])) / np.sqrt(
            np.asarray(seen["var"][...]) + 1e-5
        )
        hidden = hidden * np.asarray(head["between"]["scale"][...]) + np.asarray(
            head["between"]["bias"][...]
        )
    return (np.maximum(hidden, 0) @ last["kernel"] + last["bias"])[:, 0]


@functools.partial(quick, static_argnums=1)
def finish(trial: Trial, points: int) -> tuple[State, State, Measurement]:
    """First and last state of a training, and the last one measured."""
    world, first = step.start(trial)
    last = jax.lax.fori_loop(0, 60, lambda _, state: step.advance(trial, world, state), first)
    return first, last, measure.measure(trial, world, last, points)


@pytest.mark.parametrize("between", ["", "norm", "dropout"])
def test_a_network_of_ones_own(between: str) -> None:
    """It trains, is measured as it would be used and not as it trains, and tells nothing of filters."""
    one = own(between)
    first, last, found = finish(one, POINTS)
    assert int(last.step) == 60
    train, fresh = (written(one, fresh=count) for count in (0, POINTS))
    margin, fresh_margin = (
        train.label * as_used(last, train.x),
        fresh.label * as_used(last, fresh.x),
    )
    assert logistic(margin) < 0.5 * logistic(train.label * as_used(first, train.x))
    assert int(found.train_wrong) == np.sum(margin <= 0)
    assert int(found.test_wrong) == np.sum(fresh_margin <= 0)
    told = values(found)
    assert told["train_loss"] == pytest.approx(logistic(margin), rel=1e-4)
    assert told["test_loss"] == pytest.approx(logistic(fresh_margin), rel=1e-4)
    assert set(told) == {"train_loss", "test_loss", "grad_norm", "weight_norm", "weight_max"}
