"""Workers on this machine: one process per core or gpu."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from sweep.errors import WorkerFailed
from sweep.workers.parent_link import relay_report
from sweep.workers.progress import Progress
from sweep.workers.silence import LOOK_SECONDS
from sweep.workers.worker_process import WorkerProcess

POLL_SECONDS = 0.1
"""Time between two looks at the workers."""
STOP_SECONDS = 60.0
"""Time that a worker has for its chunk, its rows and its checkpoint before it is killed."""
GRACE_SECONDS = 20.0
"""The same after an error of the parent or a second signal."""

_STOPPED = "{} stopped before it was done; the same command will continue its work."


class LocalWorkers:
    """Runs workers that share a sweep in processes of this machine, each on its own core or gpu.

    Args:
        command: with `--turn i/count --report DESCRIPTOR` appended, the command of the i-th worker.
        count: number of workers.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.workers = [
            WorkerProcess(i + 1, count, [*command, "--turn", f"{i}/{count}"]) for i in range(count)
        ]
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._is_complete = False

    def run(
        self,
        progress: Progress,
        stop: threading.Event,
        has_progressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run all workers to their end, or until `stop` is set.

        A worker that was ended by a signal is restarted, at most RESTARTS times unless the sweep
        makes progress. A failure is raised after the other workers have ended. A worker that does
        not end when it should is killed.

        Args:
            progress: receives the reports of workers, what they print, and sentences about those
                that are silent or end early.
            stop: once it is set, workers are asked to end early.
            has_progressed: whether the sweep has made progress since the previous call.

        Raises:
            WorkerFailed: a worker failed, or was ended by signals too often.
        """
        self._progress = progress
        try:
            for worker in self.workers:
                self._start(worker)
            failures = self._wait(stop, has_progressed)
            self._end(STOP_SECONDS, gently=True)
        finally:
            try:
                self._end(GRACE_SECONDS, gently=False)
            finally:
                for worker in self.workers:
                    worker.kill()
        if failures and not stop.is_set():
            raise WorkerFailed("\n".join(failures))

    def _start(self, worker: WorkerProcess) -> None:
        def on_report(line: str) -> None:
            with self._lock:
                relay_report(line, self._progress)

        # What a plugin or a library prints is better shown than lost.
        worker.start(on_report, lambda line: self._say(line.rstrip()))

    def _wait(self, stop: threading.Event, has_progressed: Callable[[], bool]) -> list[str]:
        """Wait for all workers or `stop`, restart some; a sentence for each that failed."""
        failures: list[str] = []
        running, deadline = list(self.workers), math.inf
        while running and not stop.is_set() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            for worker in [worker for worker in running if not worker.running]:
                worker.close()
                if worker.exit_code and has_progressed():
                    worker.restarts = 0
                if worker.restartable and not stop.is_set():
                    self._restart(worker)
                    continue
                running.remove(worker)
                if worker.exit_code:
                    failures.append(f"{worker.outcome()} {worker.error_text()}".strip())
                    self._say(_farewell(worker, len(running)))
                else:
                    # It has seen every row in the store, so the others have nothing left to do.
                    self._is_complete = True
                    deadline = min(deadline, time.monotonic() + STOP_SECONDS)
            self._tell_of_silence(running)
        return failures

    def _restart(self, worker: WorkerProcess) -> None:
        worker.restarts += 1
        self._say(f"{worker.outcome()} Restarting it; written rows are kept.")
        self._start(worker)

    def _tell_of_silence(self, workers: Sequence[WorkerProcess]) -> None:
        """Look for signs of life of the workers, if that is due."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        for worker in workers:
            if sentence := worker.silence.look():
                self._say(f"{worker} {sentence}")

    def _end(self, seconds: float, gently: bool) -> None:
        """Ask the workers that are left to end, and kill those that take longer than that."""
        left = [worker for worker in self.workers if worker.is_open]
        # All are asked first, so that they end at the same time.
        for worker in left:
            worker.stop(gently)
        deadline = time.monotonic() + seconds
        while any(worker.running for worker in left) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        for worker in left:
            is_late = worker.running
            worker.kill()
            worker.close()
            if is_late:
                self._say(f"{worker} does not end and is killed; written rows are kept.")
            elif worker.exit_code:
                self._say(self._end_of(worker))

    def _end_of(self, worker: WorkerProcess) -> str:
        """The message about a worker that was asked to end."""
        if not worker.ended_by_stop_signal:
            return f"{worker.outcome()} {worker.error_text()}".strip()
        if self._is_complete:
            return f"{worker} did not end by itself and was stopped; every row is written."
        return _STOPPED.format(worker)

    def _say(self, text: str) -> None:
        with self._lock:
            self._progress.say(text)


def _farewell(worker: WorkerProcess, running: int) -> str:
    """The message about a worker that ended early by itself and is not restarted."""
    if worker.interrupted:
        return _STOPPED.format(worker)
    return f"{worker.outcome()} Workers still running: {running}."
