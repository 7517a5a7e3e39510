"""The jax backend of a process: its settings, its platform and the cache of compiled programs."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from sweep.commands import program_cache
from sweep.errors import SweepError
from sweep.jax_settings import global_settings, pin_settings, restore_settings
from sweep.workers.progress import Progress
from sweep.xla_flags import pinned_xla_flags

VARIABLES = ("XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE")
"""Variables of the environment that are set for this process and its workers."""


@contextmanager
def configured(dtype: str, gpu: int | None = None) -> Iterator[None]:
    """As `configure`, and afterwards everything is as the caller had it."""
    settings = global_settings()
    environment = {name: os.environ.get(name) for name in VARIABLES}
    try:
        configure(dtype, gpu)
        yield
    finally:
        restore_settings(settings)
        program_cache.uninstall()
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def configure(dtype: str, gpu: int | None = None) -> None:
    """Set what has to be set before the first array, and pin what results depend on.

    Args:
        dtype: `float32` or `float64`.
        gpu: number of the only gpu that this process may see; all of them by default.

    Raises:
        SweepError: a `with` block of jax around the call sets another value.
    """
    # The parent of gpu workers has their gpus open too, so nobody may take all memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if gpu is not None:
        jax.config.update("jax_cuda_visible_devices", str(gpu))
        jax.config.update("jax_rocm_visible_devices", str(gpu))
    os.environ["XLA_FLAGS"] = pinned_xla_flags(os.environ.get("XLA_FLAGS", ""))
    pin_settings(dtype)
    if not jax.config.values["jax_compilation_cache_dir"]:
        folder = cache_folder()
        jax.config.update("jax_compilation_cache_dir", str(folder) if folder else None)
    # By default jax leaves small programs out; all workers need all of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    program_cache.install()


def cache_folder() -> Path | None:
    """The folder of compiled programs: in the user's cache, one for each kind of processor.

    None for a user without a home, as in some containers.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    # Homes are often shared by machines, and a program compiled for one crashes on another.
    processor = f"{platform.machine()} {_processor_flags()}"
    kind = hashlib.blake2b(processor.encode(), digest_size=6).hexdigest()
    return base / "jax-sweep" / kind


def cache_warning() -> str:
    """A sentence where compiled programs are not kept, otherwise ""."""
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") or cache_folder():
        return ""
    return (
        "There is no home folder, so compiled programs are not kept for the next run. "
        "Set JAX_COMPILATION_CACHE_DIR to a folder to keep them."
    )


def _processor_flags() -> str:
    """The instruction sets of the processor, or its name where the system doesn't list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.processor()


def active_platform() -> str:
    """The platform of the jax backend. Raises SweepError if the one in JAX_PLATFORMS is missing."""
    try:
        return jax.default_backend()
    # jax 0.10 asserts where the only platform that was requested is missing.
    except (RuntimeError, AssertionError) as error:
        platforms = os.environ.get("JAX_PLATFORMS", "")
        cure = "Unset JAX_PLATFORMS, or install jax for that platform"
        message = f"jax finds no device for JAX_PLATFORMS={platforms!r}. {cure}."
        raise SweepError(message) from error


def requested_platform() -> str:
    """The platform that jax would choose, judging by the environment; initialises no backend."""
    return (os.environ.get("JAX_PLATFORMS") or "cpu").split(",")[0]


@contextmanager
def count_compiles(progress: Progress) -> Iterator[None]:
    """Report each program that XLA compiles inside this context to `progress`."""

    def count(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            progress.advance(0, 0, compiles=1)

    def report_damage(event: str, **kwargs: str | int) -> None:
        if event == program_cache.DAMAGED:
            progress.say(f"The compiled program {kwargs['file']} is damaged; compiling it again.")

    jax.monitoring.register_event_duration_secs_listener(count)
    jax.monitoring.register_event_listener(report_damage)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
        jax.monitoring.unregister_event_listener(report_damage)
