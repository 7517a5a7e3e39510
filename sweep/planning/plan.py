"""From blocks to buckets: which trials share a program, which of them are this worker's, which are still to do."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from sweep.engine import programs
from sweep.grid import Block, Grid, Settings
from sweep.planning import cost_model, packing
from sweep.planning.cost_model import Cost
from sweep.planning.packing import batch_of
from sweep.trial import Trial

LANE_SECONDS, MOST_LANES, ACCELERATOR_BYTES = 0.05, 1024, 4 << 30
SLICES, SLICE_SECONDS = 64, 20.0
"""A grid is cut into so many slices of work at least, and none is meant to take longer."""


@dataclass(frozen=True)
class Host:
    """Where a plan runs: the jax platform (`cpu`, `gpu`, `tpu`) and how many workers share it there."""

    platform: str
    workers: int


@dataclass(frozen=True)
class Bucket:
    """Trials that share one compiled program: rows of a block with equal static fields, except for the `sizes`.

    Of a size `statics` has the largest of its trials, for which arrays are made. `cost` is that of one trial so padded,
    `waste` the share of the estimated work that padding adds. `lanes` trials are on the device of each worker at once,
    `block` of them under one vmap; of the two only `block` is part of the bits of a result. `planned` counts the trials
    before finished ones were taken away. `name` tells it from buckets of other blocks and shares with the same program;
    workers claim its trials in slices of `span` rows of the block.
    """

    source: Block
    statics: Mapping[str, Any]
    rows: np.ndarray
    planned: int
    sizes: tuple[str, ...]
    cost: Cost
    waste: float = 0.0
    bytes: int = 0
    lanes: int = 1
    block: int = 1
    name: str = ""
    span: int = 1

    @functools.cached_property
    def id(self) -> str:
        """Name of what is compiled in: 16 hexadecimal digits."""
        lane_fields = sorted(self.source.values(np.zeros(0, np.int64)))
        text = repr((sorted(self.source.kinds.items()), sorted(self.statics.items()), self.sizes, lane_fields))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def title(self) -> str:
        """What tells it from other buckets, for people."""
        kinds = " ".join(kind for family, kind in self.source.kinds.items() if family != "schedule")
        shown = [name for name in ("n", "d", "sparsity", "width", "batch_size") if self.statics.get(name)]
        sizes = (f"{name}{'<=' if name in self.sizes else '='}{self.statics[name]}" for name in shown)
        return f"{kinds} {' '.join(sizes)} {self.statics['coordinates']}"

    def trials(self) -> Trial:
        """All its trials as one batch: lane fields are arrays (trials,), static fields Python values."""
        return batch_of(self.source, self.statics, self.sizes, self.rows)

    def slices(self) -> Iterator[tuple[str, np.ndarray]]:
        """Its trials in slices that workers claim: a name that all workers give it, and the places of its rows."""
        if len(self.rows) == 0:
            return
        which = self.rows // self.span
        order = np.argsort(which, kind="stable")
        numbers, starts = np.unique(which[order], return_index=True)
        for number, places in zip(numbers, np.split(order, starts[1:]), strict=True):
            yield f"{self.name}-{number}", places

    def smaller(self) -> Bucket | None:
        """The same with half the lanes, for a device that is too small; None where there is one lane only."""
        if self.lanes > self.block:
            return replace(self, lanes=self.block * max(1, self.lanes // self.block // 2))
        half = self.block // 2
        return replace(self, block=half, lanes=half) if half else None

    def seconds(self) -> float:
        """Estimated seconds on one core, compilation left out."""
        return len(self.rows) * self.cost.seconds


@dataclass(frozen=True)
class Plan:
    """The buckets of one worker: `planned` trials are its share, those in the buckets are left to do."""

    grid: Grid
    host: Host
    buckets: tuple[Bucket, ...]

    @property
    def planned(self) -> int:
        """Trials of this worker's share."""
        return sum(bucket.planned for bucket in self.buckets)

    @property
    def left(self) -> int:
        """Trials of the share that are not done yet."""
        return sum(len(bucket.rows) for bucket in self.buckets)

    def seconds(self) -> float:
        """A rough estimate of the time that is left, with compilation."""
        return self.work() / self.host.workers

    def work(self) -> float:
        """The same on one core."""
        return sum(bucket.seconds() + cost_model.COMPILE for bucket in self.buckets if len(bucket.rows))


