"""What an import and a --help may cost: a login node has no device, and nobody waits for help."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time

import pytest

import sweep
from tests import ROOT

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(sweep.__path__, "sweep.")
    if "__main__" not in found.name
)


def run(code: str) -> None:
    """Run Python code in a process of its own, warnings as errors."""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "module",
    [
        "schema",
        "status",
        "errors",
        "cli",
        "store",
        "store.writer",
        "workers.launcher",
        "workers.progress",
        "workers.signals",
        "run",
    ],
)
def test_light_modules_import_no_jax(module: str) -> None:
    run(
        f"import sys, sweep.{module}\nassert not {{'jax', 'jaxlib', 'flax', 'optax'}} & set(sys.modules)"
    )


def test_importing_everything_initialises_no_backend() -> None:
    imports = "\n".join(f"import {name}" for name in MODULES)
    run(f"{imports}\nfrom jax._src import xla_bridge\nassert not xla_bridge._backends")


@pytest.mark.parametrize("module", ["sweep.run", "sweep", "analysis"])
def test_help_is_quick(module: str) -> None:
    """Half a second is the promise; twice that is allowed on a busy machine, at the best of three."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", module, "--help"], check=True, capture_output=True, cwd=ROOT
        )
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1.0
