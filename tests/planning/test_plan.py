"""Buckets, shares and sizes of a plan."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

from sweep import grid
from sweep.errors import GridError
from sweep.grid import parse_grid
from sweep.padding import actual_size
from sweep.planning import plan
from sweep.planning.manifest import descriptions, results_identity
from sweep.planning.plan import Host, Plan
from tests import ROOT

TEXT = """
name: planned
seed: {range: [0, 5]}
data: {kind: feature_noise, n: [8, 12], d: 30, sparsity: 4, noise: [0.1, 0.2, 0.3], feature_noise: 0.1}
model: {kind: cnn, width: [2, 3]}
optimizer:
  - {kind: gd, lr: [0.1, 0.2]}
  - {kind: adam, lr: 0.01}
train: {steps: 1000000000}
"""
"""So many steps that no padding pays: every group of equal static fields is a bucket."""
CHEAP = TEXT.replace("1000000000", "50")
"""So few steps that a program costs more than any padding: groups of different sizes are joined."""
CPU = Host("cpu", 2)


def make(text: str = TEXT, **more: object) -> Plan:
    """The plan of a grid."""
    return plan.make_plan(grid.parse_grid(text), CPU, **more)  # type: ignore[arg-type]


def ids(found: Plan) -> np.ndarray:
    """Ids of all trials that a plan has left."""
    return np.concatenate(
        [np.zeros(0, np.int64), *(bucket.source.ids(bucket.rows)[0] for bucket in found.buckets)]
    )


def test_static_fields_make_the_buckets() -> None:
    """n, width and the optimizer are compiled in; noise, step size and seed are lanes."""
    found = make()
    assert len(found.buckets) == 2 * 2 * 2
    assert sorted({len(bucket.rows) for bucket in found.buckets}) == [15, 30]
    assert found.planned == found.left == grid.parse_grid(TEXT).size == 180
    assert len({bucket.id for bucket in found.buckets}) == 8
    assert all(bucket.sizes == () and bucket.waste == 0 for bucket in found.buckets)


def test_sizes_make_no_buckets_where_trainings_are_cheap() -> None:
    """The optimizer is compiled in; n and width are arrays of the largest of them, and numbers of a lane."""
    found = make(CHEAP)
    assert [bucket.source.kinds["optimizer"] for bucket in found.buckets] == ["gd", "adam"]
    assert [len(bucket.rows) for bucket in found.buckets] == [120, 60]
    assert found.planned == found.left == 180
    for bucket in found.buckets:
        assert (bucket.sizes, bucket.statics["n"], bucket.statics["width"]) == (
            ("n", "width"),
            12,
            3,
        )
        assert 0 < bucket.waste < 1
    assert not {bucket.id for bucket in found.buckets} & {bucket.id for bucket in make().buckets}


def test_the_largest_of_a_joined_bucket_alone_is_another_program() -> None:
    """Its arrays have the same shapes, but nothing in it is padded."""
    alone = make(CHEAP.replace("[8, 12]", "12").replace("[2, 3]", "3"))
    joined = make(CHEAP)
    for one, other in zip(alone.buckets, joined.buckets, strict=True):
        assert dict(one.statics) == dict(other.statics) and one.sizes == ()
        assert one.id != other.id


@pytest.mark.parametrize("text", [TEXT, CHEAP], ids=["exact", "joined"])
def test_a_bucket_becomes_a_batch_of_its_trials(text: str) -> None:
    bucket = make(text).buckets[0]
    trials = bucket.trials()
    assert (trials.data.n, trials.model.width) == (bucket.statics["n"], bucket.statics["width"])
    values = bucket.source.values(bucket.rows)
    np.testing.assert_allclose(trials.data.noise, values["noise"], rtol=1e-7)
    np.testing.assert_array_equal(trials.seed, values["seed"])
    assert trials.seed.dtype == np.uint32 and trials.train.steps.dtype == np.int32
    for name, size in (("n", trials.data.n), ("d", trials.data.d), ("width", trials.model.width)):
        np.testing.assert_array_equal(
            np.broadcast_to(actual_size(size), len(bucket.rows)), values[name]
        )
    assert {leaf.shape for leaf in jax.tree.leaves(trials)} == {(len(bucket.rows),)}


@pytest.mark.parametrize("text", [TEXT, CHEAP], ids=["exact", "joined"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 200])
def test_shares_are_the_whole_and_never_meet(text: str, count: int) -> None:
    found = grid.parse_grid(text)
    together = np.concatenate(
        [ids(plan.make_plan(found, CPU, shard=(index, count))) for index in range(count)]
    )
    assert len(together) == len(set(together)) == 180
    assert set(together) == set(ids(make(text)))


def test_done_trials_are_taken_from_the_share_and_not_before_it() -> None:
    """Workers that start at different times must cut the same shares, or trials fall between them."""
    done = np.sort(ids(make())[::3])
    for index in range(2):
        whole, rest = make(shard=(index, 2)), make(shard=(index, 2), done=done)
        assert set(ids(rest)) == set(ids(whole)) - set(done)
        assert rest.planned == whole.planned and rest.left == len(ids(rest))


def test_cutting_after_the_subtraction_would_lose_trials() -> None:
    """The mutant that the order in `make` avoids: the second worker starts when the first has finished something."""
    everything = ids(make())
    first = everything[0::2]
    done = first[:10]
    second = np.setdiff1d(everything, done, assume_unique=True)[1::2]
    assert len(np.union1d(first, second)) < len(everything)


def test_blocks_of_a_store_are_kept() -> None:
    bucket = make().buckets[0]
    assert bucket.block != 3
    kept = make(blocks={bucket.id: 3}).buckets[0]
    assert kept.block == 3 and kept.lanes % 3 == 0


def test_a_null_target_is_another_program() -> None:
    early = grid.parse_grid(
        TEXT.replace("steps: 1000000000", "steps: 1000000000, target_loss: 0.1")
    )
    assert not {each.id for each in make().buckets} & {
        each.id for each in plan.make_plan(early, CPU).buckets
    }


def test_an_accelerator_takes_many_lanes_in_one_block() -> None:
    text = TEXT.replace("[0, 5]", "[0, 500]")
    (bucket, *_) = plan.make_plan(grid.parse_grid(text), Host("gpu", 1)).buckets
    assert bucket.block == bucket.lanes == 4096
    assert plan.make_plan(grid.parse_grid(TEXT), Host("gpu", 1)).buckets[0].block == 32


def test_bytes_of_a_lane_are_those_of_its_arrays() -> None:
    """Four bytes a number: tokens (1 + n) d twice, labels 2 n, weights d 2 width, their signs, step and status.

    And the eight numbers of a trial: seed, noise, feature noise, first scale, gain, l2, step size, steps.
    """
    bucket = make(f"{TEXT}coordinates: ambient").buckets[0]
    n, d, units = bucket.statics["n"], bucket.statics["d"], 2 * bucket.statics["width"]
    arrays = 2 * (1 + n) * d + 2 * n + d * units + units + 2
    assert bucket.bytes == 4 * (arrays + 8)


def test_bytes_in_coordinates_of_the_span_are_those_of_inner_products() -> None:
    """Of T tokens with each other and with the initial weights, and the vectors themselves, for measurements."""
    bucket = make().buckets[0]
    n, d, units = bucket.statics["n"], bucket.statics["d"], 2 * bucket.statics["width"]
    T = 1 + n
    scene = T * T + T * units + T + T * d + d * units + units**2 + 2 * n
    state = 1 + T * units + units + 2
    assert bucket.bytes == 4 * (scene + state + 8)


def test_bytes_of_a_joined_bucket_are_those_of_its_largest() -> None:
    """And two numbers more, n and width of the trial."""
    text = f"{CHEAP}coordinates: ambient"
    joined, alone = (
        make(text).buckets[0],
        make(text.replace("[8, 12]", "12").replace("[2, 3]", "3")).buckets[0],
    )
    assert joined.bytes == alone.bytes + 2 * 4


def test_the_description_says_what_a_user_asks() -> None:
    done = np.sort(ids(make())[:7])
    text = plan.describe_plan(make(done=done))
    for word in (
        "180 trials",
        "173 left",
        "7 done",
        "8 buckets, one program to compile for each",
        "memory for the lanes",
        "hours",
        "n=8 d=30 sparsity=4 width=2 span",
    ):
        assert word in text
    joined = plan.describe_plan(make(CHEAP))
    for word in ("2 buckets", "seconds", "n<=12 d=30 sparsity=4 width<=3 span", "width<=3 ambient"):
        assert word in joined
    wastes = [bucket.waste for bucket in make(CHEAP).buckets]
    assert all(
        0 < waste < 1 and f"{waste:.0%} of the work is padding" in joined for waste in wastes
    )
    assert "padding" not in text


def test_an_estimate_grows_with_the_work() -> None:
    found = make()
    twice = replace(found, buckets=found.buckets + found.buckets)
    assert twice.seconds() == pytest.approx(2 * found.seconds())
    longer, short = (
        sum(each.seconds() for each in make(text).buckets)
        for text in (CHEAP.replace("steps: 50", "steps: 500000"), CHEAP)
    )
    assert longer > 10 * short


@pytest.mark.parametrize("text", [TEXT, f"{CHEAP}coordinates: support"], ids=["exact", "joined"])
def test_planning_touches_no_device(text: str) -> None:
    code = (
        "from sweep import grid\nfrom sweep.planning import plan\n"
        f"print(plan.describe_plan(plan.make_plan(grid.parse_grid({text!r}), plan.Host('cpu', 2))))\n"
        "from jax._src import xla_bridge\nassert not xla_bridge._backends"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("host", [CPU, Host("gpu", 1)], ids=["cpu", "gpu"])
@pytest.mark.parametrize("text", [TEXT, CHEAP], ids=["exact", "joined"])
def test_a_share_keeps_the_blocks_of_the_whole(text: str, host: Host, count: int) -> None:
    """The block is part of the bits of a result, so it must not depend on how many workers there are."""
    found = grid.parse_grid(text)
    whole = {bucket.id: bucket.block for bucket in plan.make_plan(found, host).buckets}
    for index in range(count):
        for bucket in plan.make_plan(found, host, shard=(index, count)).buckets:
            assert bucket.block == whole[bucket.id]


@pytest.mark.parametrize(("base", "programs"), [(TEXT, 4), (CHEAP, 2)], ids=["exact", "joined"])
def test_members_of_a_union_with_one_program_have_one_block(base: str, programs: int) -> None:
    """The store keeps one block for each program, so two members of a union must not train it in different ones."""
    data = "{{kind: feature_noise, n: 8, d: 12, sparsity: 4, noise: {}, feature_noise: {}}}"
    union = f"\n  - {data.format(0.1, 0.1)}\n  - {data.format('[0.2, 0.3, 0.4]', 0.2)}"
    text = base.replace(base.split("\n")[3], f"data: {union}").replace(
        "seed: {range: [0, 5]}", "seed: 0"
    )
    for host in (CPU, Host("gpu", 1)):
        blocks: dict[str, set[int]] = {}
        for bucket in plan.make_plan(grid.parse_grid(text), host).buckets:
            blocks.setdefault(bucket.id, set()).add(bucket.block)
        assert len(blocks) == programs and all(len(found) == 1 for found in blocks.values())


def test_a_cheap_bucket_beside_a_dear_one_is_one_slice() -> None:
    """Slices take seconds of the dear one, which are more rows than the cheap one has, or numbers of its rows hold."""
    text = """
