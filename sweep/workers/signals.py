"""Signals that end a run: the first one gently, a second one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sweep.errors import Interrupted


class StopSignals:
    """SIGTERM and Ctrl-C while it lasts, as the error `Interrupted`: at once, or gently where that is possible."""

    def __init__(self) -> None:
        self._stop: threading.Event | None = None
        self._caught: Interrupted | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread may listen to signals
            self._before = {each: signal.signal(each, self._hear) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def stopping(self, stop: threading.Event) -> Iterator[None]:
        """Let the first signal only set `stop`, and raise it at the end; a second one is raised at once."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None
        if self._caught is not None:
            raise self._caught

    def _hear(self, number: int, _: Any) -> None:
        name = signal.Signals(number).name
        error = Interrupted(f"Interrupted by {name}. Every row that was written stays; the same command goes on.")
        if self._stop is None or self._caught is not None:
            raise error
        self._caught = error
        self._stop.set()
