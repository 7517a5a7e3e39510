"""Silence of a process: what counts as a sign of life, and what is told of it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import psutil
import pytest

from sweep.workers import silence
from sweep.workers.silence import LOOK_SECONDS, SILENCE_SECONDS, Silence


class Process:
    """A process in some state, whose processor time the test turns on."""

    state, seconds = psutil.STATUS_SLEEPING, 3.0

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=self.seconds, system=0.0)

    def status(self) -> str:
        return self.state


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    found = Process()
    monkeypatch.setattr(silence.psutil, "Process", lambda number: found)
    return found


def looks(quiet: Silence, minutes: float) -> list[str]:
    """What is told in so many minutes."""
    found = [quiet.look() for _ in range(round(60 * minutes / LOOK_SECONDS))]
    return [sentence for sentence in found if sentence]


@pytest.mark.promise(23)
@pytest.mark.parametrize(
    ("state", "words"),
    [
        (psutil.STATUS_STOPPED, "for 2 min, because it is suspended. `kill -CONT 7` continues it."),
        (psutil.STATUS_TRACING_STOP, "because it is suspended"),
        (psutil.STATUS_DISK_SLEEP, "for 2 min; it waits for a disk or a network file system."),
        (psutil.STATUS_SLEEPING, "nor used the processor. If it hangs, `kill -9 7` ends it: it is"),
    ],
)
def test_the_state_of_a_silent_process_is_told_with_a_cure(
    process: Process, state: str, words: str
) -> None:
    quiet = Silence(7)
    looks(quiet, 1)
    process.state = state
    (sentence,) = looks(quiet, SILENCE_SECONDS / 60)
    assert sentence.startswith("(process 7) has not reported for 2 min") and words in sentence


def test_it_is_told_again_after_twice_the_time(process: Process) -> None:
    told = looks(Silence(7), 17)
    assert [sentence.split(" for ")[1].split(" min")[0] for sentence in told] == [
        "2",
        "4",
        "8",
        "16",
    ]


@pytest.mark.promise(23)
def test_reports_and_processor_time_are_signs_of_life(process: Process) -> None:
    """Long compilations and trainings report nothing; the threads of one that hangs use next to nothing."""
    quiet = Silence(7)
    for _ in range(10):
        assert looks(quiet, 1.5) == []
        process.seconds += 1
    for _ in range(10):
        assert looks(quiet, 1.5) == []
        quiet.end()
    for _ in range(2):
        process.seconds += 0.01
        told = looks(quiet, 1.1)
    assert len(told) == 1


def test_a_process_that_is_gone_or_at_work_is_not_told_of() -> None:
    assert looks(Silence(1 << 30), 3) == []
    assert Silence(os.getpid()).look() == ""
