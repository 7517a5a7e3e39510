"""A process that is asked to end passes that on to the sweep that it runs, and waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from analysis.refinement.round_process import run_to_end
from tests.shell import environment, wait

PARENT = """
import sys
from analysis.refinement.round_process import run_to_end
sys.exit(run_to_end([sys.executable, "-c", *sys.argv[1:]]))
"""

CHILD = """
import signal, sys, time
got = []
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(each, lambda number, _: got.append(number))
open(sys.argv[1], "w").close()
while not got:
    time.sleep(0.01)
time.sleep(0.3)
open(sys.argv[1] + "-end", "w").write(repr(list(map(int, got))))
sys.exit(int(sys.argv[2]))
"""
"""Waits for a signal, for more of them, and ends."""


@pytest.mark.parametrize("code", [0, 75])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_once(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Even if it goes to all processes in the foreground of a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, tmp_path / "child", str(code)],
        env=environment(),
        start_new_session=True,
    )
    try:
        wait((tmp_path / "child").exists)
        os.killpg(process.pid, number)
        assert process.wait(20) == 75
    finally:
        process.kill()
    assert (tmp_path / "child-end").read_text() == f"[{int(number)}]"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 75),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_the_exit_code_is_that_of_the_command(text: str, code: int) -> None:
    """That of an interruption where a signal ended it before it listened to signals."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert run_to_end([sys.executable, "-c", text]) == code
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_command_runs_in_any_thread() -> None:
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(run_to_end([sys.executable, "-c", "raise SystemExit(4)"]))
    )
    thread.start()
    thread.join()
    assert codes == [4]
