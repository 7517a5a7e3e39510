"""Good grids: what their blocks contain, against a listing of all points, and what ids promise."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep import grid, spec, trial
from sweep.errors import GridError
from sweep.grid.product.space import Selection, Space
from sweep.models.base import AbstractModel
from sweep.optimizers.base import AbstractOptimizer
from sweep.spec import Scalar, lane, nested, part, static
from tests import ROOT

EXAMPLE = """
name: adam-vs-gd
description: the example of the design
seed: {range: [0, 16]}
data:      {kind: feature_noise, n: 200, d: 1000, sparsity: 100, noise: {log: [0.02, 0.5, 12]}, feature_noise: 0.2}
model:     {kind: cnn, width: 20, power: 3, init_scale: 0.01}
objective: {kind: logistic, l2: 1.0e-5}
optimizer:
  - {kind: gd, lr: 0.02}
  - {kind: adam, lr: 5e-5}
train:     {steps: 1e4, batch_size: full}
where: "sparsity <= d"
coordinates: auto
record: {points: 16}
test_points: 500
"""

BASE = {
    "name": "t",
    "data": {"kind": "feature_noise"},
    "model": {"kind": "cnn"},
    "optimizer": {"kind": "gd", "lr": 0.1},
}


def grid_of(**changes: object) -> grid.Grid:
    return grid.parse_grid(yaml.safe_dump({**BASE, **changes}, sort_keys=False))


def listing(found: grid.Grid) -> list[dict[str, object]]:
    """All rows of a grid, as a list of values by field name with kinds and ids."""
    rows = []
    for block in found.blocks:
        for chunk in block.rows(7):
            values, (trials, problems) = block.values(chunk), block.ids(chunk)
            for at in range(len(chunk)):
                row = {name: column[at] for name, column in values.items()}
                rows.append(
                    {**block.kinds, **row, "trial": int(trials[at]), "problem": int(problems[at])}
                )
    return rows


def trials(found: grid.Grid) -> list[int]:
    return [row["trial"] for row in listing(found)]


def test_the_example():
    found = grid.parse_grid(EXAMPLE)
    assert (found.name, found.size, len(found.blocks)) == ("adam-vs-gd", 2 * 12 * 16, 2)
    assert found.settings == grid.Settings("auto", 16, True, 500)
    gd, adam = found.blocks
    assert adam.kinds == {
        "data": "feature_noise",
        "model": "cnn",
        "objective": "logistic",
        "optimizer": "adam",
        "schedule": "constant",
        "curriculum": "everything",
    }
    rows = next(adam.rows())
    values = adam.values(rows)
    assert {values[name].dtype.kind for name in ("n", "seed", "steps", "batch_size")} == {"i"}
    assert "target_loss" not in values
    np.testing.assert_array_equal(values["seed"], np.tile(np.arange(16), 12))
    np.testing.assert_allclose(values["noise"][::16], np.geomspace(0.02, 0.5, 12), rtol=1e-11)
    np.testing.assert_allclose(values["snr"], 1 / (values["noise"] * 10), rtol=1e-11)
    assert set(values["batch_size"]) == {200}
    np.testing.assert_array_equal(adam.ids(rows)[1], gd.ids(rows)[1])
    assert len({*trials(found)}) == found.size


def test_columns_carry_kinds_and_column_names():
    found = grid.parse_grid(EXAMPLE)
    names = list(found.columns)
    assert names[:4] == ["seed", "n", "d", "sparsity"]
    assert names.index("width") < names.index("l2") < names.index("lr") < names.index("max_steps")
    assert found.columns["schedule"] is str
    assert found.columns["target_loss"] is float
    assert not {"data", "steps", "trial"} & set(names)
    columns = found.blocks[0].columns(np.array([0, 1]))
    assert set(columns) - {"data", "model", "objective", "optimizer", "coordinates"} <= set(names)
    assert list(columns["optimizer"]) == ["gd", "gd"]
    assert list(columns["max_steps"]) == [10_000, 10_000]
    assert [list(block.columns(np.array([0, 1]))["coordinates"]) for block in found.blocks] == [
        ["span", "span"],
        ["ambient", "ambient"],
    ]


def test_every_kind_makes_a_grid_and_a_trial():
    for optimizer, cls in trial.FAMILIES["optimizer"].items():
        assert cls is not None
        for data, model in itertools.product(trial.FAMILIES["data"], trial.FAMILIES["model"]):
            rule = {"kind": "gd", "lr": 1}
            rule = (
                {"kind": optimizer, "inner": rule}
                if spec.fields(cls).get("inner")
                else {**rule, "kind": optimizer}
            )
            inner = {"inner": "cnn"} if model == "pruned" else {}
            block = grid_of(
                data=data, model={"kind": model, **inner}, optimizer=rule, test_points=0
            ).blocks[0]
            values = {
                name: column[0].item()
                for name, column in block.values(np.array([0])).items()
                if column.dtype != object
            }
            assert trial.build_trial(block.kinds, values).seed == 0


# Values.

FORMS = [
    ({"noise": {"log": [0.01, 1, 3]}}, "noise", [0.01, 0.1, 1.0]),
    ({"noise": {"lin": [0, 1, 5]}}, "noise", [0, 0.25, 0.5, 0.75, 1.0]),
    ({"noise": {"range": [0, 0.3, 0.1]}}, "noise", [0.0, 0.1, 0.2]),
    ({"noise": {"range": [1, 1.3, 0.1]}}, "noise", [1.0, 1.1, 1.2]),
    ({"noise": {"range": [0, 3]}}, "noise", [0.0, 1.0, 2.0]),
    ({"noise": {"range": [1, 0, -0.5]}}, "noise", [1.0, 0.5]),
    ({"n": {"range": [10, 31, 10]}}, "n", [10, 20, 30]),
    ({"n": {"log": [10, 1000, 3]}}, "n", [10, 100, 1000]),
    ({"n": {"log": [10, 100, 3]}}, "n", [10, 32, 100]),
    ({"n": 1e3}, "n", [1000]),
    ({"n": [10, 2e2]}, "n", [10, 200]),
    ({"noise": 1}, "noise", [1.0]),
    ({"sparsity": "=round(d / 3)"}, "sparsity", [333]),
    ({"noise": "=1/3"}, "noise", [0.333333333333]),
    ({"balanced": [True, False]}, "balanced", [True, False]),
    ({"balanced": "=n > 3"}, "balanced", [True]),
    ({"snr": [1, 2]}, "noise", [0.1, 0.05]),
    ({"snr": [1, 2]}, "snr", [1.0, 2.0]),
    ({"noise": 0}, "snr", [math.inf]),
    ({"snr": "=n / 100"}, "noise", [0.05]),
]


@pytest.mark.parametrize(("fields", "name", "expected"), FORMS, ids=[f"{f}" for f, _, _ in FORMS])
def test_forms_of_values(fields, name, expected):
    found = [row[name] for row in listing(grid_of(data={"kind": "feature_noise", **fields}))]
    assert found == expected
    assert {type(value.item()) for value in found} == {
        type(value) for value in expected
    } or name == "noise"


def test_epochs_and_steps_are_both_columns():
    given = grid_of(train={"epochs": [1, 2.5], "batch_size": [60, "full"]})
    found = [(row["epochs"], row["batch_size"], row["steps"]) for row in listing(given)]
    assert found == [(1, 60, 4), (1, 200, 1), (2.5, 60, 10), (2.5, 200, 2)]
    assert [row["epochs"] for row in listing(grid_of(train={"steps": 8, "batch_size": 50}))] == [
        2.0
    ]


def test_null_leaves_an_optional_field_out():
    train = [{"target_loss": None}, {"target_loss": [0.1, 0.2]}]
    without, with_it = grid_of(train=train).blocks
    assert "target_loss" not in without.values(np.array([0]))
    assert list(with_it.values(np.array([0, 1]))["target_loss"]) == [0.1, 0.2]
    assert "target_loss" in grid_of(train=train).columns


def test_nested_unions_multiply():
    schedule = [
        "constant",
        {"kind": "power", "exponent": [0.5, 1]},
        {"kind": "cosine", "decay_steps": "=steps"},
    ]
    found = grid_of(optimizer={"kind": "gd", "lr": [0.1, 0.2], "schedule": schedule})
    assert [(block.kinds["schedule"], block.size) for block in found.blocks] == [
        ("constant", 2),
        ("power", 4),
        ("cosine", 2),
    ]
    assert set(found.blocks[2].values(np.array([0, 1]))["decay_steps"]) == {10_000}
    assert {"exponent", "decay_steps", "schedule"} <= set(found.columns)
    assert len({*trials(found)}) == found.size == 8


def test_axes_lie_in_the_order_of_the_file():
    optimizer = {"kind": "gd", "schedule": {"kind": "power", "exponent": [0, 1]}, "lr": [1, 2]}
    found = grid_of(
        seed=[5, 6],
        optimizer=optimizer,
        data={"kind": "feature_noise", "d": [500, 600], "n": [7, 8]},
    )
    rows = [
        tuple(row[name] for name in ("d", "n", "exponent", "lr", "seed")) for row in listing(found)
    ]
    assert rows == list(itertools.product([500, 600], [7, 8], [0, 1], [1, 2], [5, 6]))


def test_zip_varies_fields_together():
    found = grid_of(
        seed=[0, 1, 2],
        data={
            "kind": "feature_noise",
            "n": [10, 20, 10],
            "d": [500, 500, 600],
            "noise": [0.1, 0.2],
        },
        model={"kind": "cnn", "width": [2, 4]},
        zip=[["n", "d", "seed"], ["width", "noise"]],
    )
    rows = [(row["n"], row["d"], row["seed"], row["noise"], row["width"]) for row in listing(found)]
    assert rows == [
        (*a, *b) for a in [(10, 500, 0), (20, 500, 1), (10, 600, 2)] for b in [(0.1, 2), (0.2, 4)]
    ]


def test_conditions_on_kinds_decide_where_a_field_is_asked():
    found = grid_of(
        model=[{"kind": "cnn", "width": [2, 4, 8]}, {"kind": "linear"}],
        where=["model == 'linear' or width > 2", "not (model == 'linear' and seed > 0)"],
        seed=[0, 1],
    )
    assert [block.size for block in found.blocks] == [4, 1]


def test_a_block_that_keeps_nothing_is_left_out():
    optimizer = [{"kind": "gd", "lr": 1}, {"kind": "adam", "lr": 1}]
    assert [
        block.kinds["optimizer"]
        for block in grid_of(optimizer=optimizer, where="optimizer == 'adam'").blocks
    ] == ["adam"]


def test_what_kinds_drop_need_not_have_the_fields():
    models = [{"kind": "cnn", "width": [2, 4]}, {"kind": "linear"}]
    found = grid_of(
        model=models, optimizer={"kind": "gd", "lr": "=1 / width"}, where="model != 'linear'"
    )
    assert [row["lr"] for row in listing(found)] == [0.5, 0.25]
    found = grid_of(model=models, where="model == 'linear' or width < 4")
    assert [block.size for block in found.blocks] == [1, 1]


def test_what_where_drops_need_not_be_valid():
    found = grid_of(
        data={"kind": "feature_noise", "n": [5, 6, 7], "noise": "=1 / (n - 5)"}, where="n != 5"
    )
    assert [row["noise"] for row in listing(found)] == [1.0, 0.5]
    found = grid_of(
        data={"kind": "feature_noise", "sparsity": [50, 500], "d": [100, 1000]},
        where="sparsity < d",
    )
    assert found.size == 3


def test_statics_number_what_occurs():
    data = {
        "kind": "feature_noise",
        "n": [10, 20],
        "d": [500, 600],
        "noise": [0.1, 0.2],
        "sparsity": "=d / 100",
    }
    block = grid_of(
        data=data, where="n < 20 or d > 500", train={"batch_size": "=n / 2"}, seed=[0, 1]
    ).blocks[0]
    rows = next(block.rows())
    codes, combinations = block.statics(rows)
    assert codes.dtype == np.int64
    assert set(codes) == set(range(len(combinations))) == {0, 1, 2}
    values = block.values(rows)
    for row, code in enumerate(codes):
        fields = {name: each for name, each in combinations[code].items() if name != "coordinates"}
        assert fields == {name: values[name][row] for name in fields}
    assert {each["coordinates"] for each in combinations} == {"span"}
    assert {type(value) for value in combinations[0].values()} == {int, bool, str}
    assert "noise" not in combinations[0]
    assert "batch_size" in combinations[0]


@pytest.mark.parametrize(
    ("optimizer", "fewer"),
    [
        ("gd", "span"),
        ("momentum", "span"),
        ("nesterov", "span"),
        ("sign_sgd", "ambient"),
        ("adam", "ambient"),
    ],
)
@pytest.mark.parametrize("data", ["signal_noise", "feature_noise", "separable"])
def test_coordinates_are_those_of_the_span_where_it_is_smaller(
    data: str, optimizer: str, fewer: str
):
    """One noise vector a point: n of them span at most n dimensions, which is less than d for n <= d only."""
    sizes = {
        "kind": data,
        "n": [5, 6, 7],
        "d": 6,
        **({"sparsity": 2} if data == "feature_noise" else {}),
    }
    block = grid_of(data=sizes, optimizer={"kind": optimizer, "lr": 0.1}).blocks[0]
    rows = next(block.rows())
    found = zip(block.values(rows)["n"], block.columns(rows)["coordinates"], strict=True)
    assert dict(found) == {5: fewer, 6: fewer, 7: "ambient"}
    asked = grid_of(
        data=sizes, optimizer={"kind": optimizer, "lr": 0.1}, coordinates="ambient"
    ).blocks[0]
    assert set(asked.columns(rows)["coordinates"]) == {"ambient"}


def test_coordinates_are_no_part_of_a_trial_unless_its_draws_are_others():
    """`gram` draws inner products from their law: another trial of another problem. All others only compute."""
    data = {"kind": "signal_noise", "n": 6, "d": [12, 24]}
    rows = np.arange(2)
    ids = {
        each: grid_of(data=data, coordinates=each).blocks[0].ids(rows)
        for each in ("auto", "ambient", "span", "gram")
    }
    for each in ("ambient", "span"):
        np.testing.assert_array_equal(ids[each], ids["auto"])
    assert not set(np.ravel(ids["gram"])) & set(np.ravel(ids["auto"]))
    assert len(set(np.ravel(ids["gram"]))) == 4


# Against a listing.

LISTS = {
    "n": st.lists(st.sampled_from([5, 10, 20, 200]), min_size=1, max_size=3, unique=True),
    "d": st.lists(st.sampled_from([200, 500, 1000]), min_size=1, max_size=3, unique=True),
    "sparsity": st.lists(st.sampled_from([10, 50, 100]), min_size=1, max_size=2, unique=True),
    "feature_noise": st.lists(
        st.sampled_from([0.0, 0.1, 0.2]), min_size=1, max_size=3, unique=True
    ),
    "balanced": st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
}
WHERES = {
    "n < 100": lambda v: v["n"] < 100,
    "sparsity * 4 < d and n > 5": lambda v: v["sparsity"] * 4 < v["d"] and v["n"] > 5,
    "n * feature_noise <= 2 or seed == 1": lambda v: (
        v["n"] * v["feature_noise"] <= 2 or v["seed"] == 1
    ),
    "balanced and optimizer == 'adam'": lambda v: v["balanced"] and v["optimizer"] == "adam",
    "width > n / 5 or lr > 0.5": lambda v: v["width"] > v["n"] / 5 or v["lr"] > 0.5,
}
DATA = st.dictionaries(st.sampled_from(list(LISTS)), st.none(), max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: LISTS[name] for name in names})
)
SWEEPS = st.fixed_dictionaries(
    {
        "data": DATA,
        "width": st.lists(st.sampled_from([1, 4, 20]), min_size=1, max_size=3, unique=True),
        "lr": st.lists(st.sampled_from([0.1, 1.0]), min_size=1, max_size=2, unique=True),
        "seed": st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True),
        "where": st.lists(st.sampled_from(list(WHERES)), max_size=3, unique=True),
        "zipped": st.booleans(),
    }
)


def written(sweep: dict[str, object]) -> dict[str, object]:
    return {
        **BASE,
        "data": {"kind": "feature_noise", **sweep["data"]},
        "model": {"kind": "cnn", "width": sweep["width"]},
        "optimizer": [{"kind": "gd", "lr": sweep["lr"]}, {"kind": "adam", "lr": sweep["lr"]}],
        "seed": sweep["seed"],
        "where": sweep["where"],
    }


def listed(sweep: dict[str, object], pair: tuple[str, ...] = ()) -> list[dict[str, object]]:
    """The points of a sweep, by nested loops."""
    axes = {**sweep["data"], "width": sweep["width"], "lr": sweep["lr"], "seed": sweep["seed"]}
    points = []
    for optimizer in ("gd", "adam"):
        for places in itertools.product(*[range(len(values)) for values in axes.values()]):
            place = dict(zip(axes, places, strict=True))
            if pair and place[pair[0]] != place[pair[1]]:
                continue
            point = {
                "n": 200,
                "d": 1000,
                "sparsity": 100,
                "feature_noise": 0.2,
                "balanced": True,
                "optimizer": optimizer,
            }
            point |= {name: axes[name][at] for name, at in place.items()}
            if all(WHERES[where](point) for where in sweep["where"]):
                points.append(point)
    return points


@settings(max_examples=60, deadline=None)
@given(SWEEPS)
def test_points_are_those_of_nested_loops(sweep):
    pair = (
        ("n", "width")
        if sweep["zipped"] and len(sweep["data"].get("n", [])) == len(sweep["width"]) > 1
        else ()
    )
    expected = listed(sweep, pair)
    text = yaml.safe_dump({**written(sweep), "zip": list(pair)}, sort_keys=False)
    if not expected:
        with pytest.raises(GridError, match="keeps no point"):
            grid.parse_grid(text)
        return
    found = grid.parse_grid(text)
    rows = listing(found)
    key = sorted if pair else list
    assert found.size == len(expected) == len(rows) == sum(block.size for block in found.blocks)
    names = list(expected[0])
    assert key(tuple(row[name] for name in names) for row in rows) == key(
        tuple(point[name] for name in names) for point in expected
    )
    assert len({row["trial"] for row in rows}) == len(rows)
    for row in rows:
        assert (row["trial"], row["problem"]) == ids_by_hand(row)


def ids_by_hand(row: dict[str, object]) -> tuple[int, int]:
    """Ids as the design defines them, one field at a time."""
    total, problem = 0, 0
    kinds = {family: row[family] for family in ("data", "model", "objective", "optimizer")}
    for family, kind in kinds.items():
        total += term(family, kind)
        problem += term(family, kind) if family != "optimizer" else 0
    for family in trial.PARTS:
        for name, field in spec.fields(trial.find_kind(family, kinds.get(family, family))).items():
            usual = row["n"] if name == "batch_size" else field.default
            if field.role != "nested" and name in row and row[name] != usual:
                total += term(name, row[name])
                problem += term(name, row[name]) if family not in ("optimizer", "train") else 0
    seed = term("seed", row["seed"]) if row["seed"] else 0
    return signed(total + seed), signed(problem + seed)


def term(name: str, value: object) -> int:
    value = value.item() if isinstance(value, np.generic) else value
    text = (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:.12g}"
        if isinstance(value, float)
        else str(value)
    )
    return int.from_bytes(hashlib.blake2b(f"{name}={text}".encode()).digest()[:8], "little")


def signed(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


# What ids promise.


@settings(max_examples=25, deadline=None)
@given(SWEEPS, st.randoms(use_true_random=False))
def test_order_in_the_file_does_not_matter(sweep, random):
    plain = {**sweep, "where": []}

    def shuffled(tree: object) -> object:
        if isinstance(tree, dict):
            items = [(key, shuffled(value)) for key, value in tree.items()]
            random.shuffle(items)
            return dict(items)
        return (
            random.sample([shuffled(each) for each in tree], len(tree))
            if isinstance(tree, list)
            else tree
        )

    once, again = written(plain), shuffled(written(plain))
    assert sorted(trials(grid_of(**once))) == sorted(trials(grid_of(**again)))


@settings(max_examples=25, deadline=None)
@given(SWEEPS)
def test_extending_an_axis_keeps_old_ids(sweep):
    plain = {**sweep, "where": []}
    wider = {**plain, "seed": [*sweep["seed"], 7], "lr": [*sweep["lr"], 2.0]}
    assert set(trials(grid_of(**written(plain)))) <= set(trials(grid_of(**written(wider))))


def test_a_written_default_changes_nothing():
    plain = listing(grid_of())
    full = grid_of(
        seed=0,
        data={
            "kind": "feature_noise",
            "n": 200.0,
            "noise": 0.1,
            "feature_noise": 0.2,
            "balanced": True,
        },
        model={"kind": "cnn", "width": 20, "readout": "sum"},
        objective={"kind": "logistic", "l2": 0},
        optimizer={"kind": "gd", "lr": 1e-1, "schedule": {"kind": "constant"}},
        train={"steps": 1e4, "batch_size": 200, "target_loss": None},
    )
    assert [row["trial"] for row in plain] == trials(full)
    assert trials(grid_of(optimizer={"kind": "gd", "lr": 0.1, "schedule": "constant"})) == trials(
        full
    )
    assert trials(grid_of(train={"epochs": 10_000})) == trials(full)
    assert trials(grid_of(data={"kind": "feature_noise", "snr": 1})) == trials(full)
    assert trials(grid_of(data={"kind": "feature_noise", "noise": 0.1 + 1e-17})) == trials(full)
    assert trials(grid_of(train={"batch_size": 100})) != trials(full)


def test_problem_pairs_what_shares_data_and_first_weights():
    optimizer = [
        {"kind": "gd", "lr": [0.1, 0.2]},
        {"kind": "adam", "lr": 0.1, "schedule": {"kind": "power", "exponent": [0.5, 1]}},
    ]
    rows = listing(
        grid_of(optimizer=optimizer, train=[{"steps": 5}, {"batch_size": 10}], seed=[0, 1])
    )
    by_seed = {seed: {row["problem"] for row in rows if row["seed"] == seed} for seed in (0, 1)}
    assert len(rows) == 16
    assert all(len(problems) == 1 for problems in by_seed.values())
    assert by_seed[0] != by_seed[1]


def test_ids_are_pinned():
    """Ids of stored results never change; a change here needs a new version of the schema."""
    assert listing(grid_of())[0]["trial"] == PINNED


PINNED = signed(
    term("data", "feature_noise")
    + term("model", "cnn")
    + term("objective", "logistic")
    + term("optimizer", "gd")
    + term("lr", 0.1)
)


# Products that are never listed.


def test_ten_million_points_in_a_second_and_little_memory():
    text = yaml.safe_dump(
        {
            **BASE,
            "seed": {"range": [0, 100]},
            "data": {
                "kind": "feature_noise",
                "n": {"range": [10, 60]},
                "d": [1000, 2000],
                "snr": {"log": [0.1, 10, 100]},
            }
            | {"sparsity": "=round(sqrt(d) * 2)"},
            "model": {"kind": "cnn", "width": {"range": [10, 60, 5]}},
            "where": "n + width < 100 and n * snr < 500",
        },
        sort_keys=False,
    )
    tracemalloc.start()
    start = time.perf_counter()
    found = grid.parse_grid(text)
    took = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.blocks[0].points == 10_000_000
    assert 9_000_000 < found.size < 10_000_000
    assert took < 1
    assert peak < 20e6
    first = next(found.blocks[0].rows(1000))
    assert len(np.unique(found.blocks[0].ids(first)[0])) == 1000


def test_far_more_points_than_memory():
    lin = {"lin": [0.1, 1, 1000]}
    found = grid_of(
        seed={"range": [0, 100_000]},
        data={"kind": "feature_noise", "noise": lin, "feature_noise": lin},
        model={"kind": "cnn", "init_scale": lin},
        where=["noise < 0.1005 and seed % 50000 == 1", "init_scale > 0.9995"],
    )
    assert found.blocks[0].points == 10**14
    assert found.size == 1000 * 2
    rows = np.concatenate(list(found.blocks[0].rows(700)))
    assert len(rows) == 2000
    assert (np.diff(rows) > 0).all()
    values = found.blocks[0].values(rows)
    assert set(values["seed"]) == {1, 50_001}
    assert set(values["noise"]) == {0.1}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_kept_rows_are_those_of_a_full_mask(data):
    sizes = tuple(data.draw(st.lists(st.integers(2, 4), min_size=0, max_size=5)))
    space = Space(sizes)
    full, masks = np.ones(sizes, bool), []
    for _ in range(data.draw(st.integers(0, 3))):
        axes = (
            tuple(sorted(data.draw(st.sets(st.integers(0, len(sizes) - 1), max_size=3))))
            if sizes
            else ()
        )
        shape = space.shape(axes)
        bits = data.draw(
            st.lists(st.booleans(), min_size=math.prod(shape), max_size=math.prod(shape))
        )
        masks.append((axes, np.array(bits, bool).reshape(shape)))
        full &= space.spread(masks[-1][1].ravel(), axes, tuple(range(len(sizes))))
    kept = Selection(space, masks)
    chunk = data.draw(st.sampled_from([1, 3, 1000]))
    rows = [row for part in kept.rows(chunk) for row in part.tolist()]
    assert rows == np.flatnonzero(full).tolist()
    assert kept.count == len(rows)
    some = tuple(sorted(data.draw(st.sets(st.integers(0, len(sizes) - 1))))) if sizes else ()
    away = tuple(axis for axis in range(len(sizes)) if axis not in some)
    np.testing.assert_array_equal(kept.project(some), full.any(axis=away))


# Plugins, editors, files.


@part
class Toy(AbstractModel):
    """A model of a plugin, with a nested part and names that pydantic has methods of."""

    depth: int = static(at_least=1, doc="layers")
    copy: Scalar = lane(1.0, doc="a name that pydantic uses")
    model_config: Scalar = lane(0.0, doc="another one")

    def head(self, patches, d, rngs):
        raise NotImplementedError


@part
class Paced(Toy):
    """A model of a plugin that takes a family which optimizers take too."""

    pace: object = nested(
        "schedule", trial.FAMILIES["schedule"]["power"](exponent=0.25), doc="a schedule"
    )


@part
class Scheduled(Toy):
    """A model of a plugin whose part has the name of that of optimizers."""

    schedule: object = nested("schedule", trial.FAMILIES["schedule"]["constant"](), doc="a pace")


@part
class Decaying(AbstractOptimizer):
    """An optimizer whose default schedule is not the schedule's own default."""

    lr: Scalar = lane(above=0, doc="step size")
    schedule: object = nested(
        "schedule", trial.FAMILIES["schedule"]["power"](exponent=0.25), doc="a schedule"
    )

    def transform(self):
        raise NotImplementedError


