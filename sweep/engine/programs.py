"""The compiled programs that carry many lanes: the only place where trials are batched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.stages import Wrapped

from sweep.engine.lane_mapping import awaited_ends, map_blocks, map_selected
from sweep.filters import TrainingInputs
from sweep.status import Status
from sweep.training import evaluation, step
from sweep.training.measure import Measurement
from sweep.training.measure import measure as measure_lane
from sweep.trial import Trial


class Lanes(NamedTuple):
    """A batch of lanes on the device: the first axis of every leaf is the lane."""

    trials: Trial
    inputs: TrainingInputs
    states: step.State


class LaneStatus(NamedTuple):
    """Step and status of each lane."""

    step: jax.Array
    status: jax.Array


class Programs(NamedTuple):
    """The compiled programs of a bucket. Those that return `Lanes` donate the ones passed in.

    Attributes:
        empty: (trials) -> lanes for such trials, one each, with no trial running.
        fill: (lanes, trials, lane_mask) -> lanes; starts the trials of the masked lanes.
        advance: (lanes, steps) -> lanes and their status, after at most `steps` updates each.
        draw_tables: (trial) -> the random numbers of the trial's fresh points; not compiled.
        store_draws: (tables, slot, trial) -> tables, with the trial's table in that slot.
        measure: (lanes, lane_mask, tables, slots) -> measurements of the masked lanes, with the
            tables in the lanes' slots, or with numbers drawn on the fly where `tables` is None.
        restore: (lanes, states, lane_mask) -> lanes; replaces the states of the masked lanes.
    """

    empty: Wrapped
    fill: Wrapped
    advance: Wrapped
    draw_tables: Callable[[Trial], Any]
    store_draws: Wrapped
    measure: Wrapped
    restore: Wrapped


@functools.lru_cache
def compiled_programs(block: int, test_points: int, validation_points: int = 0) -> Programs:
    """Programs for blocks of `block` lanes that measure on so many fresh points.

    jax compiles each of them once per structure of trials and number of lanes.
    """
    functions = _LaneFunctions(block, test_points, validation_points)
    # Donated lanes are updated in place: a bucket needs the memory of its lanes only once.
    in_place = functools.partial(jax.jit, donate_argnums=0)
    return Programs(
        empty=jax.jit(functions.empty),
        fill=in_place(functions.fill),
        advance=in_place(functions.advance),
        draw_tables=functions.draw_tables,
        store_draws=in_place(functions.store_draws),
        measure=jax.jit(functions.measure),
        restore=in_place(functions.restore),
    )


@dataclass(frozen=True)
class _LaneFunctions:
    """The functions behind `Programs`, which lists their arguments, before compilation."""

    block: int
    test_points: int
    validation_points: int

    def empty(self, trials: Trial) -> Lanes:
        """Lanes for such trials, one each, none of them running."""
        lanes = _zeros_like_result(jax.vmap(begin_lanes), trials)
        status = jnp.full_like(lanes.states.status, np.int32(Status.OUT_OF_STEPS))
        return lanes._replace(states=lanes.states._replace(status=status))

    def fill(self, lanes: Lanes, trials: Trial, lane_mask: jax.Array) -> Lanes:
        """The lanes, those of the mask at the start of the trial given for them."""
        return map_selected(begin_lanes, lane_mask, trials, lanes)

    def advance(self, lanes: Lanes, steps: jax.Array) -> tuple[Lanes, LaneStatus]:
        """The lanes after at most `steps` updates each, and the status of every lane."""
        advance_block = functools.partial(
            _advance_block,
            steps=steps,
            update=step.advance if self.block == 1 else jax.vmap(step.advance),
            awaited=awaited_ends(self.block),
        )
        states = map_blocks(advance_block, lanes, self.block)
        # The sums copy: the states are donated to the next chunk before the host reads the status.
        return lanes._replace(states=states), LaneStatus(states.step + 0, states.status + 0)

    def draw_tables(self, trial: Trial) -> Any:
        """The random numbers of the trial's fresh points."""
        return evaluation.draw_tables(trial, self.test_points, self.validation_points)

    def store_draws(self, tables: Any, slot: jax.Array, trial: Trial) -> Any:
        """The tables, with the random numbers of the trial's fresh points in one slot."""
        drawn = self.draw_tables(trial)
        return jax.tree.map(lambda stored, new: stored.at[slot].set(new), tables, drawn)

    def measure(
        self, lanes: Lanes, lane_mask: jax.Array, tables: Any, slots: jax.Array
    ) -> Measurement:
        """Measurements of the lanes of the mask, zeros for the others."""

        def measure_slot(lane_and_slot: tuple[Lanes, jax.Array]) -> Measurement:
            lane, slot = lane_and_slot
            draws = None if tables is None else evaluation.CachedDraws(tables, slot)
            return measure_lane(*lane, self.test_points, draws, self.validation_points)

        args = lanes, slots
        blank = _zeros_like_result(jax.vmap(measure_slot), args)
        return map_selected(measure_slot, lane_mask, args, blank)

    def restore(self, lanes: Lanes, states: step.State, lane_mask: jax.Array) -> Lanes:
        """The lanes with `states`, as read from a checkpoint, in those of the mask."""
        select = jax.vmap(jnp.where)
        restored = jax.tree.map(lambda new, old: select(lane_mask, new, old), states, lanes.states)
        return lanes._replace(states=restored)


