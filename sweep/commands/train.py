"""One run of the command: grid, plan, store, workers. The only file that knows all of them."""

from __future__ import annotations

import sys
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
from sweep.commands.plugins import check_same_source, load_plugins
from sweep.commands.run_info import new_manifest
from sweep.errors import StoreConflict
from sweep.grid import Grid
from sweep.jax_settings import pinned_settings
from sweep.planning import plan as plans
from sweep.planning.manifest import all_columns
from sweep.planning.plan import Host, Plan
from sweep.store import Claims, Store, Writer, owner
from sweep.terminal_text import escape_controls
from sweep.user_paths import require_folder
from sweep.workers import launcher
from sweep.workers.progress import Progress, SilentProgress
from sweep.workers.progress_display import terminal_progress
from sweep.workers.progress_pipe import PipeProgress, relay_line
from sweep.workers.signals import StopSignals
from sweep.workers.worker import Worker

__all__ = ["Request", "cache_folder", "configure", "load_plugins", "preview", "run"]

WORTH_A_WORKER = 12.0
"""Seconds of work that justify one more worker: each imports jax and reads the programs anew."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `sweep.run.sweep` for most of it.

    Attributes:
        turn: (number, count) of a worker of a parent process; None in the parent itself.
        place: what a worker has to itself, `cpu` (a core) or `gpu`.
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
    turn: tuple[int, int] | None = None
    place: str = "cpu"

    def folder(self, grid: Grid) -> Path:
        """The folder of the store. Raises SweepError if a file is in its way."""
        out = Path(self.out) if self.out is not None else Path("results") / grid.name
        return require_folder(out)


def preview(request: Request) -> str:
    """The plan in words. Initialises no jax backend."""
    with pinned_settings(request.dtype):
        load_plugins(request.plugins)
        grid = grids.load_grid(request.grid)
        store = Store(request.folder(grid))
        platform = requested_platform()
        # Without a backend gpus cannot be counted.
        slots = len(launcher.available_cores()) if platform == "cpu" else 1
        return plans.describe_plan(_plan(request, grid, store, _host(request, platform, slots)))


def run(request: Request) -> Path:
    """Train what is missing and return the folder of the tables."""
    gpu = None
    if request.turn is not None:
        number, _ = request.turn
        launcher.bind_to_parent(number, pin=request.place == "cpu")
        gpu = number if request.place == "gpu" else None
    with StopSignals() as signals, configured(request.dtype, gpu):
        plugins = load_plugins(request.plugins)
        grid = grids.load_grid(request.grid)
        store = Store(request.folder(grid))
        check_same_source(store.folder, plugins)
        with Claims(store.folder) as claims:
            manifest = new_manifest(grid, request.dtype, active_platform(), plugins)
            store.open(manifest, grid.text, claims)
            _train(request, grid, store, claims, signals)
    return store.folder


def _train(
    request: Request, grid: Grid, store: Store, claims: Claims, signals: StopSignals
) -> None:
    """Train what is missing, in this process or in workers."""
    platform = active_platform()
    plan = _plan(request, grid, store, _host(request, platform, _worker_slots(platform)))
    stop = threading.Event()
    with (
        _progress(request) as progress,
        _writer(request, store, grid) as writer,
        signals.stopping(stop),
    ):
        progress.start(plan.planned, plan.planned - plan.left)
        if request.turn is None and (warning := cache_warning()):
            progress.say(warning)
        if plan.host.workers > 1:
            _launch(plan, request, store, progress, stop)
        else:
            turn = request.turn or (0, 1)
            worker = Worker(plan, store, claims, writer, progress, turn, request.checkpoint)
            with count_compiles(progress):
                worker.run(stop)
        if request.turn is None and not stop.is_set():
            counts = f"{plan.left:,} trials trained, {plan.planned:,} rows"
            progress.say(escape_controls(f"{counts} in {store.folder}."))


def _host(request: Request, platform: str, slots: int) -> Host:
    """The requested number of workers, by default one per slot; never two on an accelerator."""
    workers = 1 if request.turn is not None else request.workers or slots
    return Host(platform, workers if platform == "cpu" else min(workers, slots))


def _worker_slots(platform: str) -> int:
    """How many workers this machine has room for: cores or gpus."""
    if platform == "cpu":
        return len(launcher.available_cores())
    # One process drives all local chips of a tpu.
    return jax.local_device_count() if platform == "gpu" else 1


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
    """Let workers train the plan."""
    command = [*_worker_command(request), "--place", plan.host.platform]
    workers = launcher.LocalWorkers(command, plan.host.workers)
    workers.run(lambda line: relay_line(line, progress), progress.say, stop, store.refresh)


def _worker_command(request: Request) -> list[str]:
    """The command of a worker, without its turn and place."""
    values = {
        "--out": request.out,
        "--lanes": request.lanes,
        "--dtype": request.dtype,
        "--shard": _shard_text(request),
        "--checkpoint": request.checkpoint,
    }
    options: list[str] = []
    for name, value in values.items():
        if value is not None:
            options += [name, str(value)]
    for plugin in request.plugins:
        options += ["--plugin", plugin]
    return [sys.executable, "-m", "sweep.run", str(request.grid), *options]


def _writer(request: Request, store: Store, grid: Grid) -> Writer:
    """The writer of this worker's parts of the store."""
    metadata = {
        "shard": _shard_text(request),
        "trials": str(grid.size),
        "grid": grid.name,
        "worker": owner(),
    }
    # A store that grew has columns of earlier grids, which are null in new rows.
    columns = all_columns(grid) | schema.columns_from_text(store.manifest["columns"])
    return Writer(store, schema.runs(columns), schema.curves(columns), metadata)


def _shard_text(request: Request) -> str:
    """The shard as it is recorded in parts, such as `0/4`."""
    index, count = request.shard
    return f"{index}/{count}"


def _progress(request: Request) -> Progress:
    """How to show progress: to the parent process, not at all, or on this terminal."""
    if request.turn is not None:
        return PipeProgress(sys.stdout)
    return SilentProgress() if request.quiet else terminal_progress()
