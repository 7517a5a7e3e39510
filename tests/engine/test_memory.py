"""A lack of memory is recognised by what it says, whoever says it."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from sweep.engine.memory import is_out_of_memory
from tests.shell import Answer, python, table, write_grid

LIMITED = """
import re, resource, sys
from sweep.engine import memory
from sweep.run import app
{mutation}
limit = {limit}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv[1:] = {arguments!r}
app()
"""

LARGE = """
name: large
seed: 0
data:
  - {kind: signal_noise, n: 2000, d: 100000, snr: 0.5}
  - {kind: feature_noise, n: 4, d: 12, sparsity: 3}
model: {kind: linear}
optimizer: {kind: adam, lr: 0.01}
train: {steps: 2}
test_points: 4
record: {points: 0}
coordinates: ambient
"""
"""A trial whose points take 3.2 GB while they are drawn, and one that fits."""

LIMIT = 5_500_000_000
"""Bytes of address space, of which two are taken before the first trial."""


@pytest.mark.parametrize(
    ("error", "lack"),
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), True),
        # What jax 0.10 says on a CPU below a limit of the process.
        (
            jax.errors.JaxRuntimeError(
                "INTERNAL: Error dispatching computation: Out of memory allocating 3240081412 bytes."
            ),
            True,
        ),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("INTERNAL: Failed to allocate 12 bytes for new constant"), True),
        (RuntimeError("mmap: Cannot allocate memory"), True),
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float)), True),  # pyright: ignore
        (jax.errors.JaxRuntimeError("INTERNAL: Failed to launch a kernel"), False),
        (RuntimeError("the memory of the store"), False),
    ],
    ids=range(9),
)
def test_what_says_that_memory_is_short(error: Exception, lack: bool) -> None:
    assert is_out_of_memory(error) == lack


@pytest.mark.thorough
@pytest.mark.promise(11)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit of address space")
def test_below_a_limit_of_the_process_a_trial_that_does_not_fit_is_a_row(tmp_path: Path) -> None:
    answer, store = run_limited(tmp_path)
    assert answer.code == 0, answer.err
    assert "does not have enough memory for 1 lanes" in answer.err
    found = table(store).set_index("n")["status"]
    assert found.to_dict() == {4: "out_of_steps", 2000: "out_of_memory"}


@pytest.mark.thorough
@pytest.mark.promise(11, mutant=True)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit of address space")
def test_a_program_that_listens_for_one_word_would_be_seen(tmp_path: Path) -> None:
    answer, _ = run_limited(tmp_path, "memory.LACK = re.compile('RESOURCE_EXHAUSTED')")
    assert answer.code == 1
    assert "INTERNAL: Error dispatching computation: Out of memory" in answer.err


def run_limited(folder: Path, mutation: str = "") -> tuple[Answer, Path]:
    """A sweep below a limit of its address space that jax knows nothing of."""
    grid, store = write_grid(folder, LARGE), folder / "store"
    arguments = [str(grid), "--workers", "1", "--out", str(store)]
    return python("-c", LIMITED.format(limit=LIMIT, arguments=arguments, mutation=mutation)), store
