"""Processors: how many a command may use, and which one a worker is bound to."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from sweep.workers import cores
from sweep.workers.cores import available_cores, count_cores, cpu_quota, settle_on_core

SETTLE = r"""
import sys
from unittest import mock
from sweep.workers import cores
cores.CORE_NAME, numbers = "\0" + sys.argv[1], sys.argv[2:]
cores.available_cores = lambda: list(range(4))
cores.cpu_quota = lambda: float("inf")
with mock.patch("os.sched_setaffinity") as bind:
    settled = [cores.settle_on_core(int(number)) for number in numbers]
    assert [call.args[1] for call in bind.call_args_list] == [{each} for each in settled if each is not None]
print(settled, flush=True)
sys.stdin.read()
"""


def settled(name: str, *numbers: int) -> tuple[subprocess.Popen[str], str]:
    """A process whose workers with these numbers have settled on a machine with four cores, and where."""
    command = [sys.executable, "-c", SETTLE, name, *map(str, numbers)]
    process = subprocess.Popen(command, text=True, stdin=-1, stdout=-1)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.skipif(sys.platform != "linux", reason="names of processors are a matter of Linux")
def test_workers_of_two_commands_have_different_cores_while_there_are_some() -> None:
    """The third finds one free and is not bound where none is; a core is free again after its worker."""
    name = f"test-{uuid.uuid4().hex}-"
    first, places = settled(name, 0, 1)
    second, others = settled(name, 0)
    third, last = settled(name, 0, 1)
    try:
        assert (places, others, last) == ("[0, 1]", "[2]", "[3, None]")
        first.communicate("")
        again, free = settled(name, 1)
        again.communicate("")
        assert free == "[1]"
    finally:
        for process in (first, second, third):
            if process.poll() is None:
                process.communicate("")


def test_a_worker_is_bound_to_its_core(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[set[int]] = []
    monkeypatch.setattr(cores, "CORE_NAME", f"\0test-{uuid.uuid4().hex}-")
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, found: bound.append(found))
    monkeypatch.setattr(cores, "cpu_quota", lambda: math.inf)
    places = available_cores()
    assert settle_on_core(len(places)) == places[0]
    assert bound == [{places[0]}]
    cores._taken.pop().close()


def test_under_a_quota_no_worker_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other containers would bind theirs to the same processors."""
    monkeypatch.setattr(cores, "cpu_quota", lambda: 2.0)
    assert settle_on_core(0) is None and cores._taken == []


V2 = {"proc/self/cgroup": "0::/job/step\n"}
V1 = {"proc/self/cgroup": "3:cpu,cpuacct:/job\n1:memory:/other\n"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        (V2 | {"sys/fs/cgroup/job/step/cpu.max": "200000 100000"}, 2),
        (V2 | {"sys/fs/cgroup/job/step/cpu.max": "max 100000", "sys/fs/cgroup/job/cpu.max": "50000 100000"}, 0.5),
        (V1 | {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "300000", "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, 3),
        (V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 4),
        (V1 | {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, math.inf),
        (V2 | {"sys/fs/cgroup/cpu.max": "nonsense"}, math.inf),
        ({"proc/self/cgroup": "garbage\n\n0::/../..\n"}, math.inf),
    ],
)  # fmt: skip
def test_quota_of_control_groups(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("quota", "count"), [(math.inf, 8), (1.5, 2), (0.2, 1), (20, 8)])
def test_a_container_bounds_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, quota: float, count: int
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: list(range(8)))
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert count_cores() == count
