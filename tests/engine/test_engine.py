"""Lanes: whatever is beside a trial, its result is the same to the last bit; refill loses and repeats nothing."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pytest

from sweep import schema
from sweep.engine import programs
from sweep.engine.driver import Driver
from sweep.engine.recorder import FinishedTrials, RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.status import Status
from sweep.training import step
from sweep.trial import Trial
from tests.contracts.parts import batch, named, of, trial

RECORDS = RecordSchedule(points=6, test=True, test_points=40)
SEEDS = range(5)


def results(found: Sequence[FinishedTrials], count: int) -> dict[str, np.ndarray]:
    """Runs of all trials by their place in the queue; fails where one is missing or there twice."""
    index = np.concatenate([each.index for each in found])
    assert sorted(index) == list(range(count))
    order = np.argsort(index)
    return {
        name: np.concatenate([np.ma.filled(each.runs[name], -1) for each in found])[order]
        for name in found[0].runs
    }


def train(
    trials: Trial, lanes: int = 2, block: int = 1, records: RecordSchedule = RECORDS
) -> dict[str, np.ndarray]:
    """Results of one drive through a batch of trials."""
    queue = TrialList(trials)
    return results(list(Driver(queue, lanes, block, records)), queue.count)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Equal to the bit in every column, NaN equal to NaN."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def members(count: int = 5, **values: Any) -> list[Trial]:
    """Trials of one bucket that differ in seed, noise and step size."""
    return [
        trial(
            {"optimizer": "adam"},
            **{"seed": i, "noise": 0.3 + 0.1 * i, "lr": 0.02 + 0.01 * i, **values},
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    """Five trials, each trained with nothing beside it."""
    found = [train(batch([each]), lanes=1) for each in members()]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_number_of_lanes_and_neighbours_change_no_bit(
    alone: dict[str, np.ndarray], lanes: int
) -> None:
    same(train(batch(members()), lanes), alone)


def test_order_changes_no_bit(alone: dict[str, np.ndarray]) -> None:
    order = np.array([3, 0, 4, 2, 1])
    found = train(batch([members()[i] for i in order]), lanes=2)
    same(found, {name: each[order] for name, each in alone.items()})


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_length_of_chunks_changes_no_bit(
    alone: dict[str, np.ndarray], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Driver, "_adapt_chunk_length", lambda self, seconds: None)
    queue = TrialList(batch(members()))
    driver = Driver(queue, 2, 1, RECORDS)
    driver.chunk_steps = chunk
    same(results(list(driver), queue.count), alone)


SOME = (
    "feature_noise",
    "separable",
    "cnn",
    "linear",
    "logistic",
    "sgd",
    "adam",
    "optax.adafactor",
    "power",
    "train",
)
"""Kinds of which each run of the tests trains a lane beside others; `-m slow` trains the rest."""

LANES = [
    pytest.param(
        each,
        id=named(each),
        marks=[] if each.kind in SOME and not each.name else [pytest.mark.slow],
    )
    for each in of("data", "model", "objective", "optimizer", "schedule", "train", "curriculum")
]


@pytest.mark.parametrize("example", LANES)
def test_a_lane_in_a_batch_is_the_trial_alone(example: Any) -> None:
    """For every part: the same bits in another lane with other neighbours."""
    kinds = {"optimizer": "sgd", **example.kinds}
    values = {**example.values, "steps": 7}
    one, other = (trial(kinds, **values, seed=seed) for seed in (1, 2))
    records = RecordSchedule(points=0, test_points=8 if one.data.has_fresh_points else 0)
    both = train(batch([other, one]), lanes=2, records=records)
    swapped = train(batch([one, other]), lanes=2, records=records)
    same(both, {name: each[::-1] for name, each in swapped.items()})
    assert np.isfinite(both["train_loss"]).all()


@pytest.mark.slow
def test_a_block_keeps_its_bits_among_other_lanes() -> None:
    """Under vmap the block is part of the bits, place and neighbours are not."""
    order = np.array([4, 2, 0, 1, 3])
    one = train(batch(members()), lanes=2, block=2)
    other = train(batch([members()[i] for i in order]), lanes=4, block=2)
    same(other, {name: each[order] for name, each in one.items()})


@pytest.mark.slow
def test_all_lanes_in_one_block_as_on_an_accelerator(alone: dict[str, np.ndarray]) -> None:
    """One vmap over all lanes is the same training to rounding."""
    found = train(batch(members()), lanes=4, block=4)
    np.testing.assert_array_equal(found["steps"], alone["steps"])
    np.testing.assert_allclose(found["train_loss"], alone["train_loss"], rtol=1e-5)


@pytest.fixture(scope="module")
def paired() -> dict[str, np.ndarray]:
    """The same five trials in blocks of two."""
    return train(batch(members()), lanes=2, block=2)


def check_divergence(calm: dict[str, np.ndarray], block: int) -> None:
    """A trial that diverges says so, and the others are as they are without it."""
    mixed = [trial({"optimizer": "adam"}, lr=1e30), *members()]
    found = train(batch(mixed), lanes=2, block=block)
    same({name: each[1:] for name, each in found.items()}, calm)
    assert found["status"][0] == Status.NONFINITE.label and found["steps"][0] < 20


@pytest.mark.promise(10)
def test_a_lane_that_is_no_number_leaves_its_neighbours_alone(
    alone: dict[str, np.ndarray], paired: dict[str, np.ndarray]
) -> None:
    check_divergence(alone, block=1)
    check_divergence(paired, block=2)


go_on = step.update_if_running


def unending(running: jax.Array, update: Callable[[], step.State], ended: step.State) -> step.State:
    """A mutant that lets ended lanes go on."""
    return update()


def contagious(
    running: jax.Array, update: Callable[[], step.State], ended: step.State
) -> step.State:
    """A mutant in which what is no number in one lane of a block comes to all of them."""
    kept, after = go_on(running, update, ended), update()
    return kept._replace(
        params=jax.tree.map(
            lambda w, new: w + 0 * jax.lax.pmean(new, "block"), kept.params, after.params
        )
    )


@pytest.fixture
def anew() -> Iterator[None]:
    """Programs are traced now, and others afterwards."""
    programs.compiled_programs.cache_clear()
    yield
    programs.compiled_programs.cache_clear()


@pytest.mark.thorough
@pytest.mark.promise(10, mutant=True)
@pytest.mark.parametrize(
    ("mutant", "what"), [(unending, "nonfinite"), (contagious, "Arrays are not equal")]
)
def test_lanes_that_diverge_otherwise_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
    paired: dict[str, np.ndarray],
    anew: None,
    mutant: Callable[..., step.State],
    what: str,
) -> None:
    """Each mutant is right as long as nothing diverges."""
    monkeypatch.setattr(step, "update_if_running", mutant)
    monkeypatch.setattr(programs.jax, "vmap", functools.partial(jax.vmap, axis_name="block"))
    same(train(batch(members()), lanes=2, block=2), paired)
    with pytest.raises(AssertionError, match=what):
        check_divergence(paired, block=2)


@pytest.mark.parametrize(("block", "few"), [(4, 1), (16, 2)])
def test_a_block_on_a_cpu_goes_on_until_an_eighth_of_it_has_ended(block: int, few: int) -> None:
    """So often is the host asked for new trials: lanes that end after 3, 4, 5, ... steps are told `few` at a time."""
    trials = batch([trial(seed=i, steps=3 + i) for i in range(block)])
    compiled, lane_mask = programs.compiled_programs(block, 0), np.ones(block, bool)
    lanes = compiled.fill(compiled.empty(trials), trials, lane_mask)
    for ended in range(few, block + 1, few):
        lanes, lane_status = compiled.advance(lanes, np.int32(100))
        assert np.sum(np.asarray(lane_status.status) != Status.RUNNING) == ended
        assert np.max(lane_status.step) == 2 + ended


@pytest.mark.slow
def test_refill_with_a_heavy_tail() -> None:
    """Trials that end at very different steps come out once each, at the step at which they end alone."""
    targets = [0.69, 0.3, 0.6, 0.01, 0.65, 0.5, 0.1]
    tail = [
        trial({"optimizer": "adam"}, seed=i, target_loss=target, steps=400)
        for i, target in enumerate(targets)
    ]
    together = train(batch(tail), lanes=3)
    for i, each in enumerate(tail):
        single = train(batch([each]), lanes=1)
        same({name: column[i : i + 1] for name, column in together.items()}, single)
    assert len(set(together["steps"])) > 4
    ended = together["status"] == Status.CONVERGED.label
    assert ended.sum() >= 5 and (together["train_loss"][ended] <= np.array(targets)[ended]).all()


@pytest.mark.parametrize(
    "kinds", [("gd", "momentum", "adam"), pytest.param((), marks=pytest.mark.slow)]
)
def test_optimizers_share_data_and_first_weights(kinds: tuple[str, ...]) -> None:
    """At step 0, trials that differ only in their optimizer agree in every observable to the bit; () for all kinds."""
    first = []
    for example in (each for each in of("optimizer") if not kinds or each.kind in kinds):
        pair = batch([example.trial(seed=seed, steps=1) for seed in (3, 4)])
        (ended,) = Driver(TrialList(pair), 2, 1, RecordSchedule(points=2, test_points=8))
        assert ended.curves is not None
        first.append(
            {name: each.tolist() for name, each in ended.curves.items() if each is not None}
        )
        first[-1] = {name: [each[0], each[2]] for name, each in first[-1].items()}
    assert len(first) >= 3
    for other in first[1:]:
        assert other == first[0]


def test_recorded_steps_are_log_spaced_and_exact() -> None:
    (ended,) = Driver(TrialList(batch(members(2))), 2, 1, RECORDS)
    assert ended.curves is not None
    for place in (0, 1):
        np.testing.assert_array_equal(
            ended.curves["step"][ended.curves["index"] == place], RECORDS.steps(20)
        )
    np.testing.assert_array_equal(RECORDS.steps(20), [0, 1, 2, 4, 9, 20])
    last = ended.curves["step"] == 20
    np.testing.assert_array_equal(ended.curves["train_loss"][last], ended.runs["train_loss"])


@pytest.mark.parametrize(
    ("points", "last", "steps"),
    [(0, 7, [7]), (3, 0, [0]), (1, 9, [0, 1, 9]), (32, 4, [0, 1, 2, 3, 4])],
)
def test_recorded_steps_at_the_edges(points: int, last: int, steps: list[int]) -> None:
    assert list(RecordSchedule(points).steps(last)) == steps


@pytest.mark.thorough
def test_fit_step_is_the_first_record_without_training_error() -> None:
    (ended,) = Driver(TrialList(batch(members(1, steps=200))), 1, 1, RecordSchedule(10, True, 8))
    assert ended.curves is not None
    fitted = ended.curves["step"][ended.curves["train_error"] == 0]
    assert ended.runs["fit_step"][0] == fitted[0] > 0
    (never,) = Driver(TrialList(batch(members(1, steps=0))), 1, 1, RECORDS)
    assert np.ma.getmaskarray(never.runs["fit_step"]).all() or never.runs["train_error"][0] == 0


def test_records_without_test_points_on_the_way() -> None:
    (ended,) = Driver(TrialList(batch(members(1))), 1, 1, RecordSchedule(4, False, 16))
    assert ended.curves is not None
    assert np.isnan(ended.curves["test_error"][:-1]).all() and np.isfinite(
        ended.curves["test_error"][-1]
    )


def test_columns_are_those_of_the_schema() -> None:
    (ended,) = Driver(TrialList(batch(members(1))), 1, 1, RECORDS)
    observables = (*schema.STANDARD_OBSERVABLES, *schema.LATER_OBSERVABLES)
    assert set(ended.runs) <= {*observables, *schema.OUTCOME}


@pytest.mark.thorough
def test_a_bucket_compiles_each_program_once(compiles: list[str]) -> None:
    """Step sizes, seeds and noise are lanes: no other trial of the bucket, and no refill, compiles anything."""
    jax.clear_caches()
    programs.compiled_programs.cache_clear()
    train(batch(members(5, width=3)), lanes=2)
    assert sorted(compiles) == sorted(
        f"jit({name})" for name in ("empty", "fill", "advance", "store_draws", "measure")
    )
    compiles.clear()
    train(
        batch([trial({"optimizer": "adam"}, width=3, seed=9, lr=0.5, noise=2.0, l2=0.5)] * 3),
        lanes=2,
    )
    assert compiles == []
    train(batch(members(2, width=4)), lanes=2)
    assert len(compiles) == 5


def test_a_trial_that_ends_early_has_the_records_before_its_end_and_its_end() -> None:
    """At the step where a plain loop over `advance` ends it, and with the status that the loop ends with."""
    tail = [
        trial({"optimizer": "adam"}, seed=i, target_loss=target, steps=400)
        for i, target in enumerate((0.5, 0.2))
    ]
    found = list(Driver(TrialList(batch(tail)), 3, 1, RECORDS))
    advance = jax.jit(step.advance)
    for place, each in enumerate(tail):
        world, state = jax.jit(step.start)(each)
        while int(state.status) == Status.RUNNING:
            state = advance(each, world, state)
        end = int(state.step)
        (ended,) = (one for one in found if place in one.index)
        assert ended.curves is not None
        borders = RECORDS.steps(400)
        expected = [*borders[borders < end], end]
        assert ended.curves["step"][ended.curves["index"] == place].tolist() == expected
        assert ended.runs["status"][ended.index == place] == Status(int(state.status)).label
        assert 0 < end < 400


def test_a_drive_that_is_told_to_stop_ends_in_the_middle_of_a_long_trial() -> None:
    """An interrupted sweep ends after a chunk: it does not wait for trials that take hours. What has ended is told."""
    trials = batch([trial(seed=seed, steps=steps) for seed, steps in ((1, 3), (2, 20_000_000))])
    stop = threading.Event()
    found = iter(Driver(TrialList(trials), 2, 1, RecordSchedule(points=0, test_points=8), stop))
    assert list(next(found).index) == [0]
    stop.set()
    began = time.perf_counter()
    assert list(found) == []
    assert time.perf_counter() - began < 5


@pytest.mark.slow
def test_memory_is_known_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the lanes themselves, growing with them, and a device with less refuses them with both numbers."""
    trials = batch([trial(seed=seed) for seed in range(4)])
    compiled = programs.compiled_programs(1, 8)
    some, more = (programs.memory_needed(compiled, trials, lanes) for lanes in (2, 4))
    lanes = compiled.empty(trials)
    assert more > sum(leaf.nbytes for leaf in jax.tree.leaves(lanes) if hasattr(leaf, "nbytes")) > 0
    assert some < more
    monkeypatch.setattr(programs, "memory_limit", lambda: more - 1)
    with pytest.raises(
        MemoryError, match=f"4 lanes need {more:,} bytes; the device has {more - 1:,}"
    ):
        Driver(TrialList(trials), 4, 1, RecordSchedule(points=0, test_points=8))


def test_a_cpu_tells_no_memory() -> None:
    assert programs.memory_limit() is None
