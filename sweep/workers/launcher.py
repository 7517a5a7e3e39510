"""Workers on this machine: one process per core or gpu."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sweep.errors import Interrupted, WorkerFailed

RESTARTS = 2
"""How often a worker ended by a signal is restarted while nothing is committed."""
POLL_SECONDS, GRACE_SECONDS = 0.1, 20.0
"""Time between two looks at the workers, and time that a worker has to end before it is killed."""


@dataclass
class WorkerProcess:
    """One of the workers with its current process.

    Attributes:
        number: number of the worker, from 1.
        command: command line of the process.
        restarts: how often it was restarted since the sweep last made progress.
        process: its current process.
        error_lines: the last lines that it printed on standard error.
        threads: the threads that read its output.
    """

    number: int
    command: Sequence[str]
    restarts: int = 0
    process: subprocess.Popen[str] = field(init=False)
    error_lines: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, on_line: Callable[[str], None]) -> None:
        """Start the process; `on_line` is called with each line that it prints.

        It has a session of its own, so that Ctrl-C reaches it through the parent only, and ends
        when its standard input is closed, so that it does not outlive the parent.
        """
        self.error_lines.clear()
        self.threads.clear()
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(self.command, text=True, start_new_session=True, **pipes)
        # Both streams are read all the time: a full pipe would block the worker.
        readers = ((self.process.stdout, on_line), (self.process.stderr, self.error_lines.append))
        for stream, reader in readers:
            thread = threading.Thread(target=_read_lines, args=(stream, reader), daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        """Ask the process to end after its current chunk."""
        if self.process.poll() is None:
            self.process.terminate()

    def close(self) -> None:
        """Wait until the process has ended and its output is read; kill it if that takes long."""
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    @property
    def interrupted(self) -> bool:
        """True if it stopped cleanly on a signal, with work left."""
        return self.process.returncode == Interrupted.exit_code

    @property
    def restartable(self) -> bool:
        """True if a signal ended it, for which a restart is likely to help."""
        return (self.process.returncode < 0 or self.interrupted) and self.restarts < RESTARTS

    def outcome(self) -> str:
        """How it ended, as the predicate of a sentence."""
        code = self.process.returncode
        if self.interrupted:
            return "was interrupted before it was done"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"failed with exit code {code}"

    def error_text(self) -> str:
        """The last lines that it printed on standard error."""
        return "".join(self.error_lines).strip()


def _read_lines(stream: Iterable[str], on_line: Callable[[str], None]) -> None:
    for line in stream:
        on_line(line)


class LocalWorkers:
    """Runs workers that share a sweep in processes of this machine, each on its own core or gpu.

    Args:
        command: with `--turn i/count` appended, the command of the i-th worker.
        count: number of workers.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.workers = [
            WorkerProcess(i + 1, [*command, "--turn", f"{i}/{count}"]) for i in range(count)
        ]

    def run(
        self,
        on_line: Callable[[str], None],
        on_message: Callable[[str], None],
        stop: threading.Event,
        has_progressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run all workers to their end.

        A worker that was ended by a signal is restarted, at most RESTARTS times unless the sweep
        makes progress. A failure is raised after the other workers have ended.

        Args:
            on_line: called with each line that a worker prints.
            on_message: called with sentences about workers that ended early.
            stop: once it is set, workers are asked to end early.
            has_progressed: whether the sweep has made progress since the previous call.

        Raises:
            WorkerFailed: a worker failed, or was ended by signals too often.
        """
        lock = threading.Lock()
        on_line, on_message = _with_lock(lock, on_line), _with_lock(lock, on_message)
        started: list[WorkerProcess] = []
        try:
            for worker in self.workers:
                worker.start(on_line)
                started.append(worker)
            failures = self._wait(on_line, on_message, stop, has_progressed)
        finally:
            # All are asked first, so that they end at the same time.
            for worker in started:
                worker.stop()
            for worker in started:
                worker.close()
        if failures and not stop.is_set():
            raise WorkerFailed("\n".join(failures))

    def _wait(
        self,
        on_line: Callable[[str], None],
        on_message: Callable[[str], None],
        stop: threading.Event,
        has_progressed: Callable[[], bool],
    ) -> list[str]:
        """Wait for all workers, restart some, and return a sentence for each that failed."""
        failures: list[str] = []
        running, stopping = list(self.workers), False
        while running:
            time.sleep(POLL_SECONDS)
            if stop.is_set() and not stopping:
                stopping = True
                for worker in running:
                    worker.stop()
            for worker in [worker for worker in running if worker.process.poll() is not None]:
                worker.close()
                if worker.process.returncode and has_progressed():
                    worker.restarts = 0
                if worker.restartable and not stopping:
                    worker.restarts += 1
                    on_message(f"{self._sentence(worker)} Restarting it; written rows are kept.")
                    worker.start(on_line)
                    continue
                running.remove(worker)
                if worker.process.returncode:
                    failures.append(f"{self._sentence(worker)} {worker.error_text()}".strip())
                    on_message(self._farewell(worker, stopping, len(running)))
        return failures

    def _sentence(self, worker: WorkerProcess) -> str:
        return f"Worker {worker.number} of {len(self.workers)} {worker.outcome()}."

    def _farewell(self, worker: WorkerProcess, stopping: bool, running: int) -> str:
        """The message about a worker that ended early and is not restarted."""
        terminated = worker.process.returncode == -signal.SIGTERM
        # SIGTERM ends a process that has not set up its handler yet.
        if worker.interrupted or (stopping and terminated):
            name = f"Worker {worker.number} of {len(self.workers)}"
            return f"{name} stopped before it was done; the same command will continue its work."
        return f"{self._sentence(worker)} Workers still running: {running}."


def _with_lock(lock: threading.Lock, callback: Callable[[str], None]) -> Callable[[str], None]:
    """The callback, called by one thread at a time."""

    def locked(text: str) -> None:
        with lock:
            callback(text)

    return locked


def available_cores() -> list[int]:
    """Numbers of the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind_to_parent(number: int, pin: bool = True) -> None:
    """End this process when its parent ends; with `pin`, also bind it to one processor.

    Processors are taken in turn by the `number` of the worker, from 0; systems without processor
    affinity ignore `pin`.
    """
    if pin and hasattr(os, "sched_setaffinity"):
        cores = available_cores()
        os.sched_setaffinity(0, {cores[number % len(cores)]})
    threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    # The parent holds the other end of this pipe, so it closes however the parent ends.
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
