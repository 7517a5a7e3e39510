"""Observables by trial against NumPy: groups, stable rank, trace of the Hessian, sparsity of a neuron."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.data.points import PointInfo
from sweep.observables import columns_of, measured_kinds
from sweep.observables.curvature import PROBES
from sweep.observables.groups import count_groups
from sweep.schema import STANDARD_OBSERVABLES
from sweep.status import Status
from sweep.training import measure, step
from sweep.training.measure import Measurement
from sweep.trial import Trial
from tests.contracts.parts import trial
from tests.training_cases import quick

pytestmark = pytest.mark.usefixtures("float64")


def look(one: Trial, *metrics: str, points: int = 0) -> tuple[Any, Any, Measurement]:
    """Training inputs, state and measurement before the first step."""

    @quick
    def start() -> Any:
        inputs, state = step.start(one)
        return inputs, state, measure.measure(one, inputs, state, points, metrics=metrics)

    return start()


class TestGroups:
    """Errors of the groups of points."""

    one = trial({"data": "spurious"}, n=6)

    def test_points_and_mistakes_are_counted_by_group(self) -> None:
        y = jnp.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
        info = PointInfo(y, y, y * jnp.array([1, 1, 1, -1, -1, 1]))
        mistakes = jnp.array([True, False, False, True, False, True])
        counted = jnp.array([True, True, True, True, True, False])
        found = count_groups(self.one, info, mistakes, counted)
        assert found is not None and found.tolist() == [[3, 1], [2, 1]]
        assert count_groups(trial(), info, mistakes, counted) is None

    def test_errors_are_shares_and_the_worst_is_the_largest(self) -> None:
        nothing = np.zeros(2, np.int32)
        measured = Measurement(
            *(nothing, np.full(2, Status.RUNNING), nothing, nothing, nothing, None, {}),
            train_groups=np.array([[[4, 1], [2, 2]], [[6, 0], [0, 0]]]),
            test_groups=np.array([[[8, 2], [4, 3]], [[10, 1], [2, 0]]]),
        )
        table = measure.columns(measured, np.full(2, 6), 12, 0, ("majority", "minority"))
        assert table["test_error_majority"].tolist() == [0.25, 0.1]
        assert table["test_error_minority"].tolist() == [0.75, 0.0]
        assert table["worst_error"].tolist() == [0.75, 0.1]
        assert table["train_error_majority"].tolist() == [0.25, 0.0]
        assert table["train_error_minority"][0] == 1 and np.isnan(table["train_error_minority"][1])

    def test_counts_of_a_lane_add_up(self) -> None:
        _, _, found = look(self.one, points=600)
        assert found.train_groups is not None and found.test_groups is not None
        assert np.sum(found.train_groups, axis=0).tolist() == [6, int(found.train_wrong or 0)]
        points, wrong = np.sum(found.test_groups, axis=0).tolist()
        assert (points, wrong) == (600, int(found.test_wrong or 0))
        assert abs(found.test_groups[1, 0] / 600 - 0.02) < 5 * np.sqrt(0.02 * 0.98 / 600)


class TestStableRank:
    """||W||_F^2 / ||W||_2^2."""

    @pytest.mark.parametrize("coordinates", ["ambient", "span"])
    def test_it_is_that_of_the_singular_values(self, coordinates: str) -> None:
        values = {"coordinates": coordinates, "width": 3, "n": 4}
        _, _, found = look(trial({"data": "signal_noise"}, **values), "stable_rank")
        _, state, _ = look(trial({"data": "signal_noise"}, **{**values, "coordinates": "ambient"}))
        w = np.asarray(state.params["filters"]["weights"][...])
        singular = np.linalg.svd(w, compute_uv=False)
        expected = np.sum(singular**2) / singular[0] ** 2
        assert float(found.observables["stable_rank"]) == pytest.approx(expected, rel=1e-10)
        assert 1.5 < expected < 6

    def test_it_is_measured_on_request_where_it_is_known(self) -> None:
        assert "stable_rank" in columns_of(trial(), ["stable_rank"], False)
        assert "stable_rank" not in columns_of(trial(), [], False)
        assert "stable_rank" not in columns_of(trial(coordinates="support"), ["stable_rank"], False)


class TestHessianTrace:
    """The estimate by random signs."""

    def test_it_is_exact_where_the_hessian_is_diagonal(self) -> None:
        """Square loss of one axis a point: each weight has curvature 1/n + l2."""
        kinds = {"data": "orthonormal", "model": "linear", "objective": "square"}
        _, _, found = look(trial(kinds, n=4, d=6, l2=0.3), "hessian_trace")
        expected = 4 * (1 / 4) + 6 * 0.3
        assert float(found.observables["hessian_trace"]) == pytest.approx(expected, rel=1e-12)

    def test_it_lies_within_its_standard_error(self) -> None:
        """A linear model under the square loss: H = X^T X / n + l2, variance 2 sum of H_ij^2, i != j."""
        kinds = {"data": "signal_noise", "model": "linear", "objective": "square"}
        one = trial(kinds, n=5, d=6, noise=1.0)
        inputs, _, found = look(one, "hessian_trace")
        tokens = np.asarray(inputs.tokens.rows)
        x = np.asarray(inputs.info.true_label)[:, None] * tokens[0] + tokens[1:]
        hessian = x.T @ x / 5 + 0.01 * np.eye(6)
        off = hessian - np.diag(np.diag(hessian))
        error = np.sqrt(2 * np.sum(off**2) / PROBES)
        value = float(found.observables["hessian_trace"])
        assert 0 < abs(value - np.trace(hessian)) < 4 * error

    def test_it_needs_the_weights_themselves(self) -> None:
        assert "hessian_trace" in columns_of(trial(), ["hessian_trace"], False)
        assert "hessian_trace" not in columns_of(
            trial(coordinates="span"), ["hessian_trace"], False
        )


class TestWeightSparsity:
    """On how few points the neuron of an autoencoder lies."""

    kinds: ClassVar = {
        "data": "orthonormal",
        "model": "autoencoder",
        "objective": "reconstruction",
    }

    def test_it_is_one_on_a_point_and_one_nth_on_all_alike(self) -> None:
        one = trial(self.kinds, n=3, d=4)
        inputs, state, _ = look(one)

        @quick
        def at(w: Any) -> Any:
            moved = jax.tree.map(lambda leaf: w[:, None], state.params)
            return measure.measure(one, inputs, state._replace(params=moved), 0).observables

        def value(w: list[float]) -> list[float]:
            found = at(jnp.array(w, float))
            return [float(found["weight_sparsity"]), float(found["weight_share"])]

        assert value([0, -2, 0, 0]) == pytest.approx([1, 1])
        assert value([3, 3, -3, 0]) == pytest.approx([1 / 3, 1 / np.sqrt(3)])
        assert value([3, 4, 0, 0]) == pytest.approx([(81 + 256) / 625, 0.8])
        assert value([3, 0, 0, 4]) == pytest.approx([1, 0.6])

    def test_it_is_measured_on_a_lane_of_one_neuron(self) -> None:
        _, state, found = look(trial(self.kinds, n=5, d=7))
        w = np.asarray(state.params["head"]["weights"][...])[:5, 0]
        norm = np.linalg.norm(np.asarray(state.params["head"]["weights"][...]))
        sparsity = np.sum(w**4) / np.sum(w**2) ** 2
        assert float(found.observables["weight_sparsity"]) == pytest.approx(sparsity, rel=1e-12)
        assert float(found.observables["weight_share"]) == pytest.approx(np.abs(w).max() / norm)
        several = trial(self.kinds, neurons=2)
        assert "weight_sparsity" not in {
            name for kind in measured_kinds(several, []) for name in kind.columns_of(several)
        }
        assert found.train_wrong is None


def test_a_named_direction_has_the_largest_response_of_any_filter() -> None:
    _, state, found = look(trial({"data": "spurious"}))
    w = np.abs(np.asarray(state.params["filters"]["weights"][...]))
    assert float(found.observables["feature_core"]) == pytest.approx(w[:, 0].max())
    assert float(found.observables["feature_spurious"]) == pytest.approx(w[:, 1].max())


def test_each_metric_measures_the_columns_that_it_declares() -> None:
    """Whatever the data and the network: a column without a value, or a value without a column, breaks a table."""
    cases = [
        ({"data": "spurious"}, {"coordinates": "span"}),
        ({"data": "spurious", "model": "pruned", "model_inner": "cnn"}, {}),
        (TestWeightSparsity.kinds, {}),
        ({"data": "spurious", "model": "mlp"}, {}),
    ]
    for kinds, values in cases:
        one = trial(kinds, **values)
        found = jax.eval_shape(
            lambda one=one: measure.measure(
                one,
                *step.start(one),
                0,
                metrics=("stable_rank", "hessian_trace"),
            )
        ).observables
        declared = set(columns_of(one, ("stable_rank", "hessian_trace"), False))
        counted = {name for name in declared if "error" in name or name == "test_ties"}
        assert declared - counted <= set(found) <= declared | set(STANDARD_OBSERVABLES), kinds
