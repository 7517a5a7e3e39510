"""One lane: gradients by finite differences, whole trainings against NumPy, and where trainings end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
import optax.contrib
import pytest
from jax.flatten_util import ravel_pytree

from sweep.data.base import feature_directions, training_points
from sweep.prng import Purpose, stream
from sweep.status import Status
from sweep.training import step
from sweep.training.step import Batch, State
from sweep.trial import Trial
from tests.contracts.parts import trial
from tests.training_cases import quick

pytestmark = pytest.mark.usefixtures("float64")


@quick
def run(trial: Trial, updates: Any) -> tuple[State, State]:
    """The first state of a trial and the one after so many calls of `advance`."""
    world, first = step.start(trial)
    return first, jax.lax.fori_loop(
        0, updates, lambda _, state: step.advance(trial, world, state), first
    )


def weights(state: State) -> np.ndarray:
    """All weights of a network without bias, (d, units)."""
    return np.asarray(state.params["filters"]["weights"][...]).T


@dataclass
class Reference:
    """A two-layer CNN on feature-noise data with logistic loss, trained in NumPy.

    Only the draws come from the program: noise, labels, initial weights, and the permutation of each epoch.
    """

    trial: Trial

    def __post_init__(self) -> None:
        data, seed = self.trial.data, self.trial.seed
        points = training_points(data, seed, feature_directions(data, seed))
        self.y = np.asarray(points.label)
        noise, v = np.asarray(points.noise.dense(data.d))[:, 0], np.eye(data.d)[0]
        signal = self.y[:, None] * v
        self.x = np.stack([signal, noise - data.feature_noise * signal], axis=1)

    def loss(self, w: np.ndarray, rows: Any = slice(None)) -> float:
        """Mean logistic loss without the l2 term."""
        return float(np.mean(np.log1p(np.exp(-self.y[rows] * self._margin(w, rows)))))

    def gradient(self, w: np.ndarray, rows: Any = slice(None)) -> np.ndarray:
        """Gradient of the mean loss and of (l2/2) ||w||^2."""
        x, y, q = self.x[rows], self.y[rows], self.trial.model.power
        slope = -y / (1 + np.exp(y * self._margin(w, rows))) / len(y)
        on_filters = q * np.maximum(x @ w, 0) ** (q - 1) * self._signs(w)
        return np.einsum("i,ipu,ipd->du", slope, on_filters, x) + self.trial.objective.l2 * w

    def _margin(self, w: np.ndarray, rows: Any) -> np.ndarray:
        return (np.maximum(self.x[rows] @ w, 0) ** self.trial.model.power).sum(
            axis=1
        ) @ self._signs(w)

    def _signs(self, w: np.ndarray) -> np.ndarray:
        return np.resize([1.0, -1.0], w.shape[1])

    def path(self, first: np.ndarray, updates: int) -> list[np.ndarray]:
        """Weights after 0, 1, ..., `updates` updates."""
        n, size = self.trial.data.n, self.trial.train.batch_size or self.trial.data.n
        steps = {
            "Adam": self._adam,
            "GradientDescent": self._descent,
            "optax_contrib_muon": self._muon,
        }
        step = steps[type(self.trial.optimizer).__name__]()
        found, order = [first], np.arange(n)
        per_epoch = -(-n // size)
        for t in range(updates):
            epoch, within = divmod(t, per_epoch)
            if within == 0 and size < n:
                order = self.permutation(epoch)
            rows = order[within * size : (within + 1) * size]
            found.append(found[-1] - step(self.gradient(found[-1], rows)))
        return found

    def permutation(self, epoch: int) -> np.ndarray:
        """The order of the points in an epoch: keyed by the seed and the epoch alone."""
        key = jax.random.fold_in(stream(self.trial.seed, Purpose.BATCH), epoch)
        return np.asarray(jax.random.permutation(key, self.trial.data.n))

    def _descent(self) -> Callable[[np.ndarray], np.ndarray]:
        return lambda g: self.trial.optimizer.lr * g

    def _adam(self) -> Callable[[np.ndarray], np.ndarray]:
        adam, t, m, v = self.trial.optimizer, 0, 0.0, 0.0

        def step(g: np.ndarray) -> np.ndarray:
            nonlocal t, m, v
            t, m, v = t + 1, adam.b1 * m + (1 - adam.b1) * g, adam.b2 * v + (1 - adam.b2) * g**2
            return adam.lr * (m / (1 - adam.b1**t)) / (np.sqrt(v / (1 - adam.b2**t)) + adam.eps)

        return step

    def _muon(self) -> Callable[[np.ndarray], np.ndarray]:
        """That of optax on W (d, units), inputs by outputs as flax has them: its step knows one from the other."""
        rule, state = optax.contrib.muon(learning_rate=float(self.trial.optimizer.lr)), None
        update = quick(rule.update)

        def step(g: np.ndarray) -> np.ndarray:
            nonlocal state
            moved, state = update(g, rule.init(g) if state is None else state, g)
            return -np.asarray(moved)

        return step


UPDATES = 200
NEVER = {"target_loss": 0.0, "target_grad": 0.0, "steps": 10**6}


def full_adam(**changes: Any) -> Trial:
    """Adam on the whole training set, with targets that it cannot reach."""
    given = {"feature_noise": 0.3, "lr": 0.004, "b2": 0.99, "eps": 1e-6, "l2": 0.02, **NEVER}
    return trial({"optimizer": "adam"}, **{**given, **changes})


def batched_sgd(**changes: Any) -> Trial:
    """SGD on batches of 3 of 8 points, so that every third batch has two points."""
    return trial(
        {"optimizer": "sgd"},
        **{"n": 8, "batch_size": 3, "lr": 0.05, "l2": 0.02, **NEVER, **changes},
    )


def batched_adam(**changes: Any) -> Trial:
    """Adam on batches that divide the training set."""
    given = {"n": 6, "batch_size": 2, "power": 2, "lr": 0.01, "eps": 1e-6, "steps": 10**6}
    return trial({"optimizer": "adam"}, **{**given, **changes})


def full_muon(**changes: Any) -> Trial:
    """An optimizer that takes the weights for a matrix."""
    given = {"n": 6, "d": 5, "width": 4, "power": 2, "lr": 0.002, "steps": 10**6}
    return trial({"optimizer": "optax.contrib.muon"}, **{**given, **changes})


TRAININGS = [
    pytest.param(each, id=each.__name__) for each in (full_adam, batched_sgd, batched_adam)
]


@pytest.mark.parametrize("make", [*TRAININGS, pytest.param(full_muon, id="full_muon")])
def test_a_whole_training_is_that_of_numpy(make: Callable[..., Trial]) -> None:
    """200 updates; rounding errors are the only difference. The loss has to have moved, or nothing was tested."""
    one = make()
    first, last = run(one, UPDATES)
    reference = Reference(one)
    path = reference.path(weights(first), UPDATES)
    assert reference.loss(path[-1]) < 0.8 * reference.loss(path[0])
    np.testing.assert_allclose(weights(last), path[-1], rtol=0, atol=1e-9)
    assert (int(last.step), int(last.status)) == (UPDATES, Status.RUNNING)


@pytest.mark.parametrize(
    ("kinds", "values"),
    [
        ({}, {"bias": True, "power": 3, "patches": "mean"}),
        ({"model": "linear", "objective": "exponential"}, {}),
        (
            {"data": "signal_noise", "objective": "square"},
            {"power": 2, "readout": "mean", "flip": 0.3},
        ),
    ],
    ids=["cnn_bias_logistic", "linear_exponential", "cnn_mean_square"],
)
def test_gradients_are_finite_differences(kinds: dict[str, str], values: dict[str, Any]) -> None:
    """Of the mean loss plus (l2/2) ||all weights||^2, in every coordinate; h^2 and rounding leave 1e-8."""
    one = trial(kinds, **{"l2": 0.3, **values})
    world, state = quick(step.start)(one)
    evaluate = quick(
        lambda params: step.loss_and_grads(
            one, state._replace(params=params), Batch(world, None), training=True
        )[:2]
    )
    start, unravel = ravel_pytree(state.params)
    w, h = np.asarray(start) + np.random.default_rng(0).normal(size=start.size) * 0.1, 1e-5

    def objective(w: np.ndarray) -> float:
        return float(evaluate(unravel(w))[0]) + 0.15 * float(w @ w)

    differences = [(objective(w + h * e) - objective(w - h * e)) / (2 * h) for e in np.eye(w.size)]
    found = np.asarray(ravel_pytree(evaluate(unravel(w))[1])[0])
    assert np.abs(found).max() > 0.1
    np.testing.assert_allclose(found, differences, rtol=1e-6, atol=1e-8)


def _first_time(values: list[float], target: float, every: int = 1) -> int:
    return next(step for step, value in enumerate(values) if step % every == 0 and value <= target)


class TestTargets:
    """A training ends at the initial weights that meet a target, before the update that would leave them."""

    def test_full_batches_end_at_the_first_step_below_the_loss(self) -> None:
        first, _ = run(full_adam(), 0)
        reference = Reference(full_adam())
        path = reference.path(weights(first), UPDATES)
        losses = [reference.loss(w) for w in path]
        target = (losses[57] + losses[58]) / 2
        expected = _first_time(losses, target)
        assert 0 < expected < UPDATES
        _, last = run(full_adam(target_loss=target), UPDATES)
        assert (int(last.step), int(last.status)) == (expected, Status.CONVERGED)
        np.testing.assert_allclose(weights(last), path[expected], rtol=0, atol=1e-9)

    def test_full_batches_end_at_the_first_step_below_the_gradient_norm(self) -> None:
        """The norm has the l2 term in it."""
        first, _ = run(full_adam(), 0)
        reference = Reference(full_adam())
        path = reference.path(weights(first), UPDATES)
        norms = [float(np.linalg.norm(reference.gradient(w))) for w in path]
        target = 0.5 * (norms[0] + min(norms))
        expected = _first_time(norms, target)
        assert 0 < expected < UPDATES
        _, last = run(full_adam(target_grad=target), UPDATES)
        assert (int(last.step), int(last.status)) == (expected, Status.CONVERGED)
        np.testing.assert_allclose(weights(last), path[expected], rtol=0, atol=1e-9)

    @pytest.mark.parametrize("name", ["target_loss", "target_grad"])
    def test_batches_are_looked_at_when_an_epoch_begins_and_on_all_points(self, name: str) -> None:
        """The target is met within an epoch for the first time, and seen at the beginning of the next one or later."""
        first, _ = run(batched_sgd(), 0)
        reference = Reference(batched_sgd())
        path = reference.path(weights(first), UPDATES)
        by_hand = {
            "target_loss": reference.loss,
            "target_grad": lambda w: float(np.linalg.norm(reference.gradient(w))),
        }
        values = [by_hand[name](w) for w in path]
        lows = [
            step for step in range(1, UPDATES) if step % 3 and values[step] < min(values[:step])
        ]
        target = values[lows[len(lows) // 2]] * (1 + 1e-9)
        expected = _first_time(values, target, every=3)
        assert _first_time(values, target) % 3
        _, last = run(batched_sgd(**{name: target}), 2 * UPDATES)
        assert (int(last.step), int(last.status)) == (expected, Status.CONVERGED)
        np.testing.assert_allclose(weights(last), path[expected], rtol=0, atol=1e-9)

    @pytest.mark.parametrize("make", [full_adam, batched_sgd])
    def test_a_target_that_is_met_at_the_start_leaves_the_first_weights(
        self, make: Callable[..., Trial]
    ) -> None:
        first, last = run(make(target_loss=1e9), 5)
        assert (int(last.step), int(last.status)) == (0, Status.CONVERGED)
        np.testing.assert_array_equal(weights(last), weights(first))

    @pytest.mark.parametrize("make", [full_adam, batched_sgd])
    def test_no_target_is_met_by_a_loss_of_nan(self, make: Callable[..., Trial]) -> None:
        _, last = run(make(lr=1e300, target_loss=1e-3, target_grad=1e-3), 20)
        assert int(last.status) == Status.NONFINITE


class TestEnd:
    """Steps run out, numbers overflow; an ended lane stays as it is."""

    @pytest.mark.parametrize("make", [full_adam, batched_sgd])
    @pytest.mark.parametrize("steps", [0, 1, 10])
    def test_steps_are_the_updates_that_are_made(
        self, make: Callable[..., Trial], steps: int
    ) -> None:
        first, last = run(make(steps=steps), 30)
        _, unbounded = run(make(), steps)
        assert (int(last.step), int(last.status)) == (steps, Status.OUT_OF_STEPS)
        np.testing.assert_array_equal(weights(last), weights(unbounded))
        assert np.array_equal(weights(first), weights(last)) == (steps == 0)

    @pytest.mark.parametrize("make", [full_adam, batched_sgd])
    def test_an_absurd_step_size_ends_as_nonfinite(self, make: Callable[..., Trial]) -> None:
        """One update makes weights of 1e297 or more, whose third power overflows: the loss after it is not finite."""
        _, last = run(make(lr=1e300), 30)
        assert (int(last.step), int(last.status)) == (1, Status.NONFINITE)

    @pytest.mark.parametrize(
        "change", [{"steps": 10}, {"target_loss": 0.5}, {"lr": 1e300}], ids=["steps", "loss", "nan"]
    )
    @pytest.mark.parametrize("make", [full_adam, batched_sgd])
    def test_an_ended_lane_never_moves_again(
        self, make: Callable[..., Trial], change: dict[str, Any]
    ) -> None:
        """Weights, moments, counters and status keep their bits under any number of further steps."""
        soon, late = (
            run(make(**change), updates)[1]._replace(order=None)
            for updates in (UPDATES, 5 * UPDATES)
        )
        assert int(soon.status) != Status.RUNNING
        jax.tree.map(np.testing.assert_array_equal, soon, late)


class TestEpochs:
    """Mini-batches come from a fresh permutation each epoch."""

    def test_an_epoch_visits_every_point_once(self) -> None:
        orders = [
            np.asarray(run(batched_sgd(), updates)[1].order).tolist() for updates in range(1, 13)
        ]
        for epoch in range(4):
            own = orders[3 * epoch : 3 * epoch + 3]
            assert (
                own[0] == own[1] == own[2] == Reference(batched_sgd()).permutation(epoch).tolist()
            )
            assert sorted(own[0]) == list(range(8))
        assert len({tuple(each) for each in orders}) == 4

    def test_permutations_come_from_the_seed(self) -> None:
        one, other = (
            np.asarray(run(batched_sgd(seed=seed), 1)[1].order).tolist() for seed in (1, 2)
        )
        assert one != other

    @pytest.mark.parametrize(
        ("batch_size", "updates"), [(None, 1), (8, 1), (9, 1), (6, 2), (3, 3), (1, 8)]
    )
    def test_updates_in_an_epoch(self, batch_size: int | None, updates: int) -> None:
        """A batch of all points is a full batch, without an order to keep."""
        one = batched_sgd(batch_size=batch_size)
        assert step.steps_per_epoch(one) == updates
        _, state = jax.eval_shape(step.start, one)
        assert (state.order is None) == (updates == 1)
