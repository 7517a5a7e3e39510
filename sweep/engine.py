"""The one file that batches: lanes of one compiled program, a chunk of steps at a time, refilled as they end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from sweep import measure, trainer
from sweep.measure import Measurement
from sweep.trial import Trial

T = TypeVar("T")


class Lanes(NamedTuple):
    """A batch on the device: every leaf has the lane axis first."""

    trials: Trial
    worlds: trainer.World
    states: trainer.State


class Programs(NamedTuple):
    """The compiled programs of a bucket; `Lanes` that go in are used up.

    fill(lanes, trials, due): starts the trials of the due lanes. advance(lanes, steps): that many steps of every running
    lane, and a copy of all statuses. look(lanes, due): measurements of the due lanes.
    """

    fill: Callable[[Lanes, Trial, Any], Lanes]
    advance: Callable[[Lanes, Any], tuple[Lanes, jax.Array]]
    look: Callable[[Lanes, Any], Measurement]


def where_due(fn: Callable[[Any], T], due: jax.Array, args: Any, otherwise: T) -> T:
    """`fn` of the lanes that are due, `otherwise` elsewhere.

    On a CPU the lanes go one by one and only those that are due cost anything; elsewhere all go at once.
    """

    def one(lane: tuple[jax.Array, Any, T]) -> T:
        due, args, otherwise = lane
        return jax.lax.cond(due, lambda: fn(args), lambda: otherwise)

    lanes = (due, args, otherwise)
    return jax.lax.map(one, lanes) if jax.default_backend() == "cpu" else jax.vmap(one)(lanes)


@functools.lru_cache
def programs(test_points: int) -> Programs:
    """Programs that measure on so many fresh points; jax compiles each once for a structure of trials and lane count."""

    def fill(lanes: Lanes, trials: Trial, due: jax.Array) -> Lanes:
        return where_due(_begin, due, trials, lanes)

    def advance(lanes: Lanes, steps: jax.Array) -> tuple[Lanes, jax.Array]:
        def step(_: Any, states: trainer.State) -> trainer.State:
            return jax.vmap(trainer.advance)(lanes.trials, lanes.worlds, states)

        states = jax.lax.fori_loop(0, steps, step, lanes.states)
        return lanes._replace(states=states), states.status + 0

    def look(lanes: Lanes, due: jax.Array) -> Measurement:
        def one(lane: Lanes) -> Measurement:
            return measure.measure(*lane, test_points)

        shape = jax.eval_shape(jax.vmap(one), lanes)
        return where_due(one, due, lanes, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape))

    return Programs(jax.jit(fill, donate_argnums=0), jax.jit(advance, donate_argnums=0), jax.jit(look))


def _begin(trial: Trial) -> Lanes:
    return Lanes(trial, *trainer.start(trial))


def take(trials: Trial, rows: np.ndarray) -> Trial:
    """Some trials of a batch of them."""
    return jax.tree.map(lambda leaf: leaf[rows], trials)


def empty(trials: Trial, lanes: int) -> Lanes:
    """Lanes for such trials, with nothing in them, spread over the local accelerators."""
    shape = jax.eval_shape(jax.vmap(_begin), take(trials, np.zeros(lanes, np.int64)))
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    return jax.device_put(blank, placement(lanes))


def placement(lanes: int) -> NamedSharding | None:
    """The lane axis over all local accelerators where it divides; None on a CPU or a single device.

    Never over several host CPU devices in one process: jax 0.10.2 deadlocks there.
    """
    devices = jax.local_devices()
    if jax.default_backend() == "cpu" or len(devices) == 1 or lanes % len(devices):
        return None
    mesh = jax.make_mesh((len(devices),), ("lanes",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec("lanes"))
