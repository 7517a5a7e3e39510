"""Workers on this machine: a process a core."""

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
"""How often a worker that a signal ended is started again while nothing is committed."""
PATIENCE, GRACE = 0.1, 20.0


@dataclass
class WorkerProcess:
    """One of the workers and its process of the moment; `number` counts from 1."""

    number: int
    command: Sequence[str]
    restarts: int = 0
    process: subprocess.Popen[str] = field(init=False)
    words: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, hear: Callable[[str], None]) -> None:
        """Start the process; `hear` is called with each line that it prints.

        It has a session of its own, so that Ctrl-C reaches it through the parent alone, and ends when its standard
        input does, so that it does not outlive the parent.
        """
        self.words.clear()
        self.threads.clear()
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(self.command, text=True, start_new_session=True, **pipes)
        for stream, listener in ((self.process.stdout, hear), (self.process.stderr, self.words.append)):
            thread = threading.Thread(target=_listen, args=(stream, listener), daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        """Ask the process to end after its chunk."""
        if self.process.poll() is None:
            self.process.terminate()

    def close(self) -> None:
        """Wait until the process has ended, a while at most, and everything it said is heard."""
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def last_words(self) -> str:
        """What it said last on standard error."""
        return "".join(self.words).strip()


def _listen(stream: Iterable[str], hear: Callable[[str], None]) -> None:
    for line in stream:
        hear(line)


class LocalWorkers:
    """Runs `count` workers that share a sweep in processes of this machine, each on a core of its own.

    `command` is that of the i-th worker when `--turn i/count` is appended.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.workers = [WorkerProcess(i + 1, [*command, "--turn", f"{i}/{count}"]) for i in range(count)]

    def run(
        self,
        hear: Callable[[str], None],
        say: Callable[[str], None],
        stop: threading.Event,
        progressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run all workers to their end; once `stop` is set they are asked to end early.

        A worker that a signal ended is started again, twice at most unless the sweep has `progressed` since this was
        asked last; one that failed is reported after the others have ended. Raises WorkerFailed.
        """
        lock = threading.Lock()

        def alone(tell: Callable[[str], None]) -> Callable[[str], None]:
            def told(text: str) -> None:
                with lock:
                    tell(text)

            return told

        started: list[WorkerProcess] = []
        try:
            for worker in self.workers:
                worker.start(alone(hear))
                started.append(worker)
            failures = self._wait(alone(hear), alone(say), stop, progressed)
        finally:
            for worker in started:
                worker.stop()
            for worker in started:
                worker.close()
        if failures and not stop.is_set():
            raise WorkerFailed("\n".join(failures))

    def _wait(
        self,
        hear: Callable[[str], None],
        say: Callable[[str], None],
        stop: threading.Event,
        progressed: Callable[[], bool],
    ) -> list[str]:
        """Wait for all workers and return what is to be said of those that failed."""
        failures, running, asked = [], list(self.workers), False
        while running:
            time.sleep(PATIENCE)
            if stop.is_set() and not asked:
                asked = True
                for worker in running:
                    worker.stop()
            for worker in [each for each in running if each.process.poll() is not None]:
                worker.close()
                code = worker.process.returncode
                worker.restarts = 0 if code and progressed() else worker.restarts
                if (code < 0 or code == Interrupted.exit_code) and worker.restarts < RESTARTS and not asked:
                    worker.restarts += 1
                    say(f"{self._end(worker)} It is started again: only what it had not written runs again.")
                    worker.start(hear)
                    continue
                running.remove(worker)
                if code:
                    failures.append(f"{self._end(worker)} {worker.last_words()}".strip())
                    say(f"{self._end(worker)} Others that still run go on: {len(running)}.")
        return failures

    def _end(self, worker: WorkerProcess) -> str:
        code = worker.process.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
        return f"Worker {worker.number} of {len(self.workers)} {how}."


def available_cores() -> list[int]:
    """Processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def bind_to_parent(number: int, pin: bool = True) -> None:
    """End when the parent does; where `pin`, stay on a processor of one's own if the system knows such a thing."""
    if pin and hasattr(os, "sched_setaffinity"):
        places = available_cores()
        os.sched_setaffinity(0, {places[number % len(places)]})
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