def make_plan(
    grid: Grid,
    host: Host,
    shard: tuple[int, int] = (0, 1),
    done: np.ndarray | None = None,
    blocks: Mapping[str, int] | None = None,
) -> Plan:
    """The plan of one worker.

    `shard` is (index, count): its share is cut from the whole plan before `done` trials (sorted ids) are taken away.
    `blocks` fixes the block of buckets by their id, since it is part of the bits of results that a store already has.
    """
    whole = [bucket for number, source in enumerate(grid.blocks) for bucket in _buckets(source, grid.settings, number)]
    sizes = Counter()
    for bucket in whole:
        sizes[bucket.id] += bucket.planned
    each = min(SLICE_SECONDS, sum(bucket.seconds() for bucket in whole) / SLICES)
    cut = [_cut(bucket, each, shard) for bucket in whole]
    sized = [_sized(bucket, host, sizes[bucket.id], (blocks or {}).get(bucket.id)) for bucket in cut]
    shared = [share(bucket, *shard) for bucket in sized]
    return unfinished(Plan(grid, host, tuple(bucket for bucket in shared if bucket.planned)), done)


def unfinished(plan: Plan, done: np.ndarray | None) -> Plan:
    """The plan without trials that are done (sorted ids)."""
    return replace(plan, buckets=tuple(remove_finished(bucket, done) for bucket in plan.buckets))


def _buckets(source: Block, settings: Settings, number: int) -> Iterable[Bucket]:
    for group in packing.packed_groups(source, settings):
        made = Bucket(source, group.statics, group.rows, group.count, group.sizes, group.cost, group.waste)
        yield replace(made, name=f"{made.id}-{number}")


def _cut(bucket: Bucket, seconds: float, shard: tuple[int, int]) -> Bucket:
    """The bucket with slices of about so many seconds, which trials of the share make up."""
    trials = max(1.0, seconds / bucket.cost.seconds) * shard[1]
    span = max(1, round(trials * bucket.source.points / bucket.planned))
    return replace(bucket, name=f"{bucket.name}-{shard[0]}of{shard[1]}", span=span)


def share(bucket: Bucket, index: int, count: int) -> Bucket:
    """Every count-th trial of a bucket, from the index-th on."""
    rows = bucket.rows[index::count]
    return replace(bucket, rows=rows, planned=len(rows))


def remove_finished(bucket: Bucket, done: np.ndarray | None) -> Bucket:
    """The bucket with only the trials that are not in `done`."""
    if done is None or len(done) == 0:
        return bucket
    trial, _ = bucket.source.ids(bucket.rows)
    return replace(bucket, rows=bucket.rows[~np.isin(trial, done)])


def _bytes(bucket: Bucket) -> int:
    """Memory of a lane, from the shapes of its arrays; no device is touched."""
    one = batch_of(bucket.source, bucket.statics, bucket.sizes, bucket.rows[:1])
    trial = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), one)
    lane = jax.eval_shape(programs.begin_lanes, trial)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(lane) if hasattr(leaf.dtype, "itemsize"))


def _sized(bucket: Bucket, host: Host, alike: int, block: int | None) -> Bucket:
    """The bucket with its lanes and block; `alike` counts the trials of all blocks of the grid that share its program.

    On a CPU a block is one lane unless the network is so small that vmap pays, and there are as many lanes as make a
    twentieth of a second of work; an accelerator takes as many lanes as fit, all in one block.
    """
    bucket = replace(bucket, bytes=_bytes(bucket))
    each = -(-bucket.planned // host.workers)
    if host.platform != "cpu":
        fit = max(1, ACCELERATOR_BYTES // (2 * bucket.bytes))
        block = block or min(_power_of_two(alike), _power_of_two(fit + 1) // 2, 4096)
        return replace(bucket, block=block, lanes=block)
    block = block or bucket.cost.block
    steps = int(bucket.source.values(bucket.rows[:1])["steps"][0])
    wanted = min(MOST_LANES, each, 1 + int(LANE_SECONDS / (bucket.cost.step * max(steps, 1))))
    return replace(bucket, block=block, lanes=block * -(-wanted // block))


def _power_of_two(count: int) -> int:
    """The least power of two that is at least `count`."""
    return 1 << max(0, count - 1).bit_length()


def describe_plan(plan: Plan) -> str:
    """The plan in words, for `--dry-run`."""
    done = plan.planned - plan.left
    lines = [f"{plan.grid.name}: {plan.planned:,} trials, {plan.left:,} left to do, {done:,} done."]
    for bucket in plan.buckets:
        memory = bucket.lanes * bucket.bytes / 2**20
        padding = f", {bucket.waste:.0%} of the work is padding" if bucket.sizes else ""
        lines.append(
            f"  bucket {bucket.id}  {bucket.title}: {len(bucket.rows):,} of {bucket.planned:,} trials left, "
            f"{bucket.lanes} lanes in blocks of {bucket.block}, {memory:,.1f} MiB{padding}"
        )
    memory = sum(sorted(bucket.lanes * bucket.bytes for bucket in plan.buckets)[-plan.host.workers :])
    lines.append(
        f"{len(plan.buckets)} buckets, a compilation each, {plan.host.workers} workers on {plan.host.platform}, about "
        f"{memory / 2**20:,.0f} MiB for lanes, roughly {_duration(plan.seconds())}."
    )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"
