"""Which trials share a program: groups of like sizes are joined where a compilation costs more than their padding."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest
import yaml

from sweep import data, grid, models, trial
from sweep.engine import programs
from sweep.padding import actual_size
from sweep.planning import cost_model, packing, plan
from sweep.planning.packing import Group
from sweep.planning.plan import Host
from sweep.status import Status
from sweep.training import measure, step
from tests.training.test_measure import Own
from tests.training_cases import quick

with mock.patch.dict(data.KINDS), mock.patch.dict(models.KINDS):
    from tests.plugins import own as plugin

DATA = {"kind": "feature_noise", "n": [8, 12], "d": 30, "sparsity": 4, "feature_noise": 0.1}
MODEL = {"kind": "cnn", "width": 2}
OPTIMIZER = {"kind": "gd", "lr": 0.1}
STEPS, MANY = 50, 10**9
"""So few that all that can be joined is, and so many that no padding pays."""


def parse(
    data: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    optimizer: Mapping[str, Any] | None = None,
    steps: int = STEPS,
    **more: Any,
) -> grid.Grid:
    """A grid with other fields of some parts."""
    train = {"steps": steps, **more.pop("train", {})}
    parts = {
        "data": {**DATA, **(data or {})},
        "model": {**MODEL, **(model or {})},
        "optimizer": optimizer or OPTIMIZER,
    }
    return grid.parse_grid(
        yaml.safe_dump({"name": "packed", **parts, "train": train, **more}, sort_keys=False)
    )


def pack(*args: Any, **more: Any) -> list[Group]:
    """The groups of such a grid, which has one block."""
    found = parse(*args, **more)
    (source,) = found.blocks
    return packing.packed_groups(source, found.settings)


def seconds(found: grid.Grid, rows: np.ndarray, **largest: Any) -> float:
    """Estimated seconds of some trials of the only block, with sizes that may be larger than their own."""
    (source,) = found.blocks
    total, measured = (
        0.0,
        found.settings.test_points
        * (1 + found.settings.record_points * found.settings.record_test),
    )
    for row in rows:
        values = {name: each[0] for name, each in source.values(np.array([row])).items()}
        code, statics = source.statics(np.array([row]))
        assert statics[code[0]]["batch_size"] == values["n"], "full batches"
        one = trial.build_trial(
            source.kinds, {**values, **statics[code[0]], "batch_size": None, **largest}
        )
        total += cost_model.estimate(one, float(values["steps"]), measured).seconds
    return total


# When.


@pytest.mark.parametrize("coordinates", ["ambient", "span", "support"])
def test_groups_are_joined_where_a_compilation_costs_more_than_the_waste(
    coordinates: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seeds of n = 8 that are trained as if n were 12: what that costs them more, against one compilation."""
    found = parse(seed={"range": [0, 3]}, steps=10_000, coordinates=coordinates)
    (source,) = found.blocks
    small = np.array(
        [row for row in next(source.rows()) if source.values(np.array([row]))["n"][0] == 8]
    )
    assert len(small) == 3
    useful, padded = seconds(found, small), seconds(found, small, n=12)
    assert padded > useful
    for compile_seconds, count in ((1.01 * (padded - useful), 1), (0.99 * (padded - useful), 2)):
        monkeypatch.setattr(cost_model, "COMPILE", compile_seconds)
        assert len(packing.packed_groups(source, found.settings)) == count


def test_more_trials_waste_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """One program for few trainings, one for each size where there are many."""
    monkeypatch.setattr(cost_model, "COMPILE", 0.05)
    assert [len(pack(seed={"range": [0, count]}, steps=10_000)) for count in (1, 10, 1000)] == [
        1,
        1,
        2,
    ]


