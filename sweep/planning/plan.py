"""From blocks to buckets: which trials share a program, and which of them a worker has to train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import jax
import numpy as np

from sweep.engine import programs
from sweep.grid import Block, Grid, Settings
from sweep.jax_settings import pinned_settings
from sweep.planning import cost_model, packing
from sweep.planning.bucket import Bucket
from sweep.planning.check_outputs import check_outputs
from sweep.wording import counted, duration_text, memory_text

LANE_SECONDS, MOST_LANES, ACCELERATOR_BYTES = 0.05, 1024, 4 << 30
"""Work that the lanes of a CPU hold, limit of their number, memory assumed on an accelerator."""
SLICES, SLICE_SECONDS = 64, 20.0
"""Least number of slices that a grid is cut into, and the most seconds that one should take."""


@dataclass(frozen=True)
class Host:
    """Where a plan runs: the jax platform (`cpu`, `gpu`, `tpu`) and the number of workers there."""

    platform: str
    workers: int


@dataclass(frozen=True)
class Plan:
    """The buckets of one share of a grid, with the trials that are left to do."""

    grid: Grid
    host: Host
    buckets: tuple[Bucket, ...]

    @property
    def planned(self) -> int:
        """Trials of the share, finished ones included."""
        return sum(bucket.planned for bucket in self.buckets)

    @property
    def left(self) -> int:
        """Trials of the share that are not done yet."""
        return sum(len(bucket.rows) for bucket in self.buckets)

    def seconds(self) -> float:
        """A rough estimate of the remaining time, compilation included."""
        return self.work() / self.host.workers

    def work(self) -> float:
        """The remaining time on a single core."""
        unfinished_buckets = [bucket for bucket in self.buckets if len(bucket.rows)]
        return sum(bucket.seconds() + cost_model.COMPILE for bucket in unfinished_buckets)


def make_plan(
    grid: Grid,
    host: Host,
    shard: tuple[int, int] = (0, 1),
    done: np.ndarray | None = None,
    blocks: Mapping[str, int] | None = None,
) -> Plan:
    """The plan of one share of a grid.

    Args:
        grid: the grid.
        host: where the plan runs.
        shard: (index, count); the share is cut from the whole grid, finished trials included, so
            that shares stay disjoint whenever they start.
        done: sorted ids of finished trials, which are left out.
        blocks: the block of some buckets by bucket id. A block is part of the bits of a result, so
            a store with results of a bucket fixes it.
    """
    # Shapes are found by tracing, which some settings of a caller would hinder.
    with pinned_settings():
        shares = _shares(grid, host, shard, blocks or {})
    return unfinished(Plan(grid, host, tuple(bucket for bucket in shares if bucket.planned)), done)


def _shares(
    grid: Grid, host: Host, shard: tuple[int, int], blocks: Mapping[str, int]
) -> list[Bucket]:
    """This share of every bucket of a grid; the arguments are those of `make_plan`."""
    buckets = [
        bucket
        for number, source in enumerate(grid.blocks)
        for bucket in _buckets(source, grid.settings, number)
    ]
    check_outputs(buckets)
    program_sizes: Counter[str] = Counter()
    for bucket in buckets:
        program_sizes[bucket.id] += bucket.planned
    slice_seconds = min(SLICE_SECONDS, sum(bucket.seconds() for bucket in buckets) / SLICES)
    shares = []
    for bucket in buckets:
        sliced = _with_slices(bucket, slice_seconds, shard)
        block = blocks.get(bucket.id)
        sized = _with_lanes(sliced, host, program_sizes[bucket.id], block)
        shares.append(share(sized, *shard))
    return shares


def unfinished(plan: Plan, done: np.ndarray | None) -> Plan:
    """The plan without trials that are done (sorted ids)."""
    return replace(plan, buckets=tuple(remove_finished(bucket, done) for bucket in plan.buckets))


def share(bucket: Bucket, index: int, count: int) -> Bucket:
    """Every count-th trial of a bucket, starting with the index-th."""
    rows = bucket.rows[index::count]
    return replace(bucket, rows=rows, planned=len(rows))


def remove_finished(bucket: Bucket, done: np.ndarray | None) -> Bucket:
    """The bucket with only the trials that are not in `done`."""
    if done is None or len(done) == 0:
        return bucket
    trials, _ = bucket.source.ids(bucket.rows)
    return replace(bucket, rows=bucket.rows[~np.isin(trials, done)])


def _buckets(source: Block, settings: Settings, number: int) -> Iterable[Bucket]:
    """The buckets of a block; `number` is that of the block in the grid."""
    for group in packing.packed_groups(source, settings):
        bucket = Bucket(
            source,
            group.statics,
            group.rows,
            group.count,
            group.sizes,
            group.cost,
            group.waste,
        )
        yield replace(bucket, name=f"{bucket.id}-{number}")


def _with_slices(bucket: Bucket, seconds: float, shard: tuple[int, int]) -> Bucket:
    """The bucket in slices, in each of which this shard trains for about `seconds`."""
    index, count = shard
    trials = max(1.0, seconds / bucket.cost.seconds) * count
    points = bucket.source.points
    # At most all rows, whose numbers are of a type that may hold no larger number.
    span = min(points, max(1, round(trials * points / bucket.planned)))
    return replace(bucket, name=f"{bucket.name}-{index}of{count}", span=span)


def _with_lanes(bucket: Bucket, host: Host, program_size: int, block: int | None) -> Bucket:
    """The bucket with its memory, lanes and block.

    On a CPU a block is one lane unless the network is so small that vmap pays, and the lanes hold
    a twentieth of a second of work; an accelerator takes as many lanes as fit, all in one block.

    Args:
        bucket: a bucket of the whole grid, not only of a share.
        host: where it is trained.
        program_size: number of trials of the whole grid that share its program.
        block: the block if it is fixed already.
    """
    bucket = replace(bucket, bytes=_lane_bytes(bucket))
    if host.platform != "cpu":
        fitting = max(1, ACCELERATOR_BYTES // (2 * bucket.bytes))
        if not block:
            # A power of two each, so that a slightly larger grid has the same block and bits.
            block = min(_power_of_two(program_size), _power_of_two(fitting + 1) // 2, 4096)
        return replace(bucket, block=block, lanes=block)
    block = block or bucket.cost.block
    trials_per_worker = _ceil_divide(bucket.planned, host.workers)
    steps = int(bucket.source.values(bucket.rows[:1])["steps"][0])
    busy_lanes = 1 + int(LANE_SECONDS / (bucket.cost.step * max(steps, 1)))
    lanes = min(MOST_LANES, trials_per_worker, busy_lanes)
    return replace(bucket, block=block, lanes=block * _ceil_divide(lanes, block))


def _lane_bytes(bucket: Bucket) -> int:
    """Memory of a lane, from the shapes of its arrays; no device is touched."""
    batch = bucket.source.trial(bucket.rows[:1], bucket.statics, bucket.sizes)
    trial = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), batch)
    leaves = jax.tree.leaves(jax.eval_shape(programs.begin_lanes, trial))
    # Keys of random streams have no itemsize; they weigh nothing beside the rest.
    arrays = [leaf for leaf in leaves if hasattr(leaf.dtype, "itemsize")]
    return sum(array.size * array.dtype.itemsize for array in arrays)


def _ceil_divide(count: int, size: int) -> int:
    return -(-count // size)


def _power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << max(0, count - 1).bit_length()


def describe_plan(plan: Plan) -> str:
    """The plan in words, for `--dry-run`."""
    done = plan.planned - plan.left
    counts = f"{counted(plan.planned, 'trial')}, {plan.left:,} left to do, {done:,} done"
    # Each worker holds the lanes of one bucket at a time: at worst, of the largest ones.
    lane_bytes = sorted(bucket.lanes * bucket.bytes for bucket in plan.buckets)
    memory = sum(lane_bytes[-plan.host.workers :])
    total = (
        f"{counted(len(plan.buckets), 'bucket')}, one program to compile for each; "
        f"{counted(plan.host.workers, 'worker')} on {plan.host.platform}. Takes roughly "
        f"{duration_text(max(plan.seconds(), 1))}, and {memory_text(memory)} of memory for the "
        "lanes (the trainings that run at once), besides that of Python and jax."
    )
    return "\n".join([f"{plan.grid.name}: {counts}.", *map(_bucket_line, plan.buckets), total])


def _bucket_line(bucket: Bucket) -> str:
    """A line of `describe_plan` on a bucket."""
    padding = f", {bucket.waste:.0%} of the work is padding" if bucket.sizes else ""
    return (
        f"  bucket {bucket.id}  {bucket.title}: {len(bucket.rows):,} of "
        f"{counted(bucket.planned, 'trial')} left, {counted(bucket.lanes, 'lane')} in blocks of "
        f"{bucket.block}, {memory_text(bucket.lanes * bucket.bytes)}{padding}"
    )
