"""A signal that comes while modules are imported ends a command as a later one does: 75 and a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sweep.early_signals import exit_on_signals, exiting_on_signals
from tests.shell import environment

SIGNALLED = """
import os, signal
try:
    os.kill(os.getpid(), signal.{name})
    for _ in range(10_000):  # a handler runs between two steps of Python
        pass
except BaseException:  # as libraries do around optional imports
    pass
raise SystemExit("it was imported")
"""
"""A module that gets a signal while it is imported."""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("jax", ("-m", "sweep.run", "grid.yaml")),
        ("jax", ("-m", "sweep", "run", "grid.yaml")),
        ("pandas", ("-m", "sweep", "phase", ".")),
        ("typer", ("-m", "sweep", "kinds")),
        ("typer", ("-m", "analysis", "phase", ".")),
        ("jax", ("-c", "from sweep.__main__ import app; app(['run', 'grid.yaml'])")),
    ],
)
def test_a_signal_during_an_import(
    tmp_path: Path, module: str, words: tuple[str, ...], name: str
) -> None:
    (tmp_path / f"{module}.py").write_text(SIGNALLED.format(name=name))
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    answer = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True)
    said = f"Interrupted by {name} before any work. The same command begins it.\n"
    assert (answer.returncode, answer.stderr, answer.stdout) == (75, said, "")


NUMBERS = (signal.SIGTERM, signal.SIGINT)


def test_handlers_are_set_for_the_imports_alone() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with exiting_on_signals():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) != before[1]
        signal.signal(signal.SIGTERM, before[0])
        exit_on_signals()
        with exiting_on_signals():
            pass
        assert [signal.getsignal(number) for number in NUMBERS] == before
    finally:
        for number, handler in zip(NUMBERS, before, strict=True):
            signal.signal(number, handler)


def test_another_thread_sets_none() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    thread = threading.Thread(target=exit_on_signals)
    thread.start()
    thread.join()
    assert [signal.getsignal(number) for number in NUMBERS] == before
