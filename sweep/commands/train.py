"""One run of the command: grid, plan, store, workers. The only file that knows all of them."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from sweep import grid as grids
from sweep import schema
from sweep.errors import StoreConflict, SweepError
from sweep.grid import Grid
from sweep.planning import plan as plans
from sweep.planning.manifest import results_identity
from sweep.planning.plan import Host, Plan
from sweep.store import Claims, Store, owner
from sweep.store.writer import Writer
from sweep.workers import launcher
from sweep.workers.progress import Progress, SilentProgress
from sweep.workers.progress_display import terminal_progress
from sweep.workers.progress_pipe import PipeProgress, relay_line
from sweep.workers.signals import StopSignals
from sweep.workers.worker import Worker

WORTH_A_WORKER = 12.0
"""Seconds of work for which a further worker is started by default: each imports jax and reads the programs anew."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `sweep.run.sweep`.

    With a `turn` (number, count) it is a worker of a parent, which has a `place` to itself: a core or a gpu.
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
        """Where the tables go."""
        return Path(self.out) if self.out is not None else Path("results") / grid.name


def load_plugins(names: Iterable[str]) -> None:
    """Import modules that add parts of their own to the registries. Raises SweepError where one cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SweepError(f"The plugin {name} cannot be imported: {error}. Put its folder on PYTHONPATH.") from error


def preview(request: Request) -> str:
    """The plan in words. Initialises no jax backend."""
    grid = _load(request)
    store = Store(request.folder(grid))
    platform = _wanted_platform()
    host = _host(request, platform, len(launcher.available_cores()) if platform == "cpu" else 1)
    return plans.describe_plan(_plan(request, grid, store, host))


def run(request: Request) -> Path:
    """Train what is missing and return the folder of the tables."""
    if request.turn is not None:
        launcher.bind_to_parent(request.turn[0], pin=request.place == "cpu")
    with StopSignals() as interrupts:
        grid = _load(request)
        configure(request.dtype, request.turn[0] if request.turn and request.place == "gpu" else None)
        store = Store(request.folder(grid))
        with Claims(store.folder) as claims:
            store.open(_manifest(request, grid), grid.text, claims)
            _train(request, grid, store, claims, interrupts)
    return store.folder


def _train(request: Request, grid: Grid, store: Store, claims: Claims, interrupts: StopSignals) -> None:
    """Train what is missing, in this process or in workers."""
    platform = _platform()
    plan = _plan(request, grid, store, _host(request, platform, _places(platform)))
    stop = threading.Event()
    with _progress(request) as progress, _writer(request, store, grid) as writer, interrupts.stopping(stop):
        progress.start(plan.planned, plan.planned - plan.left)
        if plan.host.workers > 1:
            _launch(plan, request, store, progress, stop)
        else:
            with _compiles(progress):
                Worker(plan, store, claims, writer, progress, request.turn or (0, 1), request.checkpoint).run(stop)
        if request.turn is None and not stop.is_set():
            progress.say(f"{plan.left:,} trials trained, {plan.planned:,} rows in {store.folder}.")


def _host(request: Request, platform: str, places: int) -> Host:
    """As many workers as were asked for, or as there are places; never two on an accelerator."""
    asked = 1 if request.turn is not None else request.workers or places
    return Host(platform, asked if platform == "cpu" else min(asked, places))


def _places(platform: str) -> int:
    """Where workers of this machine can be: cores, gpus, or one process for all local chips of a tpu."""
    return {"cpu": len(launcher.available_cores()), "gpu": jax.local_device_count()}.get(platform, 1)


def _platform() -> str:
    """The platform that jax has. Raises SweepError where the environment asks for one that is not there."""
    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # jax 0.10 asserts where the only platform asked for is missing
        asked = os.environ.get("JAX_PLATFORMS", "")
        cure = "Unset JAX_PLATFORMS, or install jax for that platform"
        raise SweepError(f"jax finds no device for JAX_PLATFORMS={asked!r}. {cure}.") from error


def _load(request: Request) -> Grid:
    load_plugins(request.plugins)
    return grids.load_grid(request.grid)


def _plan(request: Request, grid: Grid, store: Store, host: Host) -> Plan:
    recorded = store.blocks()
    plan = plans.make_plan(grid, host, request.shard, store.done(), recorded)
    plan = replace(plan, host=Host(host.platform, _workers(plan, request)))
    if request.lanes is None:
        return plan
    for bucket in plan.buckets:
        if recorded.get(bucket.id, request.lanes) != request.lanes:
            raise StoreConflict(
                f"{store.folder} has rows of {bucket.title} trained with --lanes {recorded[bucket.id]}, and the number "
                f"of lanes is part of the bits of a result. Leave --lanes {request.lanes} out or use another --out."
            )
    fixed = {bucket.id: request.lanes for bucket in plan.buckets}
    return plans.make_plan(grid, plan.host, request.shard, store.done(), fixed)


def _workers(plan: Plan, request: Request) -> int:
    """As many workers as asked for; by default as many as have something to do that is worth a start."""
    most = min(plan.host.workers, max(1, plan.left))
    return most if request.workers else min(most, 1 + int(plan.work() / WORTH_A_WORKER))


def _launch(plan: Plan, request: Request, store: Store, progress: Progress, stop: threading.Event) -> None:
    """Let workers train the plan."""
    workers = launcher.LocalWorkers([*_command(request), "--place", plan.host.platform], plan.host.workers)
    workers.run(lambda line: relay_line(line, progress), progress.say, stop, store.log.read)


def _command(request: Request) -> list[str]:
    """The command of a worker, but for its turn."""
    given = {"--out": request.out, "--lanes": request.lanes, "--dtype": request.dtype, "--shard": _shard(request)}
    given |= {"--checkpoint": request.checkpoint}
    options = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    plugins = [text for name in request.plugins for text in ("--plugin", name)]
    return [sys.executable, "-m", "sweep.run", str(request.grid), *options, *plugins]


def _writer(request: Request, store: Store, grid: Grid) -> Writer:
    metadata = {"shard": _shard(request), "trials": str(grid.size), "grid": grid.name, "worker": owner()}
    columns = grid.columns | schema.columns_from_text(store.manifest["columns"])
    return Writer(store, schema.runs(columns), schema.curves(), metadata)


def _shard(request: Request) -> str:
    return f"{request.shard[0]}/{request.shard[1]}"


def _progress(request: Request) -> Progress:
    if request.turn is not None:
        return PipeProgress(sys.stdout)
    return SilentProgress() if request.quiet else terminal_progress()


def configure(dtype: str, gpu: int | None = None) -> None:
    """Set what has to be set before the first array: one thread an operation, full float32 products, the dtype.

    A worker sees no more than its own `gpu`. Memory of gpus is taken as it is needed, since the parent of workers has
    them open too.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if gpu is not None:
        jax.config.update("jax_cuda_visible_devices", str(gpu))
        jax.config.update("jax_rocm_visible_devices", str(gpu))
    flag = "--xla_cpu_multi_thread_eigen=false"
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    jax.config.update("jax_enable_x64", dtype == "float64")
    jax.config.update("jax_default_matmul_precision", "highest")
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path:
    """Where compiled programs are kept: in the user's cache, apart for each kind of processor that runs their code."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        flags = platform.processor()
    kind = hashlib.blake2b(f"{platform.machine()} {flags}".encode(), digest_size=6).hexdigest()
    return base / "jax-sweep" / kind


def _wanted_platform() -> str:
    """The platform that jax would take, as far as the environment tells without asking for devices."""
    return (os.environ.get("JAX_PLATFORMS") or "cpu").split(",")[0]


def _manifest(request: Request, grid: Grid) -> dict[str, Any]:
    depends = results_identity(grid, request.dtype, _platform())
    info = {
        "trials": grid.size,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        "processor": platform.machine(),
        "device": str(jax.devices()[0].device_kind),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
    return {**depends, "info": info | ({"commit": commit} if (commit := _commit()) else {})}


def _commit() -> str:
    """The commit of this code where it runs from a checkout, else ""."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return ""
    try:
        found = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()


@contextmanager
def _compiles(progress: Progress) -> Iterator[None]:
    """Count what XLA compiles while it lasts."""

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            progress.advance(0, 0, compiles=1)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