def test_kinds_of_plugins(monkeypatch):
    monkeypatch.setitem(trial.FAMILIES["model"], "toy", Toy)
    optax = {"kind": "optax.nadam", "lr": [0.1, 0.2], "b1": 0.8}
    found = grid_of(model={"kind": "toy", "depth": [3, 4], "copy": 2}, optimizer=optax)
    assert [(row["depth"], row["copy"]) for row in listing(found)] == [(3, 2.0)] * 2 + [
        (4, 2.0)
    ] * 2
    assert "toy" in json.dumps(grid.json_schema())
    monkeypatch.setitem(trial.FAMILIES["model"], "paced", Paced)
    (row,) = listing(grid_of(model={"kind": "paced", "depth": 3}))
    assert (row["pace"], row["exponent"], row["schedule"]) == ("power", 0.25, "constant")
    power = {"kind": "gd", "lr": 1, "schedule": "power"}
    with pytest.raises(GridError, match="the name exponent is taken"):
        grid_of(model={"kind": "paced", "depth": 3}, optimizer=power)
    monkeypatch.setitem(trial.FAMILIES["model"], "scheduled", Scheduled)
    with pytest.raises(GridError, match="a second schedule"):
        grid_of(model={"kind": "scheduled", "depth": 3})
    assert [row["b1"] for row in listing(grid_of(optimizer=optax))] == [0.8, 0.8]


