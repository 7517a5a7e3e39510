"""Host threads that drive the buckets of a plan: one a core on a CPU, one in all on an accelerator."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from sweep.drive import Drive, Ended, Queue, Records


@dataclass
class Job:
    """A bucket's queue with the shape of its batches, and how many threads are driving it."""

    queue: Queue
    lanes: int
    block: int
    drivers: int = 0


class Crew:
    """Iterate over it to train all jobs; yields (number of the job, `Ended`) in no particular order.

    A thread that is free takes the job with the fewest drivers among those with trials left, so that programs of
    different buckets compile side by side. Once `stop` is set, or a thread has failed, every thread finishes its chunk,
    what has ended is still yielded, and then the failure is raised. Closing the iterator stops the threads too.
    """

    def __init__(self, jobs: Sequence[Job], threads: int, records: Records) -> None:
        self.jobs, self.records = jobs, records
        self.found: queue.Queue[tuple[int, Ended] | BaseException | None] = queue.Queue(maxsize=4 * threads)
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __iter__(self) -> Generator[tuple[int, Ended], None, None]:
        for thread in self.threads:
            thread.start()
        try:
            yield from self._harvest()
        finally:
            self._dismiss()

    def _harvest(self) -> Iterator[tuple[int, Ended]]:
        working, failure = len(self.threads), None
        while working:
            found = self.found.get()
            if isinstance(found, tuple):
                yield found
                continue
            working -= 1
            if found is not None:
                failure = failure or found
                self.stop.set()
        if failure is not None:
            raise failure

    def _dismiss(self) -> None:
        self.stop.set()
        while any(thread.is_alive() for thread in self.threads):
            try:
                self.found.get(timeout=0.05)
            except queue.Empty:
                continue

    def _work(self) -> None:
        try:
            while (number := self._join()) is not None:
                self._drive(number, self.jobs[number])
            self.found.put(None)
        except BaseException as error:
            self.found.put(error)

    def _drive(self, number: int, job: Job) -> None:
        try:
            for ended in Drive(job.queue, job.lanes, job.block, self.records, self.stop):
                self.found.put((number, ended))
        finally:
            with self.lock:
                job.drivers -= 1

    def _join(self) -> int | None:
        with self.lock:
            open_jobs = [number for number, job in enumerate(self.jobs) if job.queue.left and not self.stop.is_set()]
            if not open_jobs:
                return None
            number = min(open_jobs, key=lambda number: self.jobs[number].drivers)
            self.jobs[number].drivers += 1
            return number
