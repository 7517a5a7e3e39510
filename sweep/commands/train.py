"""One run of the command: grid, plan, store, workers. The only file that knows all of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import jax

from sweep import grid as grids
from sweep import schema
from sweep.commands.backend import (
    active_platform,
    cache_folder,
    cache_warning,
    configure,
    configured,
    count_compiles,
    requested_platform,
)
from sweep.commands.older_rows import describe_older_rows
from sweep.commands.plugins import check_same_source, load_plugins
from sweep.commands.run_info import new_manifest, stored_columns
from sweep.errors import StoreConflict, StoreError, WorkerFailed
from sweep.grid import Grid
from sweep.jax_settings import pinned_settings
from sweep.planning import plan as plans
from sweep.planning.manifest import all_columns
from sweep.planning.plan import Host, Plan
from sweep.start_command import start_command
from sweep.store import Claims, Store, Writer, grid_digest, owner
from sweep.terminal_text import escape_controls
from sweep.user_paths import require_folder
from sweep.wording import counted
from sweep.workers import cores, launcher
from sweep.workers.parent_link import ParentLink
from sweep.workers.progress import Progress, SilentProgress
from sweep.workers.progress_display import terminal_progress
from sweep.workers.signals import StopSignals
from sweep.workers.worker import Worker

__all__ = ["Request", "cache_folder", "configure", "load_plugins", "preview", "run"]

WORTH_A_WORKER = 12.0
"""Seconds of work that justify one more worker: each imports jax and reads the programs anew."""


@dataclass(frozen=True)
class Assignment:
    """What a parent process tells one of its workers.

    Attributes:
        turn: (number, count) of the worker.
        place: what it has to itself, `cpu` (a core) or `gpu`.
        report: descriptor of the socket for its reports.
        digest: SHA-256 of the text of the grid that the parent has planned.
    """

    turn: tuple[int, int]
    place: str
    report: int
    digest: str

    @property
    def gpu(self) -> int | None:
        """The number of the only gpu that it may see; None where it has none."""
        return self.turn[0] if self.place == "gpu" else None


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `sweep.run.sweep` for most of it.

    Attributes:
        assignment: what a worker of a parent process has been told; None in the parent itself.
        changes: values that replace those of the grid, such as `data.n=100`.
    """

    grid: Path
    out: str | Path | None = None
    workers: int | None = None
    shard: tuple[int, int] = (0, 1)
    lanes: int | None = None
    dtype: str = "float32"
    plugins: tuple[str, ...] = ()
    quiet: bool = False
    checkpoint: float = 300.0
    assignment: Assignment | None = None
    changes: tuple[str, ...] = ()

    def folder(self, grid: Grid) -> Path:
        """The folder of the store. Raises SweepError if a file is in its way."""
        out = Path(self.out) if self.out is not None else Path("results") / grid.name
        return require_folder(out)


def preview(request: Request) -> str:
    """The plan in words. Initialises no jax backend."""
    with pinned_settings(request.dtype):
        load_plugins(request.plugins)
        grid = grids.load_grid(request.grid, request.changes, request.dtype)
        store = Store(request.folder(grid))
        platform = requested_platform()
        # Without a backend gpus cannot be counted.
        slots = cores.count_cores() if platform == "cpu" else 1
        return plans.describe_plan(_plan(request, grid, store, _host(request, platform, slots)))


def run(request: Request) -> Path:
    """Train what is missing and return the folder of the tables."""
    gpu = request.assignment and request.assignment.gpu
    signals = StopSignals(is_worker=request.assignment is not None)
    with signals, configured(request.dtype, gpu):
        progress = _settle(request)
        plugins = load_plugins(request.plugins)
        grid = _load_grid(request)
        store = Store(request.folder(grid))
        check_same_source(store.folder, plugins)
        # A worker does not fail because of a rewrite, which its parent keeps out as well.
        with Claims(store.folder, patient=request.assignment is not None) as claims:
            manifest = new_manifest(grid, request.dtype, active_platform(), plugins)
            store.open(manifest, grid.text, claims)
            _train(request, grid, store, claims, signals, progress)
    return store.folder


def _settle(request: Request) -> Progress:
    """Take the place of a worker if it is one; who receives the reports of this process."""
    assignment = request.assignment
    if assignment is None:
        return SilentProgress() if request.quiet else terminal_progress()
    link = ParentLink.from_descriptor(assignment.report)
    link.end_with_parent()
    if assignment.place == "cpu":
        cores.settle_on_core(assignment.turn[0])
    return link


