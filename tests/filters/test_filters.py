"""Coordinates of the first layer: whole trainings in span and support coordinates against those of the weights.

Ambient trainings are compared with NumPy in test_trainer; here they are the truth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from flax import nnx
from jax.extend.core import jaxprs_in_params

from sweep import filters, grid
from sweep.errors import GridError
from sweep.filters import gram
from sweep.models.base import AbstractFiltered
from sweep.status import Status
from sweep.training import step
from sweep.trial import Trial
from tests.contracts.parts import Example, named, of, trial
from tests.training.test_measure import Own
from tests.training_cases import Trained, end, quick, same, told, train, weights

UPDATES = 200
NEVER = {"steps": 10**6}

CNN = ({}, {"power": 3})
RELEASED = ({}, {"power": 1, "bias": True, "init": "uniform", "readout": "mean", "patches": "mean"})
LINEAR = ({"model": "linear"}, {"init_scale": 0.2})
ORIGIN = ({"model": "linear", "objective": "exponential"}, {"init_scale": 0.0})

SPARSE = ({"data": "feature_noise"}, {"feature_noise": 0.3})
SIGNAL = ({"data": "signal_noise"}, {"signal": 1.5, "flip": 0.2})
ORTHOGONAL = ({"data": "signal_noise"}, {"flip": 0.2, "flip_test": True, "orthogonal": True})
TEACHER = ({"data": "separable"}, {"labels": "teacher", "margin": 0.3})

Case = tuple[dict[str, str], dict[str, Any]]


def both(
    one: Case, other: Case, optimizer: str, coordinates: str = "ambient", **more: Any
) -> Trial:
    """A trial of a data model and a network, in some coordinates."""
    kinds = {**one[0], **other[0], "optimizer": optimizer}
    return trial(kinds, coordinates=coordinates, **{**NEVER, **one[1], **other[1], **more})


def in_both(coordinates: str, *case: Any, **more: Any) -> tuple[Trained, Trained]:
    """The training in ambient coordinates, which has to do something, and in others."""
    ambient = train(both(*case, **more), UPDATES)
    assert told(ambient)["train_loss"] < 0.95 * told(train(both(*case, **more), 0))["train_loss"]
    return ambient, train(both(*case, coordinates=coordinates, **more), UPDATES)


def case(data: Case, model: Case, optimizer: str, name: str, **more: Any) -> Any:
    """A row of a table of trainings."""
    schedule = {"schedule": more.pop("schedule")} if "schedule" in more else {}
    return pytest.param((data[0] | schedule, data[1]), model, optimizer, more, id=name)


def some(rows: list[Any], names: str) -> list[Any]:
    """The rows, those without one of the names marked as slow."""
    marks = [[] if row.id in names.split() else [pytest.mark.slow] for row in rows]
    return [
        pytest.param(*row.values, id=row.id, marks=own)
        for row, own in zip(rows, marks, strict=True)
    ]


def inside(data: Case, optimizer: str = "", objective: str = "") -> Case:
    """The data model, with a rule within SAM, or a wrapper of the logistic loss, or both of them."""
    kinds = {"optimizer_inner": optimizer} if optimizer else {}
    if objective == "both":
        kinds |= {"objective": "label_noise", "objective_inner": "mixup"}
        kinds |= {"objective_inner_inner": "logistic"}
    elif objective:
        kinds |= {"objective": objective, "objective_inner": "logistic"}
    return data[0] | kinds, data[1]


IN_SPAN = [
    case(SPARSE, CNN, "gd", "gd"),
    case(SPARSE, CNN, "sgd", "sgd", batch_size=4, lr=0.02),
    case(
        SPARSE,
        CNN,
        "nesterov",
        "nesterov-batches-warmup",
        batch_size=4,
        schedule="warmup",
        warmup=50,
    ),
    case(
        SIGNAL,
        CNN,
        "gd",
        "gd-decay-warmup",
        l2=0.0,
        weight_decay=0.1,
        lr=0.01,
        schedule="warmup",
        warmup=50,
    ),
    case(
        SIGNAL,
        CNN,
        "momentum",
        "momentum-power",
        lr=0.01,
        schedule="power",
        exponent=0.7,
        shift=2.0,
    ),
    case(
        ORTHOGONAL,
        RELEASED,
        "momentum",
        "momentum-decay-cosine",
        weight_decay=0.1,
        schedule="cosine",
        decay_steps=99,
    ),
    case(
        SIGNAL,
        CNN,
        "delta_clip",
        "clipped-decay-batches",
        gamma=0.3,
        delta=0.1,
        weight_decay=0.1,
        batch_size=4,
    ),
    case(inside(SIGNAL, optimizer="gd"), CNN, "sam", "sam-gd", rho=0.3),
    case(inside(SIGNAL, optimizer="momentum"), CNN, "sam", "sam-momentum", rho=0.3, lr=0.02),
    case(inside(SIGNAL, objective="label_noise"), CNN, "gd", "label-noise", label_noise=0.2),
    case(inside(SIGNAL, objective="mixup"), CNN, "gd", "mixup", share=0.7),
    case(
        inside(SIGNAL, optimizer="momentum", objective="both"),
        CNN,
        "sam",
        "sam-label-noise-mixup-batches",
        rho=0.3,
        lr=0.05,
        label_noise=0.1,
        share=0.9,
        batch_size=4,
    ),
    case(
        SIGNAL, CNN, "nesterov", "nesterov-power", lr=0.01, schedule="power", exponent=0.5, warmup=9
    ),
    case(TEACHER, LINEAR, "nesterov", "nesterov-decay-batches", weight_decay=0.1, batch_size=4),
    case(TEACHER, ORIGIN, "gd", "gd-from-zero", l2=0.0),
    case(
        SIGNAL,
        LINEAR,
        "momentum",
        "momentum-batches-of-many-points",
        n=9,
        d=5,
        batch_size=4,
        l2=0.3,
    ),
]
"""Six points in batches of four: the second batch of an epoch has two."""


@pytest.mark.usefixtures("float64")
class TestSpan:
    """Steps that are linear in gradients and weights never leave the span of the data and the initial weights."""

    @pytest.mark.parametrize(
        ("data", "model", "optimizer", "more"),
        some(
            IN_SPAN,
            "sgd momentum-power nesterov-power nesterov-decay-batches gd-from-zero "
            "clipped-decay-batches sam-label-noise-mixup-batches",
        ),
    )
    def test_a_training_is_that_of_the_weights(
        self, data: Case, model: Case, optimizer: str, more: dict[str, Any]
    ) -> None:
        ambient, span = in_both("span", data, model, optimizer, **more)
        same(span, ambient)
        np.testing.assert_allclose(weights(span), weights(ambient), rtol=0, atol=1e-11)
        if model is RELEASED:
            biases = (each.state.params["head"]["bias"][...] for each in (span, ambient))
            np.testing.assert_allclose(*biases, rtol=1e-10)

    @pytest.mark.parametrize("batch_size", [None, 4])
    @pytest.mark.parametrize("target", ["target_loss", "target_grad"])
    def test_targets_are_met_at_the_same_step(self, target: str, batch_size: int | None) -> None:
        """The norm of a gradient is that of the gradient of W, not of its coordinates; l2 is in it."""
        more = {
            "batch_size": batch_size,
            "lr": 0.02,
            "l2": 0.05,
            "target_loss": 0.0,
            "target_grad": 0.0,
        }
        name = {"target_loss": "train_loss", "target_grad": "grad_norm"}[target]
        before, after = (
            told(train(both(SPARSE, CNN, "gd", **more), updates))[name] for updates in (0, 100)
        )
        assert after < before
        more[target] = (before + after) / 2
        ambient, span = (
            train(both(SPARSE, CNN, "gd", each, **more), UPDATES) for each in ("ambient", "span")
        )
        assert 0 < end(ambient)[0] < 100 and end(ambient)[1] == Status.CONVERGED
        same(span, ambient)


FAR: Case = ({}, {**SPARSE[1], "d": 60})
"""At most 19 of 60 coordinates are touched."""

IN_SUPPORT = [
    case(FAR, CNN, "adam", "adam", l2=0.0, lr=0.005),
    case(FAR, CNN, "adam", "adam-batches", l2=0.0, lr=0.005, batch_size=4),
    case(
        FAR,
        CNN,
        "adamw",
        "adamw-cosine",
        l2=0.0,
        lr=0.005,
        weight_decay=0.3,
        schedule="cosine",
        decay_steps=300,
    ),
    case(FAR, CNN, "lion", "lion", l2=0.0, lr=0.003, weight_decay=0.3),
    case(FAR, CNN, "gd", "gd-decay", weight_decay=0.2, l2=0.01),
    case(FAR, LINEAR, "signum", "signum", l2=0.0, lr=0.01),
    case(FAR, LINEAR, "sign_sgd", "sign-sgd-batches", l2=0.0, lr=0.01, batch_size=4),
    case(FAR, LINEAR, "rmsprop", "rmsprop", l2=0.0, lr=0.01),
    case(FAR, LINEAR, "adagrad", "adagrad", l2=0.0, lr=0.05),
    case(FAR, LINEAR, "momentum", "momentum-l2", l2=0.02),
    case(FAR, LINEAR, "nesterov", "nesterov-l2-batches", l2=0.02, batch_size=4),
]


@pytest.mark.usefixtures("float64")
class TestSupport:
    """Rows of W that no training point touches keep a share of their first values, the same for all."""

    @pytest.mark.parametrize(
        ("data", "model", "optimizer", "more"),
        some(IN_SUPPORT, "adam-batches adamw-cosine gd-decay"),
    )
    def test_a_training_is_that_of_the_weights(
        self, data: Case, model: Case, optimizer: str, more: dict[str, Any]
    ) -> None:
        ambient, support = in_both("support", data, model, optimizer, **more)
        same(support, ambient)
        first = np.asarray(ambient.first["filters"]["weights"][...]).T
        np.testing.assert_allclose(weights(support, first), weights(ambient), rtol=0, atol=1e-11)

    def test_norms_know_the_rows_that_no_data_touches(self) -> None:
        """At the start most of the norm, and the largest weight, lie there."""
        ambient, support = (train(both(FAR, CNN, "gd", each), 0) for each in ("ambient", "support"))
        w, rows = weights(ambient), np.asarray(support.inputs.context.rows)
        touched = w[rows[rows < 60]]
        assert len(touched) <= 19
        assert np.abs(touched).max() < told(support)["weight_max"] == np.abs(w).max()
        assert (
            told(support)["weight_norm"]
            == pytest.approx(np.linalg.norm(w))
            != np.linalg.norm(touched)
        )

    def test_fresh_points_touch_other_rows(self) -> None:
        """Decay acts on these too; the network is linear, so that the loss of fresh points moves with each row."""
        decayed, kept = (
            train(both(FAR, LINEAR, "gd", "support", lr=1e-6, l2=0.0, weight_decay=decay), UPDATES)
            for decay in (5e3, 0.0)
        )
        share = (1 - 1e-6 * 5e3) ** UPDATES
        assert float(decayed.state.params["filters"]["kept"][...]) == pytest.approx(share)
        assert told(decayed)["weight_norm"] == pytest.approx(
            share * told(kept)["weight_norm"], rel=1e-3
        )
        assert told(decayed)["test_loss"] != pytest.approx(told(kept)["test_loss"], rel=1e-3)

    def test_as_many_coordinates_as_there_are(self) -> None:
        """Where all of a small dimension are touched, and more places are kept than rows exist."""
        more = {"d": 4, "sparsity": 3, "l2": 0.0}
        ambient, support = (
            train(both(SPARSE, CNN, "adam", each, **more), 50, 0) for each in ("ambient", "support")
        )
        same(support, ambient)


class TestMemory:
    """What a lane holds and what is made on the way to it, by shapes alone."""

    @staticmethod
    def shapes(data: Case, coordinates: str, d: int) -> tuple[list[tuple[int, ...]], int]:
        """Shapes of all arrays of a lane, and the size of the largest array that is ever made."""
        one = both(data, CNN, "momentum", coordinates, d=d)
        made = jax.make_jaxpr(step.start)(one)
        held = [each.shape for each in jax.tree.leaves(jax.eval_shape(step.start, one))]
        return held, max(_sizes(made.jaxpr))

    def test_support_keeps_the_rows_that_data_touches(self) -> None:
        """1 + n sparsity rows of W and its moments, whatever d; initial weights of others are drawn a few at a time."""
        one = both(SPARSE, CNN, "adam", "support", d=10**6)
        (weights,) = jax.tree.leaves(
            jax.eval_shape(step.start, one)[1].params["filters"]["weights"]
        )
        assert weights.shape == (4, 1 + 6 * 3)
        small, large = (self.shapes(SPARSE, "support", d) for d in (10**4, 10**6))
        assert small[0] == large[0]
        assert max(np.prod(shape, dtype=int) for shape in large[0]) == 19 * 7
        assert small[1] == large[1] < 10**5

    @pytest.mark.parametrize("data", [SIGNAL, TEACHER], ids=["signal", "teacher"])
    def test_gram_knows_no_dimension(self, data: Case) -> None:
        small, large = (self.shapes(data, "gram", d) for d in (10**2, 10**12))
        assert small == large
        assert large[1] < 10**4

    def test_span_trains_a_number_for_each_token(self) -> None:
        _, state = jax.eval_shape(step.start, both(SPARSE, CNN, "gd", "span", d=1000))
        assert sorted(each.shape for each in jax.tree.leaves(state.params)) == [(), (1 + 6, 4)]


def _sizes(jaxpr: Any) -> Iterator[int]:
    """Sizes of all arrays that a program makes."""
    for equation in jaxpr.eqns:
        yield from (int(np.prod(each.aval.shape, dtype=float)) for each in equation.outvars)
        for inner in jaxprs_in_params(equation.params):
            yield from _sizes(inner)


LINEAR_KINDS = {"gd", "sgd", "momentum", "nesterov"}
IN_SPAN_KINDS = LINEAR_KINDS | {"delta_clip", "sam"}
"""SAM around momentum."""
ELEMENTWISE = LINEAR_KINDS | {
    *("sign_sgd", "signum", "adam", "adamw", "rmsprop", "adagrad", "lion"),
    *("gen_sign_sgd", "miadam", "k_adam"),
}


def unfit(coordinates: str, one: Trial) -> str | None:
    """The reason against a trial."""
    return filters.incompatibility(coordinates, one.data, one.model, one.optimizer)


class TestUnfit:
    """Which coordinates can train what, and what is said of those that cannot."""

    @pytest.mark.parametrize("row", of("optimizer"), ids=named)
    def test_optimizers(self, row: Example) -> None:
        sparse, gaussian = (
            both(data, CNN, "gd").replace(optimizer=row.part()) for data in (SPARSE, SIGNAL)
        )
        in_span = {unfit("span", sparse), unfit("span", gaussian), unfit("gram", gaussian)}
        if row.kind in IN_SPAN_KINDS:
            assert in_span == {None}
        else:
            (reason,) = in_span
            assert reason and "not linear in the gradient" in reason
        in_support = unfit("support", sparse)
        assert (
            in_support is None
            if row.kind in ELEMENTWISE
            else "by its own gradients" in str(in_support)
        )
        assert unfit("ambient", sparse) is unfit("ambient", gaussian) is None

    @pytest.mark.parametrize("row", of("data", "model", "objective"), ids=named)
    def test_data_and_networks(self, row: Example) -> None:
        one = row.trial()
        assert unfit("ambient", one) is None
        reason = None
        if not isinstance(one.model, AbstractFiltered):
            reason = "the network has no first-layer filters"
        elif row.kind == "pruned":
            reason = "each filter has weights of its own that stay zero"
        if reason:
            assert {unfit(each, one) for each in ("span", "support", "gram")} == {reason}
            return
        is_sparse = row.family != "data" or row.kind in ("feature_noise", "orthonormal")
        assert unfit("span", one) is None
        assert unfit("support", one) == (None if is_sparse else "the data is not sparse")
        assert unfit("gram", one) == (
            "the noise is not Gaussian, so that its inner products have no known law"
            if is_sparse
            else None
        )

    def test_first_weights_of_another_law(self) -> None:
        assert unfit("gram", both(SIGNAL, RELEASED, "gd")) == "the initial weights are not Gaussian"
        assert unfit("gram", both(TEACHER, ORIGIN, "gd")) is None

    def test_networks_without_filters(self) -> None:
        one = both(SPARSE, CNN, "gd").replace(model=Own())
        assert unfit("ambient", one) is None
        for coordinates in ("support", "span", "gram"):
            assert unfit(coordinates, one) == "the network has no first-layer filters"


def parse(
    data: str,
    optimizer: str,
    coordinates: str,
    model: str = "{kind: cnn}",
    l2: str = "0",
    where: str = "",
) -> Any:
    """A grid in some coordinates."""
    text = f"""
