"""The contenders: a process that trains a case whenever it is told to, and answers with seconds and final losses."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sweep import grid, plan, session
from sweep.crew import Crew, Job
from sweep.data.base import features, training_points
from sweep.drive import Queue, Records
from sweep.measure import measure
from sweep.trainer import start
from sweep.trial import Trial
from tests.benchmarks.cases import CASES, TEST_POINTS, Case

Contender = Callable[[Case], Callable[[], np.ndarray]]
"""Prepares a case and returns what trains it: a function of nothing to the final training losses, by seed."""


def engine(case: Case) -> Callable[[], np.ndarray]:
    """The engine as the command runs it, without the store."""
    found = plan.make(grid.parse(case.grid), plan.Host(jax.default_backend(), session.cores()))
    (bucket,) = found.buckets

    def train() -> np.ndarray:
        job = Job(Queue(bucket.trials(), found.host.threads), bucket.lanes, bucket.block)
        losses = np.zeros(case.trials)
        for _, ended in Crew([job], found.host.threads, Records(0, False, TEST_POINTS)):
            losses[ended.index] = ended.runs["train_loss"]
        return losses

    return train


def loop(case: Case) -> Callable[[], np.ndarray]:
    """A Python loop over a jitted whole run: data, first weights, all steps and the test in one compiled program."""
    found = plan.make(grid.parse(case.grid), plan.Host("cpu", 1))
    trials = found.buckets[0].trials()
    run = jax.jit(whole_run)

    def train() -> np.ndarray:
        one_by_one = [run(jax.tree.map(lambda leaf, i=i: leaf[i], trials)) for i in range(case.trials)]
        return np.array([float(each.observables["train_loss"]) for each in jax.device_get(one_by_one)])

    return train


def whole_run(trial: Trial) -> Any:
    """One training written out by hand for the core experiment, with nothing in it that it does not need."""
    world, state = start(trial)
    points = training_points(trial.data, trial.seed, features(trial.data, trial.seed))
    xi, y = points.noise.dense(trial.data.d)[:, 0], points.label[:, None]
    signs = jnp.tile(jnp.array([1.0, -1.0]), trial.model.units() // 2)

    def loss(params: Any) -> jax.Array:
        weights = params["filters"]["weights"][...]
        feature = y * weights[0]
        noise = xi @ weights - trial.data.feature_noise * feature
        margin = (jax.nn.relu(feature) ** 3 + jax.nn.relu(noise) ** 3) @ signs
        return jnp.mean(jax.nn.softplus(-y[:, 0] * margin))

    optimizer = trial.optimizer.transform()

    def step(_: int, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        params, moments = carry
        grads = jax.tree.map(lambda g, w: g + trial.objective.l2 * w, jax.grad(loss)(params), params)
        updates, moments = optimizer.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments

    params, _ = jax.lax.fori_loop(0, trial.train.steps, step, (state.params, state.moments))
    return measure(trial, world, state._replace(params=params), TEST_POINTS)


CONTENDERS: dict[str, Contender] = {"engine": engine, "loop": loop}


def serve(name: str) -> None:
    """Read numbers of cases from standard input; answer each with a line of JSON."""
    if name == "engine":
        session.configure("float32")
    ready: dict[int, Callable[[], np.ndarray]] = {}
    for line in sys.stdin:
        number = int(line)
        if number not in ready:
            ready[number] = CONTENDERS[name](CASES[number])
            ready[number]()
        began = time.perf_counter()
        losses = ready[number]()
        print(json.dumps({"seconds": time.perf_counter() - began, "losses": losses.tolist()}), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