name: unequal
data:
  - {kind: signal_noise, n: 2000, d: 100000, snr: 0.5}
  - {kind: feature_noise, n: 4, d: 12, sparsity: 3}
model: linear
optimizer: {kind: adam, lr: 0.01}
train: {steps: 2}
seed: {range: [0, 3]}
test_points: 4
record: {points: 0}
"""
    sliced = [list(bucket.slices()) for bucket in make(text).buckets]
    assert [sum(len(rows) for _, rows in slices) for slices in sliced] == [3, 3]
    assert min(map(len, sliced)) == 1


def test_validation_points_are_in_the_manifest_where_there_are_some() -> None:
    """Without them it is as before; they are part of what results depend on."""
    text = (
        "name: v\ndata: {kind: separable, n: 8, d: 16}\nmodel: {kind: linear}\n"
        "optimizer: {kind: gd, lr: 0.1}\n"
    )
    plain = results_identity(parse_grid(text), "float32", "cpu")
    asked = results_identity(parse_grid(f"{text}validation_points: 50\n"), "float32", "cpu")
    columns = {"validation_loss", "validation_error"}
    assert "validation_points" not in plain and not columns & set(plain["columns"])
    assert asked["validation_points"] == 50 and columns <= set(asked["columns"])
    assert plain["columns"]["test_ties"] == "Observable"
    meanings = descriptions(parse_grid(text))["meanings"]
    assert "test_ties" in meanings and not columns & set(meanings)
    with pytest.raises(GridError, match="validation_points"):
        parse_grid(f"{text}validation_points: -1\n")


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("quickstart", {"d8fa1155d431997d", "df9d8c37c9ba33d0"}),
        ("adam_vs_gd", {"9ebf46737deaa6f4", "fb76d81fe7d7bbc8"}),
    ],
)
def test_programs_keep_the_names_they_have_in_stores(name: str, ids: set[str]) -> None:
    """Parts and checkpoints of version 0.2.0 name programs so; fields that came later change none."""
    found = plan.make_plan(grid.load_grid(ROOT / "configs" / f"{name}.yaml"), Host("cpu", 1))
    assert {bucket.id for bucket in found.buckets} == ids