def begin_lanes(trial: Trial) -> Lanes:
    """A lane at the start of a trial."""
    return Lanes(trial, *step.start(trial))


def _zeros_like_result(fn: Callable[[Any], Any], args: Any) -> Any:
    """Zeros in the shape of `fn(args)`, which is not computed."""
    shape = jax.eval_shape(fn, args)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)


def _advance_block(
    lanes: Lanes, steps: jax.Array, update: Callable[..., step.State], awaited: int
) -> step.State:
    """Make at most `steps` updates of a block; stop once `awaited` lanes have ended (0: all)."""

    def running_count(states: step.State) -> jax.Array:
        return jnp.sum(states.status == Status.RUNNING)

    threshold = jnp.maximum(running_count(lanes.states) - awaited, 0) if awaited else 0

    def is_incomplete(carry: tuple[jax.Array, step.State]) -> jax.Array:
        return (carry[0] < steps) & (running_count(carry[1]) > threshold)

    def make_update(carry: tuple[jax.Array, step.State]) -> tuple[jax.Array, step.State]:
        return carry[0] + 1, update(lanes.trials, lanes.inputs, carry[1])

    start = jnp.zeros_like(steps), lanes.states
    return jax.lax.while_loop(is_incomplete, make_update, start)[1]


def memory_needed(programs: Programs, trials: Trial, lanes: int) -> int:
    """Peak device memory in bytes of any of the programs, as estimated by the compiler.

    Compiles the programs, which the persistent cache keeps, but runs none of them.

    Args:
        programs: The programs of the bucket.
        trials: Any batch of its trials; only the types of the leaves matter.
        lanes: Number of lanes, over all local devices.
    """
    lanes //= len(jax.local_devices()) if placement(lanes) else 1
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes,), leaf.dtype), trials)
    lane_mask = jax.ShapeDtypeStruct((lanes,), bool)
    slots = jax.ShapeDtypeStruct((lanes,), np.int32)
    empty = jax.eval_shape(programs.empty, shapes)
    calls = (
        programs.fill.lower(empty, shapes, lane_mask),
        programs.advance.lower(empty, np.int32(1)),
        programs.measure.lower(empty, lane_mask, None, slots),
    )
    analyses = (call.compile().memory_analysis() for call in calls)
    return max(_total_bytes(analysis) for analysis in analyses if analysis)


def _total_bytes(analysis: Any) -> int:
    """Bytes that a program holds at a time, from the compiler's analysis of its memory."""
    sizes = (
        analysis.argument_size_in_bytes,
        analysis.output_size_in_bytes,
        analysis.temp_size_in_bytes,
    )
    # Donated arguments are also outputs and would be counted twice.
    return sum(sizes) - analysis.alias_size_in_bytes


def memory_limit() -> int | None:
    """Bytes a program may use on each device; None if devices do not report it, as on a CPU."""
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    limits = [stats["bytes_limit"] for stats in statistics if "bytes_limit" in stats]
    return min(limits, default=None)


def take_trials(trials: Trial, rows: np.ndarray | int) -> Trial:
    """The trials in some rows of a batch."""
    return jax.tree.map(lambda leaf: leaf[rows], trials)


def placement(lanes: int) -> NamedSharding | None:
    """The lane axis split over all local accelerators, if their number divides it.

    None on a CPU or a single device. Never over several host CPU devices in one process:
    jax 0.10.2 deadlocks there.
    """
    devices = jax.local_devices()
    if jax.default_backend() == "cpu" or len(devices) == 1 or lanes % len(devices):
        return None
    axis_types = (AxisType.Auto,)
    mesh = jax.make_mesh((len(devices),), ("lanes",), axis_types=axis_types, devices=devices)
    return NamedSharding(mesh, PartitionSpec("lanes"))
