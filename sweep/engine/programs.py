"""The one file that batches: the compiled programs that carry many lanes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.stages import Wrapped

from sweep.filters import TrainingInputs
from sweep.status import Status
from sweep.training import evaluation, measure, step
from sweep.training.measure import Measurement
from sweep.trial import Trial

T = TypeVar("T")


class Lanes(NamedTuple):
    """A batch on the device: every leaf has the lane axis first."""

    trials: Trial
    scenes: TrainingInputs
    states: step.State


class LaneStatus(NamedTuple):
    """Step and status of each lane."""

    step: jax.Array
    status: jax.Array


class Programs(NamedTuple):
    """The compiled programs of a bucket; `Lanes` that go in are used up.

    empty(trials): lanes for such trials, one for each, with nothing in them yet. fill(lanes, trials, due): starts the
    trials of the due lanes. advance(lanes, steps): at most that many steps of every running lane, and where they all
    stand then. table(trial): the random numbers of the fresh points of a trial. shelve(tables, place, trial): they take
    a place among others. look(lanes, due, tables, places): measurements of the due lanes, each on the fresh points that
    have its place, or on points of its own where there are no tables. restore(lanes, states, due): the due lanes go on
    from other states.
    """

    empty: Wrapped
    fill: Wrapped
    advance: Wrapped
    table: Callable[[Trial], Any]
    shelve: Wrapped
    look: Wrapped
    restore: Wrapped


def each_block(fn: Callable[[Any], T], lanes: Any, block: int) -> T:
    """`fn` of each block of lanes, the blocks one after the other.

    The block is part of the bits of a result, the number of lanes is not. A block of one lane has no lane axis: the
    matrix products of XLA on a CPU are up to 1.4 times faster without a batch dimension.
    """
    if block == 1:
        return jax.lax.map(fn, lanes)
    count = len(jax.tree.leaves(lanes)[0])
    if count == block:
        return fn(lanes)
    apart = jax.tree.map(lambda leaf: leaf.reshape(count // block, block, *leaf.shape[1:]), lanes)
    return jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[2:]), jax.lax.map(fn, apart))


@functools.lru_cache
def compiled_programs(block: int, test_points: int) -> Programs:
    """Programs for such blocks that measure on so many fresh points.

    jax compiles each of them once for a structure of trials and a number of lanes.
    """

    def empty(trials: Trial) -> Lanes:
        shape = jax.eval_shape(jax.vmap(begin_lanes), trials)
        lanes = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
        ended = jnp.full_like(lanes.states.status, np.int32(Status.OUT_OF_STEPS))
        return lanes._replace(states=lanes.states._replace(status=ended))

    def fill(lanes: Lanes, trials: Trial, due: jax.Array) -> Lanes:
        return _where_due(begin_lanes, due, trials, lanes)

    def advance(lanes: Lanes, steps: jax.Array) -> tuple[Lanes, LaneStatus]:
        one = step.advance if block == 1 else jax.vmap(step.advance)
        states = each_block(functools.partial(_advance, steps=steps, one=one, few=awaited_ends(block)), lanes, block)
        return lanes._replace(states=states), LaneStatus(states.step + 0, states.status + 0)

    def table(trial: Trial) -> Any:
        return evaluation.draw_table(trial, test_points)

    def shelve(tables: Any, place: jax.Array, trial: Trial) -> Any:
        return jax.tree.map(lambda all_of_them, new: all_of_them.at[place].set(new), tables, table(trial))

    def look(lanes: Lanes, due: jax.Array, tables: Any, places: jax.Array) -> Measurement:
        def one(each: tuple[Lanes, jax.Array]) -> Measurement:
            lane, place = each
            return measure.measure(
                *lane, test_points, None if tables is None else evaluation.CachedDraws(tables, place)
            )

        args = lanes, places
        shape = jax.eval_shape(jax.vmap(one), args)
        return _where_due(one, due, args, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape))

    def restore(lanes: Lanes, states: step.State, due: jax.Array) -> Lanes:
        def choose(due: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
            return jnp.where(due, one, other)

        return lanes._replace(states=jax.tree.map(lambda *each: jax.vmap(choose)(due, *each), states, lanes.states))

    in_place = functools.partial(jax.jit, donate_argnums=0)
    return Programs(
        empty=jax.jit(empty),
        fill=in_place(fill),
        advance=in_place(advance),
        table=table,
        shelve=in_place(shelve),
        look=jax.jit(look),
        restore=in_place(restore),
    )


def begin_lanes(trial: Trial) -> Lanes:
    """A lane at the start of a trial."""
    return Lanes(trial, *step.start(trial))


def _advance(lanes: Lanes, steps: jax.Array, one: Callable[..., step.State], few: int) -> step.State:
    """At most `steps` steps `one` of a block of lanes, until `few` more of them have ended, or all where `few` is 0."""

    def running(states: step.State) -> jax.Array:
        return jnp.sum(states.status == Status.RUNNING)

    least = jnp.maximum(running(lanes.states) - few, 0) if few else 0

    def going(carry: tuple[jax.Array, step.State]) -> jax.Array:
        return (carry[0] < steps) & (running(carry[1]) > least)

    def step(carry: tuple[jax.Array, step.State]) -> tuple[jax.Array, step.State]:
        return carry[0] + 1, one(lanes.trials, lanes.scenes, carry[1])

    return jax.lax.while_loop(going, step, (jnp.zeros_like(steps), lanes.states))[1]


def awaited_ends(block: int) -> int:
    """How many lanes of such a block have to end before its chunk does, so that they are refilled; 0 for all of them.

    An eighth, on a CPU, where a call costs as much as some hundred steps of so small a network. A single lane ends by
    itself.
    """
    return max(1, block // 8) if block > 1 and jax.default_backend() == "cpu" else 0


def _where_due(fn: Callable[[Any], T], due: jax.Array, args: Any, otherwise: T) -> T:
    """`fn` of the lanes that are due, `otherwise` elsewhere; one by one on a CPU, so that only due lanes cost."""

    def one(lane: tuple[jax.Array, Any, T]) -> T:
        due, args, otherwise = lane
        return jax.lax.cond(due, lambda: fn(args), lambda: otherwise)

    lanes = due, args, otherwise
    return jax.lax.map(one, lanes) if jax.default_backend() == "cpu" else jax.vmap(one)(lanes)


def memory_needed(programs: Programs, trials: Trial, lanes: int) -> int:
    """Bytes of a device that so many lanes for such trials take at most while a program runs, as the compiler tells.

    Nothing runs for it, and the persistent cache keeps what was compiled.
    """
    lanes //= len(jax.local_devices()) if placement(lanes) else 1
    some = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes,), leaf.dtype), trials)
    due, places = jax.ShapeDtypeStruct((lanes,), bool), jax.ShapeDtypeStruct((lanes,), np.int32)
    empty = jax.eval_shape(programs.empty, some)
    calls = (
        programs.fill.lower(empty, some, due),
        programs.advance.lower(empty, np.int32(1)),
        programs.look.lower(empty, due, None, places),
    )
    found = [told for call in calls if (told := call.compile().memory_analysis())]
    sizes = ("argument", "output", "temp")
    return max(
        sum(getattr(each, f"{size}_size_in_bytes") for size in sizes) - each.alias_size_in_bytes for each in found
    )


def memory_limit() -> int | None:
    """Bytes that a program may take on a device of this process; None where devices do not tell, as on a CPU."""
    told = (device.memory_stats() or {} for device in jax.local_devices())
    return min((each["bytes_limit"] for each in told if "bytes_limit" in each), default=None)


def take_trials(trials: Trial, rows: np.ndarray | int) -> Trial:
    """Some trials of a batch of them."""
    return jax.tree.map(lambda leaf: leaf[rows], trials)


def placement(lanes: int) -> NamedSharding | None:
    """The lane axis over all local accelerators where it divides; None on a CPU or a single device.

    Never over several host CPU devices in one process: jax 0.10.2 deadlocks there.
    """
    devices = jax.local_devices()
    if jax.default_backend() == "cpu" or len(devices) == 1 or lanes % len(devices):
        return None
    mesh = jax.make_mesh((len(devices),), ("lanes",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec("lanes"))