name: t
seed: [0, 1]
data: {{kind: {data}, n: [3, 4], d: 30{", sparsity: 5" if data == "feature_noise" else ""}}}
model: {model}
objective: {{kind: logistic, l2: {l2}}}
optimizer: {optimizer}
coordinates: {coordinates}
{where}
"""
    assert yaml.safe_load(text)
    return grid.parse_grid(text)


GD, ADAM = "{kind: gd, lr: 0.1}", "{kind: adam, lr: 0.1}"


class TestGrid:
    """A grid that asks for coordinates."""

    @pytest.mark.parametrize(
        ("asked", "reason"),
        [
            (
                ("feature_noise", ADAM, "span"),
                "span cannot train feature_noise, cnn, adam: the optimizer is not linear",
            ),
            (
                ("signal_noise", f"[{GD}, {ADAM}]", "span"),
                "span cannot train signal_noise, cnn, adam",
            ),
            (
                ("signal_noise", GD, "support"),
                "support cannot train signal_noise, cnn, gd: the data is not sparse",
            ),
            (
                ("feature_noise", GD, "gram"),
                "gram cannot train feature_noise, cnn, gd: the noise is not Gaussian",
            ),
            (
                ("signal_noise", GD, "gram", "{kind: cnn, init: uniform}"),
                "the initial weights are not Gaussian",
            ),
            (("signal_noise", ADAM, "gram"), "the optimizer is not linear"),
            (("feature_noise", ADAM, "support", "{kind: cnn}", "1e-3"), "l2 is not 0"),
            (("feature_noise", ADAM, "support", "{kind: cnn}", "[0, 1e-3]"), "l2 is not 0"),
            (
                ("feature_noise", "{kind: optax.lamb, lr: 0.1}", "support"),
                "by its own gradients alone",
            ),
        ],
    )
    def test_what_cannot_be_trained_is_refused_with_the_reason(
        self, asked: tuple[str, ...], reason: str
    ) -> None:
        with pytest.raises(GridError) as caught:
            parse(*asked)
        (problem,) = caught.value.problems
        assert problem.field == "coordinates" and reason in problem.what

    @pytest.mark.parametrize(
        "asked",
        [
            ("feature_noise", GD, "span", "{kind: cnn}", "1e-3"),
            ("feature_noise", GD, "support", "{kind: cnn}", "1e-3"),
            ("feature_noise", ADAM, "support"),
            ("feature_noise", ADAM, "support", "{kind: cnn}", "[0, 1e-3]", "where: l2 == 0"),
            ("signal_noise", GD, "gram", "{kind: linear}", "1e-3"),
        ],
    )
    def test_what_can_be_trained_says_so_in_a_column(self, asked: tuple[str, ...]) -> None:
        (block,) = parse(*asked).blocks
        assert set(block.columns(next(block.rows()))["coordinates"]) == {asked[2]}

    def test_only_draws_of_their_own_make_ids_of_their_own(self) -> None:
        """Span differs from ambient by rounding, so it repeats a trial; gram is another draw of its problem."""

        def ids(coordinates: str) -> tuple[np.ndarray, np.ndarray]:
            (block,) = parse("signal_noise", GD, coordinates).blocks
            return block.ids(next(block.rows()))

        ambient, span, automatic, gram = map(ids, ("ambient", "span", "auto", "gram"))
        for other, mine in itertools.product((span, automatic), (0, 1)):
            np.testing.assert_array_equal(other[mine], ambient[mine])
        for mine in (0, 1):
            assert not set(gram[mine].tolist()) & set(ambient[mine].tolist())
        assert len(set(gram[1].tolist())) == 4


@quick
def _drawn(source: filters.Source) -> tuple[Any, Any]:
    """What is drawn for the data of a trial, and for its initial weights, in all coordinates."""
    noise, units = gram.gram_vectors(source)
    network = filters.initial_network(source, "ambient")
    bias = jax.tree.leaves(nnx.state(network.head, nnx.Param))
    return (source.training_set(), noise), (network.filters.weights[...], bias, units)


@pytest.mark.thorough
def test_seeds_of_data_and_of_first_weights_are_apart() -> None:
    """Without a seed of their own the initial weights have that of the data."""
    source = both(SIGNAL, RELEASED, "gd").source
    third, eighth, apart = (
        _drawn(source._replace(seed=seed, init_seed=init))
        for seed, init in ((3, 3), (8, 8), (3, 8))
    )
    jax.tree.map(np.testing.assert_array_equal, apart, (third[0], eighth[1]))
    for one, other in zip(jax.tree.leaves(third[1]), jax.tree.leaves(eighth[1]), strict=True):
        assert not np.array_equal(one, other)
    assert not np.array_equal(third[0][1], eighth[0][1])
    assert source._replace(seed=5).weight_seed == 5