def test_a_default_part_with_numbers_of_its_own(monkeypatch):
    monkeypatch.setitem(trial.FAMILIES["optimizer"], "decaying", Decaying)
    plain = grid_of(optimizer={"kind": "decaying", "lr": 1})
    row = listing(plain)[0]
    assert (row["schedule"], row["exponent"], row["shift"]) == ("power", 0.25, 1.0)
    power = {"kind": "power", "exponent": 0.25}
    assert trials(grid_of(optimizer={"kind": "decaying", "lr": 1, "schedule": power})) == trials(
        plain
    )
    assert trials(grid_of(optimizer={"kind": "decaying", "lr": 1, "schedule": "power"})) != trials(
        plain
    )


def test_the_schema_describes_the_parts():
    schema = grid.json_schema()
    assert {"name", "data", "model", "optimizer"} == set(schema["required"])
    text = json.dumps(schema)
    for family in trial.FAMILIES.values():
        for kind, cls in family.items():
            assert all(json.dumps(field.doc) in text for field in spec.fields(cls).values()), kind
    noise = schema["$defs"]["data_feature_noise"]["properties"]["noise"]
    assert {"type": "number", "minimum": 0} in noise["anyOf"]
    assert noise["default"] == 0.1


def test_the_model_of_files_takes_what_is_written():
    model = grid.file_model()
    assert model.model_validate(
        yaml.safe_load(EXAMPLE.replace("1e4", "10000").replace("5e-5", "0.00005"))
    )
    schedule = [{"kind": "power", "exponent": {"lin": [0, 1, 2]}}, "constant"]
    model.model_validate(
        {
            **BASE,
            "optimizer": {"kind": "optax.nadam", "lr": 1},
            "where": ["n > 1"],
            "zip": [["n", "d"]],
        }
    )
    model.model_validate(
        {
            **BASE,
            "optimizer": {"kind": "gd", "lr": "=1/n", "schedule": schedule},
            "data": "separable",
        }
    )
    sample = {"sample": {"log": [1e-4, 0.1]}, "count": 5, "seed": 3}
    step = {"kind": "step", "every": "=round(steps/4)"}
    random = {"kind": "adam", "lr": sample, "b1": {"sample": {"lin": [0, 0.9]}, "count": 5}}
    model.model_validate(
        {**BASE, "optimizer": {**random, "schedule": step}, "init_seed": {"range": [0, 4]}}
    )
    model.model_validate({**BASE, "init_seed": None, "train": {"batch_size": "full"}})
    for wrong in (
        {"init_seed": "full"},
        {"optimizer": {"kind": "gd", "lr": {**sample, "count": 0}}},
        {"optimizer": {"kind": "gd", "lr": {"sample": {"log": [1, 2, 3]}, "count": 2}}},
        {"data": {"kind": "feature_noise", "n": 0}},
        {"optimizer": {"kind": "gd"}},
        {"seeds": 3},
    ):
        with pytest.raises(ValidationError):
            model.model_validate({**BASE, **wrong})


