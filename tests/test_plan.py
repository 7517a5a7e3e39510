"""Buckets, shares and sizes of a plan."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweep import grid, plan
from sweep.plan import Host, Plan

TEXT = """
name: planned
seed: {range: [0, 5]}
data: {kind: feature_noise, n: [8, 12], d: 30, sparsity: 4, noise: [0.1, 0.2, 0.3], feature_noise: 0.1}
model: {kind: cnn, width: [2, 3]}
optimizer:
  - {kind: gd, lr: [0.1, 0.2]}
  - {kind: adam, lr: 0.01}
train: {steps: 50}
"""
CPU = Host("cpu", 2)


def make(**more: object) -> Plan:
    """The plan of the grid."""
    return plan.make(grid.parse(TEXT), CPU, **more)  # type: ignore[arg-type]


def ids(found: Plan) -> np.ndarray:
    """Ids of all trials that a plan has left."""
    return np.concatenate([np.zeros(0, np.int64), *(bucket.source.ids(bucket.rows)[0] for bucket in found.buckets)])


def test_static_fields_make_the_buckets() -> None:
    """n, width and the optimizer are compiled in; noise, step size and seed are lanes."""
    found = make()
    assert len(found.buckets) == 2 * 2 * 2
    assert sorted({len(bucket.rows) for bucket in found.buckets}) == [15, 30]
    assert found.planned == found.left == grid.parse(TEXT).size == 180
    assert len({bucket.id for bucket in found.buckets}) == 8


def test_a_bucket_becomes_a_batch_of_its_trials() -> None:
    bucket = make().buckets[0]
    trials = bucket.trials()
    assert (trials.data.n, trials.model.width) == (bucket.statics["n"], bucket.statics["width"])
    values = bucket.source.values(bucket.rows)
    np.testing.assert_allclose(trials.data.noise, values["noise"], rtol=1e-7)
    np.testing.assert_array_equal(trials.seed, values["seed"])
    assert trials.seed.dtype == np.uint32 and trials.train.steps.dtype == np.int32


@pytest.mark.parametrize("count", [1, 2, 3, 7, 200])
def test_shares_are_the_whole_and_never_meet(count: int) -> None:
    together = np.concatenate([ids(make(shard=(index, count))) for index in range(count)])
    assert len(together) == len(set(together)) == 180
    assert set(together) == set(ids(make()))


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
    early = grid.parse(TEXT.replace("steps: 50", "steps: 50, target_loss: 0.1"))
    assert not {each.id for each in make().buckets} & {each.id for each in plan.make(early, CPU).buckets}


def test_an_accelerator_takes_many_lanes_in_one_block() -> None:
    text = TEXT.replace("[0, 5]", "[0, 500]")
    (bucket, *_) = plan.make(grid.parse(text), Host("gpu", 1)).buckets
    assert bucket.block == bucket.lanes == 4096
    assert plan.make(grid.parse(TEXT), Host("gpu", 1)).buckets[0].block == 32


def test_bytes_of_a_lane_are_those_of_its_arrays() -> None:
    """Tokens (1 + n) d, labels 2 n, weights d 2 width and one integer each for step and status, four bytes each."""
    bucket = next(each for each in make().buckets if each.source.kinds["optimizer"] == "gd")
    n, d, units = bucket.statics["n"], bucket.statics["d"], 2 * bucket.statics["width"]
    arrays = (1 + n) * d + 2 * n + d * units + 2
    assert 4 * arrays < bucket.shape.bytes < 4 * (arrays + 20)


def test_the_description_says_what_a_user_asks() -> None:
    done = np.sort(ids(make())[:7])
    text = plan.describe(make(done=done))
    for word in ("180 trials", "173 left", "7 done", "8 buckets", "lanes", "MiB", "seconds", "n=8 d=30 width=2"):
        assert word in text


def test_an_estimate_grows_with_the_work() -> None:
    found = make()
    twice = replace(found, buckets=found.buckets + found.buckets)
    assert twice.seconds() == pytest.approx(2 * found.seconds())
    longer = plan.make(grid.parse(TEXT.replace("steps: 50", "steps: 500000")), CPU)
    assert longer.seconds() > 10 * found.seconds()


def test_planning_touches_no_device() -> None:
    code = (
        "from sweep import grid, plan\n"
        f"print(plan.describe(plan.make(grid.parse({TEXT!r}), plan.Host('cpu', 2))))\n"
        "from jax._src import xla_bridge\nassert not xla_bridge._backends"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("host", [CPU, Host("gpu", 1)], ids=["cpu", "gpu"])
def test_a_share_keeps_the_blocks_of_the_whole(host: Host, count: int) -> None:
    """The block is part of the bits of a result, so it must not depend on how many workers there are."""
    found = grid.parse(TEXT)
    whole = {bucket.id: bucket.block for bucket in plan.make(found, host).buckets}
    for index in range(count):
        for bucket in plan.make(found, host, shard=(index, count)).buckets:
            assert bucket.block == whole[bucket.id]


def test_members_of_a_union_with_one_program_have_one_block() -> None:
    """The store keeps one block for each program, so two members of a union must not train it in different ones."""
    data = "{{kind: feature_noise, n: 8, d: 12, sparsity: 4, noise: {}, feature_noise: {}}}"
    union = f"\n  - {data.format(0.1, 0.1)}\n  - {data.format('[0.2, 0.3, 0.4]', 0.2)}"
    text = TEXT.replace(TEXT.split("\n")[3], f"data: {union}").replace("seed: {range: [0, 5]}", "seed: 0")
    for host in (CPU, Host("gpu", 1)):
        blocks: dict[str, set[int]] = {}
        for bucket in plan.make(grid.parse(text), host).buckets:
            blocks.setdefault(bucket.id, set()).add(bucket.block)
        assert len(blocks) == 4 and all(len(found) == 1 for found in blocks.values())
