"""The socket between a worker and its parent."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from sweep.workers.parent_link import ParentLink, relay_report
from sweep.workers.progress import SilentProgress


def received(connection: socket.socket) -> list[str]:
    """All lines that were sent to one end, whose other end is closed."""
    with connection.makefile("r", encoding="utf-8") as lines:
        return list(lines)


def test_reports_are_passed_on() -> None:
    """What a worker reports adds up, at most one line of counts a second, and sentences come through."""
    ours, theirs = socket.socketpair()
    now = [0.0]
    with ours, theirs:
        link = ParentLink(theirs, interval=1.0, clock=lambda: now[0])
        link.start(10, 0)
        for _ in range(5):
            now[0] += 0.4
            link.advance(2, 300, compiles=1)
        link.say("A sentence.\nAnother — one.")
        link.close()
        theirs.close()
        lines = received(ours)
    assert len(lines) == 3
    told = SilentProgress()
    for line in lines:
        relay_report(line, told)
    assert (told.tally.trials, told.tally.lane_steps, told.tally.compiles) == (10, 1500, 5)
    assert told.messages == ["A sentence.\nAnother — one."]


def test_a_worker_that_waits_gives_a_sign_of_life_that_nobody_reads() -> None:
    ours, theirs = socket.socketpair()
    now = [0.0]
    with ours, theirs:
        link = ParentLink(theirs, interval=1.0, clock=lambda: now[0])
        link.tick()
        now[0] = 1.0
        link.tick()
        theirs.close()
        (line,) = received(ours)

    class Unmoved(SilentProgress):
        def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
            raise AssertionError

    relay_report(line, Unmoved())


@pytest.mark.parametrize(
    "line",
    ["", "null", "5", "[1]", "[1, 2, null]", '["a", 1, 2]', "[1.5, 0, 0]", '{"say": 5}', '{"event": "x"}', "{", "[" * 10_000, "\ufffd"],
)  # fmt: skip
def test_what_is_no_report_is_ignored(line: str) -> None:
    told = SilentProgress()
    relay_report(line, told)
    assert told == SilentProgress()


def test_a_parent_that_is_gone_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        link = ParentLink(theirs)
        link.say("Is anybody there?")
        link.close()


def test_a_worker_ends_with_its_parent_and_its_children_do_not_hold_the_socket() -> None:
    code = """
import os, sys, time
from sweep.workers.parent_link import ParentLink
descriptor = int(sys.argv[1])
link = ParentLink.from_descriptor(descriptor)
assert not os.get_inheritable(descriptor)
link.end_with_parent()
link.say("ready")
time.sleep(60)
"""
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen([sys.executable, "-c", code, str(number)], pass_fds=[number])
    with process:
        assert ours.recv(100) == b'{"say": "ready"}\n'
        ours.close()
        assert process.wait(20) == -signal.SIGTERM
