"""Signals that end a run: the first one gently, a second one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sweep.errors import Interrupted

SENT_BY_PEOPLE = (signal.SIGTERM, signal.SIGINT)
"""Signals of which a second one stops at once. Ctrl-C is SIGINT."""
SENT_BY_SYSTEMS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""Signals that end a run gently, however often they come.

A closed terminal sends SIGHUP, often twice. Schedulers send one of the others some time before the
end of a job, and to all of its processes: a worker gets it from the scheduler and from its parent.
"""
STOP_SIGNALS = (*SENT_BY_PEOPLE, *SENT_BY_SYSTEMS)
GENTLE_STOP = signal.SIGUSR1
"""What a parent sends to its workers."""


class StopSignals:
    """A context in which STOP_SIGNALS raise `Interrupted`, after a clean stop if possible.

    Those of systems do so only where they would end the process otherwise: `nohup` and programs
    that call this one may have other uses for them.

    Args:
        is_worker: whether a parent may send GENTLE_STOP, which is then never ignored.
    """

    def __init__(self, is_worker: bool = False) -> None:
        self._always = (*SENT_BY_PEOPLE, GENTLE_STOP) if is_worker else SENT_BY_PEOPLE
        self._stop: threading.Event | None = None
        self._pending: Interrupted | None = None
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                handler = signal.getsignal(number)
                if number in self._always or handler is signal.SIG_DFL:
                    self._previous_handlers[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            # None is a handler that was not set by Python, and that Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def stopping(self, stop: threading.Event) -> Iterator[None]:
        """Let the first signal set `stop` and raise at the end; a second one raises at once."""
        if self._pending is not None:
            raise self._pending  # it was raised where an exception is ignored, such as a callback
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None
        if self._pending is not None:
            raise self._pending

    def _handle(self, number: int, _: Any) -> None:
        name = signal.Signals(number).name
        error = Interrupted(
            f"Interrupted by {name}. Every row written so far is kept; the same command resumes."
        )
        if self._pending is not None and number in SENT_BY_SYSTEMS:
            return
        is_first, self._pending = self._pending is None, error
        if self._stop is None or not is_first:
            raise error
        self._stop.set()