@pytest.mark.parametrize("steps", [STEPS, 10**5, 10**6, 10**7, MANY])
def test_no_packing_is_slower_than_none(steps: int) -> None:
    """Seconds of all trials and of a compilation for each group, against a group for each combination of sizes."""
    sizes = {"n": [4, 8, 16], "d": [20, 40]}
    found = parse(
        sizes, {"width": [1, 2, 10]}, {"kind": "adam", "lr": 0.1}, steps=steps, seed=[0, 1]
    )
    groups = packing.packed_groups(found.blocks[0], found.settings)
    apart = seconds(found, next(found.blocks[0].rows())) + 18 * cost_model.COMPILE
    assert sum(group.seconds + cost_model.COMPILE for group in groups) <= apart * (1 + 1e-9)
    assert 1 <= len(groups) <= 18
    if steps in (STEPS, MANY):
        assert len(groups) == (1 if steps == STEPS else 18)


@pytest.mark.parametrize("most", [1, 4, 64])
def test_many_groups_are_joined_with_their_neighbours(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not every pair is looked at, sizes next to each other are joined all the same, up to a single group."""
    monkeypatch.setattr(packing, "MOST_PAIRED", most)
    sizes, optimizer = {"n": {"range": [1, 31]}}, {"kind": "adam", "lr": 0.1}
    (group,) = pack(sizes, optimizer=optimizer)
    assert (group.statics["n"], len(group.rows)) == (30, 30)
    assert len(pack(sizes, {"width": 20}, optimizer, steps=MANY)) == 30


def test_like_sizes_are_joined_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10, 11, 500 and 510 points the two small and the two large ones make a group each."""
    monkeypatch.setattr(cost_model, "COMPILE", 0.5)
    found = pack({"n": [500, 10, 510, 11], "d": 1000}, {"width": 20}, steps=10_000)
    assert sorted(group.statics["n"] for group in found) == [11, 510]
    assert all(group.sizes == ("n",) for group in found)


# What.


def test_a_joined_group_has_the_largest_of_each_size() -> None:
    """Only sizes in which its trials differ are padded; no trial need have all the largest."""
    (one,) = pack({"n": [8, 12], "d": [40, 30]}, zip=[["n", "d"]])
    assert (one.sizes, one.statics["n"], one.statics["d"], one.statics["width"]) == (
        ("n", "d"),
        12,
        40,
        2,
    )
    (every,) = pack({"n": [8, 12], "d": [40, 30], "sparsity": [5, 3]}, {"width": [3, 1]})
    assert every.sizes == ("n", "d", "sparsity", "width")
    assert {name: every.statics[name] for name in every.sizes} == {
        "n": 12,
        "d": 40,
        "sparsity": 5,
        "width": 3,
    }
    (same,) = pack({"n": 8}, seed=[0, 1])
    assert same.sizes == ()


def test_a_group_of_equal_sizes_is_not_padded() -> None:
    for group in pack({"n": [8, 12]}, {"width": [2, 3]}, steps=MANY):
        assert group.sizes == () and group.waste == 0


def test_trials_of_a_joined_group_keep_their_own_sizes() -> None:
    found = parse({"n": [8, 12], "sparsity": [2, 4]}, {"width": [2, 3]})
    (group,) = packing.packed_groups(found.blocks[0], found.settings)
    values = found.blocks[0].values(group.rows)
    made = found.blocks[0].trial(group.rows, group.statics, group.sizes)
    for name, size in (
        ("n", made.data.n),
        ("sparsity", made.data.sparsity),
        ("width", made.model.width),
    ):
        np.testing.assert_array_equal(actual_size(size), values[name])
        assert int(size) == max(values[name]) and actual_size(size).dtype == np.int32
    assert actual_size(made.data.d) == 30


def test_waste_is_the_share_of_work_that_padding_adds() -> None:
    found = parse(seed=[0, 1, 2], steps=1000)
    (group,) = packing.packed_groups(found.blocks[0], found.settings)
    useful, padded = seconds(found, group.rows), seconds(found, group.rows, n=12)
    assert group.seconds == pytest.approx(padded)
    assert group.waste == pytest.approx(1 - useful / padded) and 0 < group.waste < 1


@pytest.mark.parametrize("steps", [STEPS, 10**6, MANY])
@pytest.mark.parametrize("coordinates", ["auto", "ambient"])
def test_every_trial_is_in_one_group(steps: int, coordinates: str) -> None:
    """Whatever `where` leaves out; and none in a group that is too small for it."""
    found = parse(
        {"n": [4, 8, 60], "d": [20, 40], "sparsity": [3, 5, 30], "balanced": [True, False]},
        {"width": [1, 4], "power": [1, 3]},
        steps=steps,
        seed=[0, 1],
        where="sparsity < d and n + d < 90",
        coordinates=coordinates,
    )
    (source,) = found.blocks
    groups = packing.packed_groups(source, found.settings)
    rows = np.concatenate([group.rows for group in groups])
    np.testing.assert_array_equal(np.sort(rows), np.concatenate(list(source.rows())))
    assert len(rows) == found.size
    for group in groups:
        values = source.values(group.rows)
        for name in ("n", "d", "sparsity", "width"):
            assert values[name].max() == group.statics[name]
            assert (name in group.sizes) == (len(set(values[name])) > 1)
        for name in ("balanced", "power"):
            assert set(values[name]) == {group.statics[name]}
        assert set(source.columns(group.rows)["coordinates"]) == {group.statics["coordinates"]}


def test_a_block_without_trials_has_no_groups() -> None:
    """A point that a union has only once: the other member may keep nothing of it."""
    text = {
        "name": "packed",
        "data": [{**DATA, "n": 8}, {**DATA, "n": 12}],
        "model": MODEL,
        "optimizer": OPTIMIZER,
    }
    found = grid.parse_grid(yaml.safe_dump({**text, "where": "n < 10"}))
    assert [
        len(packing.packed_groups(source, found.settings)) for source in found.blocks if source.size
    ] == [1]


# What is never padded.


def test_other_static_fields_are_never_joined() -> None:
    assert (
        len(pack({"balanced": [True, False]}, {"power": [1, 3], "readout": ["sum", "mean"]})) == 8
    )
    assert len(pack({"n": [8, 12, 50, 60]})) == 2, "n <= d trains in the span, n > d does not"


def test_points_are_never_padded_with_mini_batches() -> None:
    """A permutation of n points and the steps of an epoch have no padded twin; widths have."""
    found = pack({"n": [8, 12]}, {"width": [2, 3]}, train={"batch_size": 4})
    assert [(group.statics["n"], group.sizes) for group in found] == [
        (8, ("width",)),
        (12, ("width",)),
    ]
    assert {group.statics["batch_size"] for group in found} == {4}


def test_a_batch_of_all_points_is_a_full_one() -> None:
    """Batches of 8 and 12 of as many points are no other programs than full ones, and are joined like them."""
    for size in ("full", "=n"):
        (group,) = pack({"n": [8, 12]}, train={"batch_size": size})
        assert (group.sizes, group.statics["batch_size"]) == (("n",), None)
    some = pack({"n": [8, 12, 16]}, train={"batch_size": 8})
    assert sorted(
        (group.statics["n"], group.statics["batch_size"] or 0, group.sizes) for group in some
    ) == [
        (8, 0, ()),
        (12, 8, ()),
        (16, 8, ()),
    ]


@pytest.fixture
def tanh_layers() -> Iterator[None]:
    """The plugin's network without filters."""
    with mock.patch.dict(models.KINDS, {"tanh_layers": plugin.TanhLayers}):
        yield


@pytest.mark.usefixtures("tanh_layers")
def test_the_dimension_is_never_padded_without_filters() -> None:
    """Weights of a network of one's own are drawn for its shape, so that a wider one is another one."""
    text = {
        "name": "packed",
        "data": {**DATA, "n": 8, "d": [20, 30]},
        "model": {"kind": "tanh_layers"},
        "optimizer": OPTIMIZER,
    }
    found = grid.parse_grid(yaml.safe_dump({**text, "train": {"steps": STEPS}}))
    groups = packing.packed_groups(found.blocks[0], found.settings)
    assert sorted(group.statics["d"] for group in groups) == [20, 30]
    assert not any("d" in group.sizes for group in groups)


@pytest.mark.parametrize(
    ("optimizer", "count"),
    [
        ({"kind": "adam", "lr": 0.1}, 1),
        ({"kind": "adam", "lr": 0.1, "eps": 0.0}, 2),
        ({"kind": "adam", "lr": 0.1, "eps": [1e-8, 0.0]}, 2),
        ({"kind": "adamw", "lr": 0.1, "eps": 0.0}, 2),
        ({"kind": "rmsprop", "lr": 0.1, "eps": 0.0}, 2),
        ({"kind": "lion", "lr": 0.1}, 1),
        ({"kind": "sign_sgd", "lr": 0.1}, 1),
        ({"kind": "optax.lamb", "lr": 0.1}, 2),
    ],
    ids=lambda each: "-".join(map(str, each.values())) if isinstance(each, dict) else str(each),
)
def test_nothing_is_padded_where_zeros_would_move(optimizer: dict[str, Any], count: int) -> None:
    """0 / 0 of Adam with eps = 0, and norms over layers, which see how large an array is."""
    assert len(pack(optimizer=optimizer)) == count


# The same for everyone.


@pytest.mark.parametrize("steps", [STEPS, 10**6, MANY])
def test_the_packing_is_the_same_whatever_the_share_and_what_is_done(steps: int) -> None:
    """Sizes are part of the bits of a result: workers and resumes must agree on them."""
    found = parse(
        {"n": [8, 12], "d": [20, 30, 40]}, {"width": [2, 9]}, steps=steps, seed={"range": [0, 6]}
    )
    host = Host("cpu", 2)

    def packed(made: plan.Plan) -> dict[str, tuple[Any, ...]]:
        return {
            each.id: (sorted(each.statics.items()), each.sizes, each.waste, each.block)
            for each in made.buckets
        }

    whole = plan.make_plan(found, host)
    everything = np.sort(np.concatenate([each.source.ids(each.rows)[0] for each in whole.buckets]))
    rng = np.random.default_rng(0)
    for index, count in itertools.chain.from_iterable([(i, n) for i in range(n)] for n in (2, 5)):
        done = np.sort(rng.choice(everything, 30, replace=False))
        share = plan.make_plan(found, host, shard=(index, count), done=done)
        assert packed(share).items() <= packed(whole).items()
        assert share.left < share.planned
    assert packed(plan.make_plan(found, host, done=everything)) == packed(whole)
    assert packed(plan.make_plan(found, Host("cpu", 7))) == packed(whole)


# A padded training is the training.


@functools.partial(quick, static_argnames="points")
def train(one: trial.Trial, points: int) -> measure.Measurement:
    """All steps of a trial, measured at the end."""
    lane = programs.begin_lanes(one)
    update = functools.partial(step.advance, one, lane.inputs)
    state = jax.lax.while_loop(lambda state: state.status == Status.RUNNING, update, lane.states)
    return measure.measure(one, lane.inputs, state, points)


@pytest.mark.slow
@pytest.mark.parametrize("between", ["norm"])
def test_a_padded_training_of_a_network_of_ones_own_is_the_training(between: str) -> None:
    """Averages over a batch see the points that are padded: where a network takes them, n has to be its own."""
    with mock.patch.dict(models.KINDS, {"own": Own}):
        text = {
            "name": "packed",
            "data": {**DATA, "n": [5, 8]},
            "model": {"kind": "own", "between": between},
        }
        found = grid.parse_grid(
            yaml.safe_dump({**text, "optimizer": OPTIMIZER, "train": {"steps": 12}})
        )
        for group in packing.packed_groups(found.blocks[0], found.settings):
            joined = found.blocks[0].trial(group.rows, group.statics, group.sizes)
            for place, row in enumerate(group.rows):
                values = {
                    name: each.tolist()[0]
                    for name, each in found.blocks[0].values(np.array([row])).items()
                }
                alone = train(
                    trial.build_trial(found.blocks[0].kinds, {**values, "batch_size": None}), 40
                )
                told = train(programs.take_trials(joined, np.array(place)), 40)
                for name, value in alone.observables.items():
                    assert float(told.observables[name]) == pytest.approx(float(value), rel=1e-4), (
                        name
                    )
