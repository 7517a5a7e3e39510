"""`python -m tests.workers.soak [--minutes M]`: a sweep whose processes are killed every few seconds, beside one left in peace.

Prints kills, rows, duplicates, losses, bits and memory. Takes about twenty minutes on two cores. It kills only
processes that it started itself and their children, by their numbers.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.shell import rows, start, stores_differ, write_grid

TRIALS = 200_000
GRID = """
name: soak
seed: {range: [0, 2000]}
data: {kind: signal_noise, n: 10, d: 50, signal: {log: [0.2, 5, 25]}, noise: 1}
model: {kind: cnn, width: [2, 4]}
optimizer: [{kind: gd, lr: 0.1}, {kind: adam, lr: 0.01}]
train: {steps: 800}
record: {points: 3}
test_points: 50
"""


@dataclass
class Watch:
    """One command, started again whenever it ends without success; what was killed and how much memory was used."""

    grid: Path
    store: Path
    log: Path
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    memory: list[tuple[float, str, int]] = field(default_factory=list)

    def run(self, minutes: float, chance: random.Random) -> float:
        """Run to the end, killing for so many minutes; the seconds it took."""
        began = time.monotonic()
        process = self._start()
        strike = began + chance.uniform(2, 6)
        while process.poll() != 0:
            now = time.monotonic()
            if process.poll() is not None:
                process = self._start()
            self._measure(now - began, process)
            if now >= strike and now - began < 60 * minutes:
                self._kill(chance, process)
                strike = now + chance.uniform(2, 6)
            time.sleep(0.2)
        return time.monotonic() - began

    def _start(self) -> subprocess.Popen[str]:
        self.starts += 1
        code = "import sys; sys.stderr = sys.stdout = open({!r}, 'a'); from sweep.run import app; app()"
        return start(
            "-c", code.format(str(self.log)), self.grid, "--out", self.store, "--workers", "2"
        )

    def _measure(self, second: float, process: subprocess.Popen[str]) -> None:
        members = {"parent": [process.pid], "worker": _children(process.pid)}
        self.memory += [
            (second, who, _resident(each)) for who, found in members.items() for each in found
        ]

    def _kill(self, chance: random.Random, process: subprocess.Popen[str]) -> None:
        """The parent once in six times, else one of its workers."""
        workers = _children(process.pid)
        who, number = (
            ("worker", chance.choice(workers))
            if workers and chance.random() > 1 / 6
            else ("parent", process.pid)
        )
        if process.poll() is None:
            os.kill(number, signal.SIGKILL)
            self.kills[who] += 1

    def peak(self, who: str, first: float = 0.0, last: float = 1.0) -> int:
        """The largest memory in MiB in a part of the time."""
        end = max(second for second, _, _ in self.memory)
        return max(
            size
            for second, name, size in self.memory
            if name == who and first * end <= second <= last * end
        )


def _children(process: int) -> list[int]:
    try:
        return [
            int(each)
            for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except OSError:
        return []


def _resident(process: int) -> int:
    """Memory of a process in MiB, 0 where it is gone."""
    try:
        return (
            int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            >> 20
        )
    except OSError:
        return 0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description="Kill a sweep again and again and compare it with one left in peace."
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        grid = write_grid(home, GRID)
        for title, minutes in (("in peace", 0.0), ("killed", options.minutes)):
            watch = Watch(grid, home / title, home / f"{title}.log")
            seconds = watch.run(minutes, random.Random(seed))
            found = rows(home / title)["trial"]
            print(
                f"{title}: {seconds:.0f} s, {watch.starts} starts, kills {dict(watch.kills)}, seed {seed}"
            )
            print(
                f"  rows {len(found):,}, duplicates {len(found) - len(found.unique()):,}", end=", "
            )
            print(
                f"lost {TRIALS - len(found.unique()):,}, parts {len(list((home / title / 'runs').iterdir())):,}"
            )
            for who in ("parent", "worker"):
                halves = watch.peak(who, 0.0, 0.5), watch.peak(who, 0.5, 1.0)
                print(
                    f"  {who}: at most {halves[0]} MiB in the first half of the time, {halves[1]} in the second"
                )
        print(
            f"difference of the tables: {stores_differ(home / 'in peace', home / 'killed') or 'none'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