def test_load_reads_a_file(tmp_path):
    path = tmp_path / "größe 1.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.encode())
    assert grid.load_grid(path).size == grid.parse_grid(EXAMPLE).size
    assert grid.load_grid(str(path)).text == EXAMPLE


def test_shipped_configs_are_good():
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        assert grid.load_grid(path).size > 0


def test_reading_a_grid_initialises_no_backend():
    code = (
        "import jax\nfrom sweep import grid\n"
        f"grid.parse_grid({EXAMPLE!r}); grid.json_schema()\n"
        "from jax._src import xla_bridge\nassert not xla_bridge._backends"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


def test_an_expression_may_choose_by_kind_and_by_value():
    """What the other kinds do not have is not asked for."""
    found = grid_of(
        model=[{"kind": "cnn", "width": [4, 40]}, "linear"],
        optimizer={"kind": "gd", "lr": "=0.1 if model == 'linear' else 1/width"},
        data={
            "kind": "feature_noise",
            "noise": [0.01, 1],
            "feature_noise": "=0 if noise < 0.1 else log10(100)/10",
        },
    )
    rows = {(row["model"], row.get("width"), row["noise"]): row for row in listing(found)}
    assert len(rows) == 6
    for (model, width, noise), row in rows.items():
        assert row["lr"] == pytest.approx(0.1 if model == "linear" else 1 / width)
        assert row["feature_noise"] == (0 if noise < 0.1 else 0.2)


# Seeds.


def test_the_seed_of_the_first_weights_belongs_to_the_problem():
    """It counts where it differs from the seed of the data, so that old ids stay."""
    optimizers = [{"kind": "gd", "lr": 0.1}, {"kind": "adam", "lr": 0.1}]
    plain = grid_of(seed=[0, 1, 2], optimizer=optimizers)
    assert trials(grid_of(seed=[0, 1, 2], optimizer=optimizers, init_seed="=seed")) == trials(plain)
    assert trials(grid_of(seed=[0, 1, 2], optimizer=optimizers, init_seed=None)) == trials(plain)
    assert "init_seed" not in plain.columns
    crossed = grid_of(seed=[0, 1, 2], init_seed=[0, 1, 2], optimizer=optimizers)
    assert crossed.columns["init_seed"] is int
    assert crossed.size == 2 * 9
    rows = listing(crossed)
    assert len({row["trial"] for row in rows}) == 18
    problems = {(row["seed"], row["init_seed"]): row["problem"] for row in rows}
    assert len(set(problems.values())) == 9
    assert all(row["problem"] == problems[row["seed"], row["init_seed"]] for row in rows)
    diagonal = {row["trial"] for row in rows if row["seed"] == row["init_seed"]}
    assert diagonal == set(trials(plain))
    columns = crossed.blocks[0].columns(np.arange(9))
    assert columns["init_seed"].tolist() == [0, 1, 2] * 3


def test_first_weights_may_be_one_for_all_data():
    found = grid_of(seed=[0, 1], init_seed=7)
    assert [(row["seed"], row["init_seed"]) for row in listing(found)] == [(0, 7), (1, 7)]
    statics = found.blocks[0].statics(np.arange(2))[1][0]
    one = found.blocks[0].trial(np.arange(2), statics)
    assert (one.init_seed.dtype, one.init_seed.tolist()) == (np.uint32, [7, 7])
    assert grid_of(init_seed=2**32 - 1).size == 1


# Random points.


def sampled(law: dict[str, list[float]], count: int, **more: int) -> np.ndarray:
    """Random step sizes of a grid."""
    lr = {"sample": law, "count": count, **more}
    found = grid_of(optimizer={"kind": "gd", "lr": lr})
    assert found.size == count
    return np.concatenate([found.blocks[0].values(rows)["lr"] for rows in found.blocks[0].rows()])


@pytest.mark.parametrize("law", [{"log": [1e-4, 1e-1]}, {"lin": [0.5, 2.5]}], ids=["log", "lin"])
def test_random_values_have_the_law_that_is_written(law):
    """Kolmogorov and Smirnov's distance of 20,000 values, against its 99.9 % quantile."""
    drawn = np.sort(sampled(law, 20_000, seed=3))
    (form, (low, high)) = next(iter(law.items()))
    assert low <= drawn[0] and drawn[-1] <= high
    shares = (drawn - low) / (high - low)
    if form == "log":
        shares = np.log(drawn / low) / np.log(high / low)
    steps = np.arange(20_001) / 20_000
    distance = max(np.abs(shares - steps[1:]).max(), np.abs(shares - steps[:-1]).max())
    assert distance < 1.95 / np.sqrt(20_000)


def test_more_random_values_keep_the_earlier_ones_and_a_seed_gives_others():
    few, many = (sampled({"log": [1e-4, 1e-1]}, count) for count in (7, 50))
    np.testing.assert_array_equal(many[:7], few)
    assert not np.isin(sampled({"log": [1e-4, 1e-1]}, 50, seed=1), many).any()


def test_random_values_are_the_same_on_every_machine():
    """Ids hash them. Philox (Salmon et al. 2011) by its definition, in whole numbers of Python."""
    key = int.from_bytes(hashlib.blake2b(b"sample 5 lr", digest_size=16).digest(), "little")
    keys, mask, bits = [key % 2**64, key >> 64], 2**64 - 1, []
    for counter in (1, 2):
        c, k = [counter, 0, 0, 0], list(keys)
        for _ in range(10):
            high0, low0 = divmod(0xD2E7470EE14C6C93 * c[0], 2**64)
            high1, low1 = divmod(0xCA5A826395121157 * c[2], 2**64)
            c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
            k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
        bits += c
    expected = [float(f"{1 + (word >> 11) * 2.0**-53:.12g}") for word in bits]
    np.testing.assert_allclose(sampled({"lin": [1, 2]}, 8, seed=5), expected, rtol=2e-12)


def test_random_values_are_crossed_unless_they_are_zipped():
    """A mapping is a product, of random values as well; zipped ones are one random search."""
    optimizer = {
        "kind": "adam",
        "lr": {"sample": {"log": [1e-4, 1e-1]}, "count": 40},
        "b1": {"sample": {"lin": [0, 0.99]}, "count": 40},
    }
    assert grid_of(optimizer=optimizer, seed=[0, 1]).size == 2 * 40 * 40
    found = grid_of(optimizer=optimizer, seed=[0, 1], zip=["lr", "b1"])
    assert found.size == 2 * 40
    rows = [(row["lr"], row["b1"]) for row in listing(found) if row["seed"] == 0]
    lr, b1 = np.array(rows).T
    assert len(set(lr)) == len(set(b1)) == 40
    # Fields draw apart: no more than chance between ranks, three standard errors of 40 pairs.
    ranks = [np.argsort(np.argsort(values)) for values in (lr, b1)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 3 / np.sqrt(39)


def test_random_whole_numbers_are_rounded_and_may_repeat_beside_others():
    width = {"sample": {"log": [1, 64]}, "count": 40}
    model, lr = {"kind": "cnn", "width": width}, {"sample": {"log": [0.1, 1]}, "count": 40}
    found = grid_of(model=model, optimizer={"kind": "gd", "lr": lr}, zip=["width", "lr"])
    widths = [row["width"] for row in listing(found)]
    assert found.size == 40 and min(widths) >= 1 and max(widths) <= 64
    assert len(set(widths)) < 40
    with pytest.raises(GridError, match=r"make the same trials\. Lower count, or zip it with"):
        grid_of(model=model)


def test_members_of_a_union_draw_the_same_points():
    """So that two optimizers are compared at the same step sizes."""
    lr = {"sample": {"log": [1e-4, 1e-1]}, "count": 5}
    found = grid_of(optimizer=[{"kind": "gd", "lr": lr}, {"kind": "adam", "lr": lr}])
    first, second = (
        [row["lr"] for row in listing(found) if row["optimizer"] == kind] for kind in ("gd", "adam")
    )
    assert first == second


def test_a_kept_grid_may_round_as_earlier_versions_did() -> None:
    """A store of theirs has rows of it, which status and verify have to find."""
    text = yaml.safe_dump({**BASE, "model": {"kind": "cnn", "width": "=sqrt(d)"}})
    with pytest.raises(GridError, match="whole"):
        grid.parse_grid(text)
    (block,) = grid.parse_kept_grid(text, "kept").blocks
    assert block.example().model.width == 32


NESTED = {
    "name": "nested",
    "data": {"kind": "spurious", "n": [20, 40], "d": 5},
    "model": {"kind": "pruned", "inner": {"kind": "cnn", "width": 2}, "keep": [0.5, 1.0]},
    "objective": {
        "kind": "label_noise",
        "label_noise": 0.1,
        "inner": {"kind": "mixup", "share": 0.8, "inner": "logistic"},
    },
    "optimizer": [
        {"kind": "sam", "rho": 0.1, "inner": {"kind": "momentum", "lr": 0.1}},
        {"kind": "sam", "rho": 0.1, "inner": {"kind": "adam", "lr": {"log": [0.01, 0.1, 2]}}},
    ],
    "train": {"steps": 5, "curriculum": {"kind": "expansion", "warmup": 2}},
}


def test_the_schema_of_nested_families_is_finite_and_takes_a_nested_grid():
    jsonschema = pytest.importorskip("jsonschema")
    schema = grid.json_schema()
    assert {"optimizer_sam", "model_pruned", "objective_mixup"} <= set(schema["$defs"])
    assert len(json.dumps(schema)) < 1_000_000
    jsonschema.validate(NESTED, schema)
    found = grid.parse_grid(yaml.safe_dump(NESTED))
    assert found.size == 2 * 2 * (1 + 2)
    kinds = {block.kinds["optimizer_inner"] for block in found.blocks}
    assert kinds == {"momentum", "adam"}
    assert {block.kinds["objective_inner_inner"] for block in found.blocks} == {"logistic"}
    wrong = copy.deepcopy(NESTED)
    wrong["objective"]["inner"]["share"] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


@pytest.mark.parametrize("name", ["test_points", "validation_points"])
def test_fresh_points_of_data_that_has_none_are_refused(name):
    text = {
        "name": "axes",
        "data": "orthonormal",
        "model": "autoencoder",
        "objective": "reconstruction",
        "optimizer": {"kind": "gd", "lr": 0.1},
        "test_points": 0,
    }
    assert grid.parse_grid(yaml.safe_dump(text)).settings.test_points == 0
    with pytest.raises(GridError) as caught:
        grid.parse_grid(yaml.safe_dump(text | {name: 5}))
    (problem,) = caught.value.problems
    assert (problem.field, problem.cure) == (name, f"Write {name}: 0")
    assert problem.what == (
        f"orthonormal has no points but those of the training set, and {name} is 5"
    )
    del text["test_points"]
    with pytest.raises(GridError, match="test_points is 2000"):
        grid.parse_grid(yaml.safe_dump(text))
