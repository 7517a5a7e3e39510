"""Signals that come while modules are imported, which takes seconds: nothing has begun yet."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sweep.errors import Interrupted

_DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}
"""The handlers with which Python starts; any other is somebody's choice, such as that of `nohup`."""


def exit_on_signals() -> None:
    """Let SIGTERM and Ctrl-C end this process at once, with the exit code of `Interrupted`."""
    for number, default in _DEFAULTS.items():
        _replace(number, default, _exit)


@contextmanager
def exiting_on_signals() -> Iterator[None]:
    """Around imports: SIGTERM and Ctrl-C end this process at once, but no longer afterwards."""
    exit_on_signals()
    try:
        yield
    finally:
        for number, default in _DEFAULTS.items():
            _replace(number, _exit, default)


def _replace(number: signal.Signals, old: Any, new: Any) -> None:
    """Set a handler where another one is set, which Python allows in the main thread only."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(number) == old:
        signal.signal(number, new)


def _exit(number: int, _: Any) -> None:
    # Not by an exception: libraries catch what their imports raise.
    name = signal.Signals(number).name
    with suppress(OSError):
        os.write(
            2, f"Interrupted by {name} before any work. The same command begins it.\n".encode()
        )
    os._exit(Interrupted.exit_code)