def _train(
    request: Request,
    grid: Grid,
    store: Store,
    claims: Claims,
    signals: StopSignals,
    progress: Progress,
) -> None:
    """Train what is missing, in this process or in workers."""
    platform = active_platform()
    plan = _plan(request, grid, store, _host(request, platform, _worker_slots(platform)))
    stop = threading.Event()
    with (
        progress,
        _writer(request, store, grid) as writer,
        signals.stopping(stop),
    ):
        progress.start(plan.planned, plan.planned - plan.left)
        if request.assignment is None and (warning := cache_warning()):
            progress.say(warning)
        if request.assignment is None and (note := describe_older_rows(grid, store)):
            progress.say(escape_controls(note))
        if plan.host.workers > 1:
            _launch(plan, request, store, progress, stop)
        else:
            turn = request.assignment.turn if request.assignment else (0, 1)
            worker = Worker(plan, store, claims, writer, progress, turn, request.checkpoint)
            with count_compiles(progress):
                worker.run(stop)
        if request.assignment is None and not stop.is_set():
            counts = f"{counted(plan.left, 'trial')} trained, {counted(plan.planned, 'row')}"
            progress.say(escape_controls(f"{counts} in {store.folder}."))


def _host(request: Request, platform: str, slots: int) -> Host:
    """The requested number of workers, by default one per slot; never two on an accelerator."""
    workers = 1 if request.assignment is not None else request.workers or slots
    return Host(platform, workers if platform == "cpu" else min(workers, slots))


def _worker_slots(platform: str) -> int:
    """How many workers this machine has room for: cores or gpus."""
    if platform == "cpu":
        return cores.count_cores()
    # One process drives all local chips of a tpu.
    return jax.local_device_count() if platform == "gpu" else 1


def _load_grid(request: Request) -> Grid:
    """The grid; raises StoreError if it is not the one that a worker has been told of."""
    grid = grids.load_grid(request.grid, request.changes, request.dtype)
    if (
        request.assignment is not None
        and grid_digest(grid.text.encode()) != request.assignment.digest
    ):
        raise StoreError(
            f"{request.grid} is not the grid that this sweep has planned. "
            "Delete it and run the same command again; what is committed stays."
        )
    return grid


def _plan(request: Request, grid: Grid, store: Store, host: Host) -> Plan:
    """The plan of this command, with the blocks that the store has results of."""
    store_blocks = store.blocks()
    plan = plans.make_plan(grid, host, request.shard, store.done(), store_blocks)
    plan = replace(plan, host=Host(host.platform, _worker_count(plan, request)))
    if request.lanes is None:
        return plan
    for bucket in plan.buckets:
        block = store_blocks.get(bucket.id, request.lanes)
        if block != request.lanes:
            raise StoreConflict(
                f"{store.folder} has rows of {bucket.title} trained with --lanes {block}, and the "
                "number of lanes is part of the bits of a result. "
                f"Leave --lanes {request.lanes} out or use another --out."
            )
    fixed_blocks = {bucket.id: request.lanes for bucket in plan.buckets}
    return plans.make_plan(grid, plan.host, request.shard, store.done(), fixed_blocks)


def _worker_count(plan: Plan, request: Request) -> int:
    """The requested number of workers, by default as many as are worth starting."""
    limit = min(plan.host.workers, max(1, plan.left))
    return limit if request.workers else min(limit, 1 + int(plan.work() / WORTH_A_WORKER))


def _launch(
    plan: Plan, request: Request, store: Store, progress: Progress, stop: threading.Event
) -> None:
    """Let workers train the plan. Raises WorkerFailed if rows are missing at their end."""
    command = _worker_command(plan, request, store)
    workers = launcher.LocalWorkers(command, plan.host.workers)
    workers.run(progress, stop, store.refresh)
    if not stop.is_set() and (missing := plans.unfinished(plan, store.done()).left):
        verb = "is" if missing == 1 else "are"
        raise WorkerFailed(
            f"{missing:,} of {counted(plan.planned, 'trial')} {verb} not in {store.folder}, though "
            "no worker failed. Run the same command again; what is committed stays."
        )


def _worker_command(plan: Plan, request: Request, store: Store) -> list[str]:
    """The command of a worker, without its turn and the descriptor for its reports."""
    # Paths are absolute, so that none begins with the dash of an option.
    values = {
        "--out": store.folder.absolute(),
        "--lanes": request.lanes,
        "--dtype": request.dtype,
        "--shard": _shard_text(request),
        "--checkpoint": request.checkpoint,
        "--place": plan.host.platform,
        "--digest": grid_digest(plan.grid.text.encode()),
    }
    options: list[str] = []
    for name, value in values.items():
        if value is not None:
            options += [name, str(value)]
    for plugin in request.plugins:
        options += ["--plugin", plugin]
    # The file of the user may be a pipe, or be edited meanwhile.
    grid = store.grid_copy or request.grid
    return start_command(str(grid.absolute()), *options)


def _writer(request: Request, store: Store, grid: Grid) -> Writer:
    """The writer of this worker's parts of the store."""
    metadata = {
        "shard": _shard_text(request),
        "trials": str(grid.size),
        "grid": grid.name,
        "worker": owner(),
    }
    # A store that grew has columns of earlier grids, which are null in new rows.
    columns = all_columns(grid) | stored_columns(store.folder, store.manifest)
    return Writer(store, schema.runs(columns), schema.curves(columns), metadata)


def _shard_text(request: Request) -> str:
    """The shard as it is recorded in parts, such as `0/4`."""
    index, count = request.shard
    return f"{index}/{count}"
