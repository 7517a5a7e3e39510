"""Trials that end at very different steps: lanes refilled as they end, beside programs that wait for the slowest."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from sweep import grid
from sweep.engine import programs
from sweep.engine.driver import Driver
from sweep.engine.recorder import RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.planning import plan
from sweep.status import Status
from sweep.training import step
from sweep.trial import Trial
from tests.benchmarks.teams import race

LANES, BLOCK, TRIALS, CAP = 16, 16, 512, 20_000
RECORDS = RecordSchedule(0, False, 0)
GRID = f"""
name: tail
seed: {{range: [0, {TRIALS // 32}]}}
data: {{kind: feature_noise, n: 10, d: 16, sparsity: 4, noise: 0.3, feature_noise: 0.2}}
model: {{kind: cnn, width: 4, power: 2, init_scale: 0.1}}
optimizer: {{kind: adam, lr: {{log: [2.0e-5, 2.0e-2, 32]}}}}
train: {{steps: {CAP}, target_loss: 0.05}}
test_points: 0
record: {{points: 0}}
"""
"""Step sizes over three decades, so that the steps to the target have a heavy tail."""

Train = Callable[[Trial], dict[str, np.ndarray]]
"""From a batch of trials to their steps and losses."""


def trials() -> Trial:
    """The trials, in an order that tells nothing of their length."""
    (bucket,) = plan.make_plan(grid.parse_grid(GRID), plan.Host("cpu", 1)).buckets
    assert (bucket.lanes, bucket.block) == (LANES, BLOCK), (
        "the engine is timed as the command runs it"
    )
    return programs.take_trials(bucket.trials(), np.random.default_rng(0).permutation(TRIALS))


def refilled(batch: Trial) -> dict[str, np.ndarray]:
    """The engine."""
    return _driven(batch, [np.arange(TRIALS)])


def waiting(batch: Trial) -> dict[str, np.ndarray]:
    """The engine without refill: a queue for every LANES trials."""
    return _driven(batch, np.split(np.arange(TRIALS), TRIALS // LANES))


def _driven(batch: Trial, parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    found = {"steps": np.zeros(TRIALS, int), "loss": np.zeros(TRIALS)}
    for rows in parts:
        for ended in Driver(TrialList(programs.take_trials(batch, rows)), LANES, BLOCK, RECORDS):
            found["steps"][rows[ended.index]] = ended.runs["steps"]
            found["loss"][rows[ended.index]] = ended.runs["train_loss"]
    return found


def _answer(trial: Trial, scene: Any, state: step.State) -> tuple[jax.Array, jax.Array]:
    value, _, _ = step.loss_and_grads(trial, state, step.full_batch(trial, scene), training=False)
    return state.step, value


def until_done(trial: Trial) -> tuple[jax.Array, jax.Array]:
    """A whole run that ends at the target."""
    scene, state = step.start(trial)
    advance = functools.partial(step.advance, trial, scene)
    return _answer(
        trial, scene, jax.lax.while_loop(lambda s: s.status == Status.RUNNING, advance, state)
    )


def to_the_cap(trial: Trial) -> tuple[jax.Array, jax.Array]:
    """A whole run of a fixed number of steps, frozen at the target."""
    scene, state = step.start(trial)
    return _answer(
        trial, scene, jax.lax.fori_loop(0, CAP, lambda _, s: step.advance(trial, scene, s), state)
    )


def batched(run: Callable[[Trial], Any], width: int, ordered: bool = False) -> Train:
    """A vmapped whole run on `width` trials at a time, sorted by their length where `ordered`, which nobody knows."""
    compiled = jax.jit(
        jax.vmap(run) if width > 1 else lambda one: run(jax.tree.map(lambda leaf: leaf[0], one))
    )

    def train(batch: Trial) -> dict[str, np.ndarray]:
        order = np.argsort(train.steps) if ordered else np.arange(TRIALS)  # type: ignore[attr-defined]
        answers = [
            compiled(programs.take_trials(batch, rows)) for rows in np.split(order, TRIALS // width)
        ]
        steps, losses = (
            np.concatenate([np.atleast_1d(each) for each in column])
            for column in zip(*answers, strict=True)
        )
        train.steps = np.zeros(TRIALS, int)  # type: ignore[attr-defined]
        train.steps[order] = steps  # type: ignore[attr-defined]
        found = np.zeros(TRIALS)
        found[order] = losses
        return {"steps": train.steps, "loss": found}  # type: ignore[attr-defined]

    train.steps = np.arange(TRIALS)  # type: ignore[attr-defined]
    return train


def contender(number: int, index: int, count: int, make: Callable[[], Train]) -> Callable[[], Any]:
    """Train all trials."""
    batch, train = trials(), make()

    def run() -> Any:
        found = train(batch)
        return {"steps": found["steps"].tolist(), "loss": found["loss"].tolist()}

    return run


WIDE = 128
"""The width at which vmap(while_loop) is fastest here, of 8 to 128."""

WIDTHS = {"while": LANES, "wide": WIDE, "scan": LANES, "loop": 1, "sorted": LANES}
CONTENDERS = {
    "engine": functools.partial(contender, make=lambda: refilled),
    "engine_waiting": functools.partial(contender, make=lambda: waiting),
    "while": functools.partial(contender, make=lambda: batched(until_done, LANES)),
    "wide": functools.partial(contender, make=lambda: batched(until_done, WIDE)),
    "scan": functools.partial(contender, make=lambda: batched(to_the_cap, LANES)),
    "loop": functools.partial(contender, make=lambda: batched(until_done, 1)),
    "sorted": functools.partial(contender, make=lambda: batched(until_done, LANES, ordered=True)),
}
TITLES = {
    "engine": "engine, lanes refilled",
    "engine_waiting": "engine without refill",
    "while": f"vmap(while_loop), {LANES} at a time",
    "wide": f"vmap(while_loop), {WIDE} at a time",
    "scan": f"vmap of a scan to the cap, {LANES} at a time",
    "loop": "Python loop over jitted while_loops",
    "sorted": "vmap(while_loop), sorted by length beforehand (oracle)",
}


def lane_steps(name: str, steps: np.ndarray) -> int:
    """Steps that a contender makes in all of its lanes, ended ones included."""
    if name == "scan":
        return CAP * TRIALS
    if name.startswith("engine"):
        return _counted(refilled if name == "engine" else waiting)
    ordered = np.sort(steps) if name == "sorted" else steps
    width = WIDTHS[name]
    return int((ordered.reshape(-1, width).max(axis=1) * width).sum())


def _counted(train: Train) -> int:
    """Counted while it runs, at most a step too many a chunk: a block goes on until enough of its lanes have ended."""
    compiled, count = programs.compiled_programs, [0]

    def counting(block: int, test_points: int) -> programs.Programs:
        real = compiled(block, test_points)

        def advance(lanes: programs.Lanes, steps: Any) -> Any:
            before = np.asarray(lanes.states.step)
            after, told = real.advance(lanes, steps)
            made = (np.asarray(told.step) - before).reshape(-1, block).max(axis=1)
            ended = np.asarray(told.status).reshape(-1, block) != Status.RUNNING
            # A step that only finds a target reached is made by the whole block too.
            count[0] += int(((made + (made < steps) * ended.any(axis=1)) * block).sum())
            return after, told

        return real._replace(advance=advance)

    programs.compiled_programs = counting  # type: ignore[assignment]
    try:
        train(trials())
    finally:
        programs.compiled_programs = compiled
    return count[0]


def run(rounds: int) -> list[dict[str, Any]]:
    """Race all contenders, one process with one core each."""
    seconds, first = race(__name__, 0, dict.fromkeys(CONTENDERS, 1), rounds)
    answers = {
        name: {key: np.array(value) for key, value in each[0].items()}
        for name, each in first.items()
    }
    steps, loss = answers["engine"]["steps"], answers["engine"]["loss"]
    apart = {name: float(np.max(np.abs(each["loss"] / loss - 1))) for name, each in answers.items()}
    useful = int(steps.sum())
    return [
        {
            "name": name,
            "seconds": seconds[name],
            "useful": useful,
            "lane_steps": lane_steps(name, steps),
            "apart": apart[name],
            "same_steps": float(np.mean(answers[name]["steps"] == steps)),
            "against": [a / b for a, b in zip(seconds["engine"], seconds[name], strict=True)],
        }
        for name in CONTENDERS
    ]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        f"{TRIALS:,} trials, {found[0]['useful']:,} useful steps, one core.",
        "",
        "| contender | seconds | engine over it | lane-steps over useful ones | losses apart | same last step |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {TITLES[each['name']]} | {statistics.median(each['seconds']):.2f} "
        f"| {statistics.median(each['against']):.2f} ({min(each['against']):.2f} to {max(each['against']):.2f}) "
        f"| {each['lane_steps'] / each['useful']:.2f} | {each['apart']:.0e} | {each['same_steps']:.0%} |"
        for each in found
    ]
