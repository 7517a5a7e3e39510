"""The jax backend of a process: its settings, its platform and the cache of compiled programs."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from sweep.errors import SweepError
from sweep.workers.progress import Progress

SINGLE_THREAD_FLAG = "--xla_cpu_multi_thread_eigen=false"


def configure(dtype: str, gpu: int | None = None) -> None:
    """Set what has to be set before the first array: one thread, full float32 products, the dtype.

    Args:
        dtype: `float32` or `float64`.
        gpu: number of the only gpu that this process may see; all of them by default.
    """
    # The parent of gpu workers has their gpus open too, so nobody may take all memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if gpu is not None:
        jax.config.update("jax_cuda_visible_devices", str(gpu))
        jax.config.update("jax_rocm_visible_devices", str(gpu))
    # Workers share the cores already; threads of one operation would only compete.
    flags = os.environ.get("XLA_FLAGS", "")
    if SINGLE_THREAD_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {SINGLE_THREAD_FLAG}".strip()
    jax.config.update("jax_enable_x64", dtype == "float64")
    jax.config.update("jax_default_matmul_precision", "highest")
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = cache_folder()
        jax.config.update("jax_compilation_cache_dir", str(folder) if folder else None)
    # By default jax leaves small programs out; all workers need all of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


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

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            progress.advance(0, 0, compiles=1)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
