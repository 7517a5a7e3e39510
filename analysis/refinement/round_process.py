"""The process that runs a round: it ends when the process that refines is asked to end."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

from sweep.errors import Interrupted

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that are passed on. Ctrl-C is SIGINT, and a closed terminal sends SIGHUP."""


def run_to_end(command: Sequence[str]) -> int:
    """Run a command without its standard output, and pass STOP_SIGNALS on to it.

    Python receives signals in its main thread only: in another one, none is passed on.

    Returns:
        The exit code; that of `Interrupted` if a signal ended the command or was passed on.
    """
    received: list[int] = []
    unsent: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def send() -> None:
        while process is not None and unsent:
            process.send_signal(unsent.pop())

    def receive(number: int, _: Any) -> None:
        received.append(number)
        unsent.append(number)
        send()

    previous = _handle(receive)
    try:
        # In a session of its own, so that Ctrl-C reaches it once: a second one ends it at once.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, start_new_session=bool(previous)
        )
        send()
        code = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    ended = received or -code in STOP_SIGNALS
    return Interrupted.exit_code if ended else code


def _handle(handler: Any) -> dict[signal.Signals, Any]:
    """Handle STOP_SIGNALS, but those that are ignored, as by `nohup`. Returns the old handlers."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handled = {number: old for number, old in previous.items() if old not in (None, signal.SIG_IGN)}
    for number in handled:
        signal.signal(number, handler)
    return handled
