"""Whole trainings of one lane, in three programs of which each is compiled once for what it depends on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from sweep.filters import TrainingInputs
from sweep.optimizers.gradient import GradientDescent
from sweep.training import measure, step
from sweep.training.measure import Measurement
from sweep.training.step import State
from sweep.trial import Train, Trial

POINTS = 50

quick: Callable[..., Any] = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
"""A program that runs for milliseconds takes longest to compile; this halves it."""


class Trained(NamedTuple):
    """A lane before and after some updates. The status of `measured` knows of no target; that of `state` does."""

    inputs: TrainingInputs
    first: Any
    state: State
    measured: Measurement


def train(one: Trial, updates: int, points: int = POINTS) -> Trained:
    """So many calls of `advance`, then a measurement on so many fresh points."""
    problem = one.replace(optimizer=GradientDescent(lr=1.0), train=Train())
    inputs, params = _start(problem)
    state = _advance(one, inputs, params, updates)
    return Trained(
        inputs,
        params,
        state,
        _measure(problem, inputs, state._replace(moments=(), order=None), points),
    )


@quick
def _start(one: Trial) -> tuple[TrainingInputs, Any]:
    inputs, state = step.start(one)
    return inputs, state.params


@quick
def _advance(one: Trial, inputs: TrainingInputs, params: Any, updates: Any) -> State:
    state = step.start(one)[1]._replace(params=params)
    return jax.lax.fori_loop(0, updates, lambda _, state: step.advance(one, inputs, state), state)


@functools.partial(quick, static_argnums=3)
def _measure(one: Trial, inputs: TrainingInputs, state: State, points: int) -> Measurement:
    return measure.measure(one, inputs, state, points)


def told(trained: Trained) -> dict[str, float]:
    """All that is measured, as Python numbers; counts that there are none of are left out."""
    counts = {
        "train_wrong": trained.measured.train_wrong,
        "test_wrong": trained.measured.test_wrong,
    }
    measured = {**trained.measured.observables, **counts}
    return {name: float(each) for name, each in measured.items() if each is not None}


def end(trained: Trained) -> tuple[int, int]:
    """The step and the status at the end."""
    return int(trained.state.step), int(trained.state.status)


def same(found: Trained, expected: Trained) -> None:
    """Two trainings differ by rounding errors alone, in all that is told of both."""
    assert told(found) == pytest.approx(told(expected), rel=1e-10, abs=1e-13)
    assert end(found) == end(expected)


def weights(trained: Trained, start: np.ndarray | None = None) -> np.ndarray:
    """W (d, units). Coordinates that keep some rows alone need the initial weights."""
    filters, frame = trained.state.params["filters"], trained.inputs.context
    if "along" in filters:
        kept, along = filters["kept"][...], filters["along"][...]
        return np.asarray(kept * frame.first + frame.vectors.T @ along)
    found = np.asarray(filters["weights"][...]).T
    if "kept" not in filters:
        return found
    assert start is not None
    rows = np.asarray(frame.rows)
    everything = np.asarray(filters["kept"][...]) * start
    everything[rows[rows < len(start)]] = found[rows < len(start)]
    return everything
