"""Trainings a second at several sizes, beside a Python loop over a jitted whole run and the rate of large products."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sweep import grid
from sweep.data.base import feature_directions, training_points
from sweep.engine.driver import Driver
from sweep.engine.recorder import RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.planning import plan
from sweep.training.measure import measure
from sweep.training.step import start
from sweep.trial import Trial
from sweep.workers.cores import available_cores
from tests.benchmarks.teams import race

TEST_POINTS = 1000


@dataclass(frozen=True)
class Case:
    """Trainings of one size with one optimizer: the core experiment."""

    n: int
    d: int
    width: int
    optimizer: str
    steps: int
    trials: int

    @property
    def flops(self) -> float:
        """Operations of all steps in ambient coordinates: two matrix products of n x d x 2 width a step."""
        return 4.0 * self.n * self.d * 2 * self.width * self.steps * self.trials

    def grid(self, coordinates: str) -> str:
        """The grid file of the case."""
        lr = {"gd": 0.02, "adam": 5e-5}[self.optimizer]
        return f"""
name: benchmark
seed: {{range: [0, {self.trials}]}}
data: {{kind: feature_noise, n: {self.n}, d: {self.d}, sparsity: {self.d // 10}, noise: 0.1, feature_noise: 0.2}}
model: {{kind: cnn, width: {self.width}, power: 3, init_scale: 0.01}}
objective: {{kind: logistic, l2: 1e-5}}
optimizer: {{kind: {self.optimizer}, lr: {lr}}}
train: {{steps: {self.steps}}}
coordinates: {coordinates}
test_points: {TEST_POINTS}
record: {{points: 0}}
"""


SIZES = (
    (20, 100, 10, 2000, 64),
    (40, 400, 20, 2000, 16),
    (200, 1000, 20, 2000, 4),
    (40, 2000, 20, 2000, 8),
)
CASES = tuple(
    Case(n, d, m, kind, steps, trials)
    for n, d, m, steps, trials in SIZES
    for kind in ("gd", "adam")
)


def engine(
    number: int, index: int, count: int, coordinates: str = "auto"
) -> Callable[[], list[float]]:
    """A worker of the engine on its share, as the command runs it but for the store."""
    case = CASES[number]
    found = plan.make_plan(
        grid.parse_grid(case.grid(coordinates)), plan.Host("cpu", count), (index, count)
    )
    (bucket,) = found.buckets
    trials = bucket.trials()

    def train() -> list[float]:
        losses = np.zeros(len(bucket.rows))
        for ended in Driver(
            TrialList(trials), bucket.lanes, bucket.block, RecordSchedule(0, False, TEST_POINTS)
        ):
            losses[ended.index] = ended.runs["train_loss"]
        return losses.tolist()

    return train


def loop(
    number: int, index: int, count: int, run: Callable[[Trial], Any]
) -> Callable[[], list[float]]:
    """A Python loop over a jitted whole run: data, initial weights, all steps and the test in one compiled program."""
    case = CASES[number]
    trials = (
        plan.make_plan(grid.parse_grid(case.grid("ambient")), plan.Host("cpu", 1))
        .buckets[0]
        .trials()
    )
    compiled = jax.jit(run)

    def train() -> list[float]:
        one_by_one = [
            compiled(jax.tree.map(lambda leaf, i=i: leaf[i], trials)) for i in range(case.trials)
        ]
        return [float(each) for each in jax.device_get(one_by_one)]

    return train


def whole_run(
    trial: Trial, loss: Callable[[Any, Trial, jax.Array, jax.Array], jax.Array]
) -> jax.Array:
    """One training written out by hand for the core experiment, with nothing in it that it does not need."""
    scene, state = start(trial)
    points = training_points(trial.data, trial.seed, feature_directions(trial.data, trial.seed))
    xi, y = points.noise.dense(trial.data.d)[:, 0], points.label[:, None]
    optimizer = trial.optimizer.transform()
    vectors = jax.lax.optimization_barrier((xi, y))
    first = state.params["filters"]["weights"][...].T

    def step(_: int, carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        weights, moments = carry
        gradient = jax.grad(loss)(weights, trial, *vectors) + trial.objective.l2 * weights
        updates, moments = optimizer.update(gradient, moments, weights)
        return optax.apply_updates(weights, updates), moments

    weights, _ = jax.lax.fori_loop(0, trial.train.steps, step, (first, optimizer.init(first)))
    params = jax.tree.map(lambda _: weights.T, state.params)
    return measure(trial, scene, state._replace(params=params), TEST_POINTS).observables[
        "train_loss"
    ]


def on_filters(weights: jax.Array, trial: Trial, xi: jax.Array, y: jax.Array) -> jax.Array:
    """The loss as we would write it by hand: a product with the noise alone, since the feature is one coordinate."""
    feature = y * weights[0]
    noise = xi @ weights - trial.data.feature_noise * feature
    return _loss(trial, feature, noise, y)


def on_patches(weights: jax.Array, trial: Trial, xi: jax.Array, y: jax.Array) -> jax.Array:
    """The loss as the definition reads: both patches (n, 2, d) go through the filters."""
    v = jnp.zeros_like(xi).at[:, 0].set(y[:, 0])
    patches = jax.lax.optimization_barrier(
        jnp.stack([v, xi - trial.data.feature_noise * v], axis=1)
    )
    responses = patches @ weights
    return _loss(trial, responses[:, 0], responses[:, 1], y)


def _loss(trial: Trial, feature: jax.Array, noise: jax.Array, y: jax.Array) -> jax.Array:
    signs = jnp.tile(jnp.array([1.0, -1.0]), trial.model.width)
    margin = (jax.nn.relu(feature) ** 3 + jax.nn.relu(noise) ** 3) @ signs
    return jnp.mean(jax.nn.softplus(-y[:, 0] * margin))


SIDE, PRODUCTS = 2048, 4


def products(number: int, index: int, count: int) -> Callable[[], list[float]]:
    """Large matrix products on all cores: the rate that no training of such sizes can beat."""
    multiply = jax.jit(lambda a, b: a @ b)
    a = jnp.ones((SIDE, SIDE))

    def run() -> list[float]:
        return [float(multiply(a, a)[0, 0].block_until_ready()) for _ in range(PRODUCTS)]

    return run


CONTENDERS = {
    "engine": engine,
    "engine_ambient": functools.partial(engine, coordinates="ambient"),
    "loop": functools.partial(loop, run=functools.partial(whole_run, loss=on_filters)),
    "loop_on_patches": functools.partial(loop, run=functools.partial(whole_run, loss=on_patches)),
    "products": products,
}


PLAIN = ("loop", "loop_on_patches", "products")
"""Contenders that run as jax sets itself up, with matrix products on all cores."""


def run(rounds: int) -> list[dict[str, Any]]:
    """Race all contenders on all cases."""
    found = []
    members = dict.fromkeys(CONTENDERS, 1) | dict.fromkeys(
        ("engine", "engine_ambient"), len(available_cores())
    )
    for number, case in enumerate(CASES):
        seconds, first = race(__name__, number, members, rounds)
        losses = {
            name: np.concatenate(_in_order(answers))
            for name, answers in first.items()
            if name != "products"
        }
        apart = max(float(np.max(np.abs(each / losses["loop"] - 1))) for each in losses.values())
        found.append({"case": vars(case), "seconds": seconds, "apart": apart})
    return found


def _in_order(answers: list[list[float]]) -> list[np.ndarray]:
    """The answers of members that took every count-th trial, in the order of trials."""
    together = np.zeros(sum(map(len, answers)))
    for index, answer in enumerate(answers):
        together[index :: len(answers)] = answer
    return [together]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| n, d, width | optimizer | engine, trials/s | over loop (range) | over loop on patches "
        "| in ambient coordinates over loop (range) | GFLOP/s there | of large products | losses |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        case, seconds = Case(**each["case"]), each["seconds"]
        over = {
            (a, b): sorted(x / y for x, y in zip(seconds[b], seconds[a], strict=True))
            for a in ("engine", "engine_ambient")
            for b in ("loop", "loop_on_patches")
        }
        speed = case.flops / statistics.median(seconds["engine_ambient"]) / 1e9
        large = 2 * SIDE**3 * PRODUCTS / statistics.median(seconds["products"]) / 1e9
        lines.append(
            f"| {case.n}, {case.d}, {case.width} | {case.optimizer} "
            f"| {case.trials / statistics.median(seconds['engine']):.1f} | {_spread(over['engine', 'loop'])} "
            f"| {_spread(over['engine', 'loop_on_patches'])} | {_spread(over['engine_ambient', 'loop'])} "
            f"| {speed:.0f} | {speed / large:.0%} of {large:.0f} | {each['apart']:.0e} |"
        )
    return lines


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
