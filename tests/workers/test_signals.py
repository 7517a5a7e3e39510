"""Signals that end a run, sent to this very process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from sweep.errors import Interrupted
from sweep.workers.signals import (
    GENTLE_STOP,
    SENT_BY_PEOPLE,
    SENT_BY_SYSTEMS,
    STOP_SIGNALS,
    StopSignals,
)


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in SENT_BY_SYSTEMS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def work(signals: StopSignals, *numbers: signal.Signals) -> None:
    """Work that is not cut short by signals that come one after the other."""
    stop, done = threading.Event(), False
    try:
        with signals.stopping(stop):
            for number in numbers:
                send(number)
                assert stop.wait(1)
            done = True
    finally:
        assert done, "cut short"


@pytest.mark.promise(13)
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_lets_the_work_end(number: signal.Signals) -> None:
    """Its name is in the error, with exit code 75, and afterwards all is as before."""
    with StopSignals() as signals, pytest.raises(Interrupted, match=number.name) as error:
        work(signals, number)
    assert error.value.exit_code == 75
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.promise(13)
@pytest.mark.parametrize("second", SENT_BY_PEOPLE)
@pytest.mark.parametrize("first", STOP_SIGNALS)
def test_a_second_signal_of_a_person_stops_at_once(
    first: signal.Signals, second: signal.Signals
) -> None:
    with StopSignals() as signals, pytest.raises(AssertionError, match="cut short"):
        work(signals, first, second)


@pytest.mark.promise(13)
@pytest.mark.parametrize("first", STOP_SIGNALS)
def test_a_second_signal_of_a_system_changes_nothing(first: signal.Signals) -> None:
    """A scheduler and the parent send one each to a worker, and a closed terminal sends two."""
    with StopSignals() as signals:
        with pytest.raises(Interrupted, match=first.name):
            work(signals, first, *SENT_BY_SYSTEMS)
        for number in SENT_BY_SYSTEMS:
            send(number)


@pytest.mark.promise(13)
@pytest.mark.parametrize("number", SENT_BY_PEOPLE)
def test_a_signal_before_the_work_is_raised_at_once(number: signal.Signals) -> None:
    with StopSignals(), pytest.raises(Interrupted, match=number.name):
        send(number)


def test_what_is_ignored_or_in_use_stays_so() -> None:
    """`nohup` ignores SIGHUP, and a program that calls this one may have a handler of its own."""
    heard: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    stop = threading.Event()
    with StopSignals() as signals, signals.stopping(stop):
        send(signal.SIGHUP)
        send(signal.SIGUSR1)
    assert heard == [signal.SIGUSR1] and not stop.is_set()


def test_a_worker_always_listens_to_its_parent() -> None:
    """Whatever its parent was told to ignore is ignored by its children too."""
    signal.signal(GENTLE_STOP, signal.SIG_IGN)
    with StopSignals(is_worker=True) as signals, pytest.raises(Interrupted):
        work(signals, GENTLE_STOP)
    assert signal.getsignal(GENTLE_STOP) == signal.SIG_IGN


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def work() -> None:
        with StopSignals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
