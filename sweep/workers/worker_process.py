"""One worker as its parent sees it: a process, what it says, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import RawIOBase

from sweep.errors import Interrupted, WorkerFailed
from sweep.workers.signals import GENTLE_STOP, STOP_SIGNALS
from sweep.workers.silence import Silence

RESTARTS = 2
"""How often a worker ended by a signal is restarted while nothing is committed."""
LINE_BYTES = 1 << 16
"""What is kept of a line; a library may print without ever ending one."""
KILL_SECONDS = 2.0
"""Time to be gone after a kill; a process that waits for a disk needs more."""
JOIN_SECONDS = 1.0
"""Time for the last output of a process that has ended; its own children may keep pipes open."""

OnLine = Callable[[str], None]


@dataclass
class WorkerProcess:
    """One of the workers with its current process.

    Attributes:
        number: number of the worker, from 1.
        count: number of workers.
        command: command line of the process; `--report DESCRIPTOR` is appended.
        restarts: how often it was restarted since the sweep last made progress.
        process: its current process; None before the first start.
        silence: how long that has given no sign of life.
        error_lines: the last lines that it printed on standard error.
    """

    number: int
    count: int
    command: Sequence[str]
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    silence: Silence = field(init=False)
    error_lines: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, on_report: OnLine, on_line: OnLine) -> None:
        """Start the process.

        It has a session of its own, so that Ctrl-C reaches it through the parent only, and a socket
        for its reports that tells it when the parent ends.

        Args:
            on_report: called with each line that it sends over its socket.
            on_line: called with each line that it prints.

        Raises:
            WorkerFailed: the system starts no more processes.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.process = self._open(theirs.fileno())
            # It keeps our end open until it is closed itself.
            reports = ours.makefile("rb", buffering=0)
        self.error_lines.clear()
        self.silence = Silence(self.process.pid)

        def on_sign_of_life(line: str) -> None:
            self.silence.end()
            on_report(line)

        # All three are read all the time: a full pipe would block the worker.
        streams = (
            (reports, on_sign_of_life),
            (self.process.stdout, on_line),
            (self.process.stderr, self.error_lines.append),
        )
        self._threads = [
            threading.Thread(target=_read_lines, args=stream, daemon=True) for stream in streams
        ]
        for thread in self._threads:
            thread.start()

    def _open(self, descriptor: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [*self.command, "--report", str(descriptor)],
                # Without buffers: a thread that waits would hold the lock of one for ever.
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=[descriptor],
            )
        except OSError as error:
            raise WorkerFailed(
                f"{self} cannot be started: {error.strerror}. "
                "Use fewer --workers, or raise the limit on processes."
            ) from error

    @property
    def is_open(self) -> bool:
        """Whether `close` is due: its process was started and may still run, or have output."""
        return bool(self._threads)

    @property
    def running(self) -> bool:
        """Whether its process was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int:
        """Exit code of the process that has ended; minus the number of a signal that ended it."""
        return (self.process and self.process.returncode) or 0

    def stop(self, gently: bool = True) -> None:
        """Ask the process to end, after its current chunk or at once.

        One that is suspended continues for that.
        """
        if self.process is not None and self.running:
            self.process.send_signal(GENTLE_STOP if gently else signal.SIGTERM)
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, or leave it to the system if that has to wait for a disk."""
        if self.process is not None and self.running:
            self.process.kill()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(KILL_SECONDS)

    def close(self) -> None:
        """Read the last output of a process that has ended."""
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = []

    @property
    def interrupted(self) -> bool:
        """True if it stopped cleanly on a signal, with work left."""
        return self.exit_code == Interrupted.exit_code

    @property
    def ended_by_stop_signal(self) -> bool:
        """True if it stopped on a signal, cleanly or before it listened to signals."""
        return self.interrupted or -self.exit_code in STOP_SIGNALS

    @property
    def restartable(self) -> bool:
        """True if a signal ended it, for which a restart is likely to help."""
        return (self.exit_code < 0 or self.interrupted) and self.restarts < RESTARTS

    def outcome(self) -> str:
        """How it ended, as a sentence."""
        if self.interrupted:
            return f"{self} was interrupted before it was done."
        if self.exit_code < 0:
            return f"{self} was ended by {signal.Signals(-self.exit_code).name}."
        return f"{self} failed with exit code {self.exit_code}."

    def error_text(self) -> str:
        """The last lines that it printed on standard error."""
        return "\n".join(self.error_lines).strip()

    def __str__(self) -> str:
        return f"Worker {self.number} of {self.count}"


def _read_lines(stream: RawIOBase, on_line: OnLine) -> None:
    """Call `on_line` with each line of a stream, whatever its bytes, and close it at its end."""
    unfinished = b""
    with suppress(OSError), stream:
        while chunk := stream.read(LINE_BYTES):
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            for line in lines:
                _tell(on_line, line)
            unfinished = unfinished[:LINE_BYTES]
    if unfinished:
        _tell(on_line, unfinished)


def _tell(on_line: OnLine, line: bytes) -> None:
    # The thread outlives any error here, because a worker blocks where nobody reads.
    with suppress(Exception):
        on_line(line[:LINE_BYTES].decode(errors="replace"))
