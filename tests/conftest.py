"""What all tests share: how jax is set up, double precision on request, and a count of compiles."""

from __future__ import annotations

import os
from collections.abc import Iterator

FLAG = "--xla_cpu_multi_thread_eigen=false"
if FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}".strip()

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_default_matmul_precision", "highest")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is run, and how long it takes."""
    expression = config.getoption("-m")
    if expression != "not slow and not thorough":
        return []
    return [
        "the default tests: less than five minutes on two quiet cores; -m 'not slow' runs what CI runs"
    ]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name each failure when it happens, and not only at the end; workers of xdist stay silent."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED {report.nodeid} ({report.when})", flush=True)


@pytest.fixture
def float64() -> Iterator[None]:
    """Double precision while the test runs. Programs are cached by precision, so nothing has to be cleared."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def compiles() -> Iterator[list[str]]:
    """A list that grows by one entry whenever XLA compiles a program; clear it to count from there."""
    found: list[str] = []

    def listen(event: str, duration_secs: float, **more: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(str(more.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)
