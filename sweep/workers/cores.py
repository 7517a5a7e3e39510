"""Processors of this machine: how many a command may use, and one for each of its workers."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path

CORE_NAME = "\0jax-sweep-core-"
"""Start of the name of a processor that is taken, an abstract socket of Linux."""

_taken: list[socket.socket] = []
"""The socket with the name of the processor of this process; the name lasts as long as that."""


def available_cores() -> list[int]:
    """Numbers of the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def count_cores() -> int:
    """How many processors this process can keep busy: a container may grant time on fewer.

    From Python 3.13 on, PYTHON_CPU_COUNT is a limit too.
    """
    known = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    return max(1, math.ceil(min(len(available_cores()), known, cpu_quota())))


def cpu_quota(root: Path = Path("/")) -> float:
    """Processor seconds a second that the control groups of this process grant it.

    Infinite where there is no limit. `root` is the root of the file system.
    """
    return min((_quota_of(folder) for folder in _group_folders(root)), default=math.inf)


def _group_folders(root: Path) -> list[Path]:
    """Folders of the control groups of this process that may limit it, of versions 1 and 2."""
    mounts = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    folders = []
    for line in ["0::/", "1:cpu:/", *lines]:
        _, _, entry = line.partition(":")
        controllers, _, group = entry.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = mounts / "cpu" if controllers else mounts
        path = mount / group.lstrip("/")
        # A limit of any group above holds as well. In a container they are not all to be seen.
        folders += [path, *(parent for parent in path.parents if parent.is_relative_to(mount))]
    return folders


def _quota_of(folder: Path) -> float:
    """The limit of one control group."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        # "max" in the place of a number means no limit; a division of infinity is one too.
        return math.inf


def settle_on_core(number: int) -> int | None:
    """Bind this process to a processor that no other process of this program is bound to.

    Processors are tried in turn, beginning with the one of the `number` of the worker, from 0.
    Where none is free, or the system knows no affinity, the process may use all of them; under a
    quota as well, because other containers, which it cannot see, use the same ones.

    Returns:
        The processor, None for all.
    """
    if not hasattr(os, "sched_setaffinity") or math.isfinite(cpu_quota()):
        return None
    cores = available_cores()
    first = number % len(cores)
    for core in [*cores[first:], *cores[:first]]:
        if _take(core):
            os.sched_setaffinity(0, {core})
            return core
    return None


def _take(core: int) -> bool:
    """Take a processor until this process ends; False if another process has taken it."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"{CORE_NAME}{core}")
    except OSError:
        name.close()
        return False
    _taken.append(name)
    return True
