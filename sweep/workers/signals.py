"""Signals that end a run: the first one gently, a second one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sweep.errors import Interrupted


class StopSignals:
    """A context in which SIGTERM and Ctrl-C raise `Interrupted`, after a clean stop if possible."""

    def __init__(self) -> None:
        self._stop: threading.Event | None = None
        self._pending: Interrupted | None = None
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def stopping(self, stop: threading.Event) -> Iterator[None]:
        """Let the first signal set `stop` and raise at the end; a second one raises at once."""
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
        if self._stop is None or self._pending is not None:
            raise error
        self._pending = error
        self._stop.set()
