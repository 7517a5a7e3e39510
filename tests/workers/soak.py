"""`python -m tests.workers.soak [--minutes M]`: a sweep to which everything happens, beside one left in peace.

Three commands of two hosts work on one folder. Every second or so one of their processes is killed, or stopped for
longer than a lease and continued, the clock jumps, the store is compacted, or the grid gains seeds. In the end each
trial has to be in the table once, with the bits that it has in peace. The hosts are the two names of one machine, and
a lease is short; both are set from outside, by a module that Python imports at its start. It touches only processes
that it started itself and their children.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.shell import command, python, rows, start, stores_differ, write_grid

STAGES, TRIALS_PER_SEED = 8, 100
LEASE = 6.0
GRID = """
name: soak
seed: {{range: [0, {seeds}]}}
data: {{kind: signal_noise, n: 10, d: 50, signal: {{log: [0.2, 5, 25]}}, noise: 1}}
model: {{kind: cnn, width: [2, 4]}}
optimizer: [{{kind: gd, lr: 0.1}}, {{kind: adam, lr: 0.01}}]
train: {{steps: 800}}
record: {{points: 3}}
test_points: 50
"""
HOOK = """
import os

if host := os.environ.get("SOAK_HOST"):
    from sweep.store import claims, owners

    owners._host = lambda: host
    claims.Claims.__init__.__defaults__ = (float(os.environ["SOAK_LEASE"]), False)
"""
"""The machine's other name and the short lease, in a command and in its workers."""


def environment(home: Path, host: str) -> dict[str, str]:
    """The environment of a command of a host."""
    paths = [str(home / "hook"), str(Path(__file__).parents[2])]
    return {"PYTHONPATH": os.pathsep.join(paths), "SOAK_HOST": host, "SOAK_LEASE": str(LEASE)}


@dataclass
class Command:
    """One command on the store, started again when it has failed or its grid has grown."""

    home: Path
    host: str
    workers: int
    log: Path
    process: subprocess.Popen[str] | None = None
    stage: int = -1
    ends: Counter[int] = field(default_factory=Counter)

    def tend(self, stage: int) -> bool:
        """Start it if there is something to do; whether it is done with this stage of the grid."""
        code = self.process.poll() if self.process else 1
        if code is None:
            return False
        if code == 0 and self.stage == stage:
            return True
        if self.process:
            self.ends[code] += 1
        self.stage = stage
        write = "import sys; sys.stderr = sys.stdout = open({!r}, 'a'); from sweep.run import app; app()"
        options = ("--workers", self.workers, "--lanes", 64)
        self.process = start(
            *("-c", write.format(str(self.log)), self.home / "grid.yaml"),
            *("--out", self.home / "store", *options),
            **environment(self.home, self.host),
        )
        return False

    def processes(self) -> list[psutil.Process]:
        """The command, if it runs, and its workers."""
        if self.process is None or self.process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children()]
        return []


@dataclass
class Misfortune:
    """What happens to the commands and their folder."""

    home: Path
    commands: list[Command]
    chance: random.Random
    happened: Counter[str] = field(default_factory=Counter)
    stopped: list[tuple[float, psutil.Process]] = field(default_factory=list)
    memory: list[tuple[str, int]] = field(default_factory=list)

    def strike(self) -> None:
        """Let something happen."""
        happenings = (
            self._kill,
            self._stop,
            self._step_clock,
            self._compact,
            self._compact_beside_sleepers,
        )
        happening = self.chance.choices(happenings, weights=(6, 6, 3, 2, 1))[0]
        happening()

    def wake(self, now: float) -> None:
        """Continue what was stopped for long enough."""
        for until, process in self.stopped:
            if until <= now:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        self.stopped = [each for each in self.stopped if each[0] > now]

    def measure(self) -> None:
        """Note the memory of all processes, in MiB."""
        for each in self.commands:
            for number, process in enumerate(each.processes()):
                with suppress(psutil.NoSuchProcess):
                    self.memory.append(
                        ("worker" if number else "parent", process.memory_info().rss >> 20)
                    )

    def _victims(self) -> Iterator[psutil.Process]:
        for each in self.commands:
            yield from each.processes()

    def _kill(self) -> None:
        if victims := list(self._victims()):
            with suppress(psutil.NoSuchProcess):
                self.chance.choice(victims).kill()
                self.happened["killed"] += 1

    def _stop(self) -> None:
        if victims := list(self._victims()):
            self._suspend(self.chance.choice(victims), self.chance.uniform(0.2, 3) * LEASE)

    def _suspend(self, process: psutil.Process, seconds: float) -> None:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            self.stopped.append((time.monotonic() + seconds, process))
            self.happened["stopped"] += 1

    def _step_clock(self) -> None:
        """All files look hours old, or come from the future, until they are touched again."""
        step = self.chance.choice((-1, 1)) * self.chance.uniform(1, 10) * 3600
        for path in (self.home / "store" / "claims").glob("worker-*"):
            with suppress(FileNotFoundError):
                os.utime(path, (time.time() + step,) * 2)
        self.happened["clock stepped"] += 1

    def _compact(self) -> None:
        """Mostly refused, since others are at work."""
        host = self.chance.choice(self.commands).host
        answer = python(
            "-m", "sweep", "compact", self.home / "store", **environment(self.home, host)
        )
        assert "Traceback" not in answer.err, answer.err
        self.happened["refused to compact" if answer.code else "compacted"] += 1

    def _compact_beside_sleepers(self) -> None:
        """The other host sleeps beyond its lease, this one has ended: a compaction comes in between."""
        host = self.chance.choice(self.commands).host
        for each in self.commands:
            for process in each.processes():
                with suppress(psutil.NoSuchProcess):
                    if each.host == host:
                        process.kill()
                    else:
                        self._suspend(process, 3 * LEASE)
        time.sleep(1.5 * LEASE)
        answer = python(
            "-m", "sweep", "compact", self.home / "store", **environment(self.home, host)
        )
        assert "Traceback" not in answer.err, answer.err
        self.happened["refused to compact" if answer.code else "compacted beside sleepers"] += 1


def grow(home: Path, stage: int, seeds: int) -> None:
    """Write the grid with its seeds up to a stage, in one step."""
    text = GRID.format(seeds=seeds * (stage + 1) // STAGES)
    os.replace(write_grid(home, text, "next.yaml"), home / "grid.yaml")


def in_peace(home: Path, seeds: int) -> None:
    """The same grid, grown in the same steps, with one command at a time."""
    for stage in range(STAGES):
        grow(home, stage, seeds)
        answer = command(home / "grid.yaml", "--out", home / "store", "--workers", 2, "--lanes", 64)
        assert answer.code == 0, answer.err


def in_trouble(home: Path, minutes: float, seeds: int, chance: random.Random) -> Misfortune:
    """Three commands of two hosts, to which things happen for so many minutes and which then go on to the end."""
    commands = [
        Command(home, host, workers, home / f"log-{number}")
        for number, (host, workers) in enumerate([("here", 2), ("here", 1), ("there", 1)])
    ]
    misfortune, began = Misfortune(home, commands, chance), time.monotonic()
    strike, stage = began + 5, -1
    while True:
        now = time.monotonic()
        due = min(STAGES - 1, int(STAGES * (now - began) / (50 * minutes)))
        if due > stage:
            stage = stage + 1
            grow(home, stage, seeds)
        misfortune.wake(now)
        misfortune.measure()
        are_done = [each.tend(stage) for each in commands]
        if now - began > 60 * minutes and stage == STAGES - 1 and all(are_done):
            return misfortune
        if strike <= now < began + 60 * minutes:
            misfortune.strike()
            strike = time.monotonic() + chance.uniform(0.5, 4)
        assert now - began < 60 * (2 * minutes + 20), "the commands do not come to an end"
        time.sleep(0.2)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description="Trouble a sweep and compare it with one left in peace."
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=2000, help="a hundred trials each")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        peace, trouble = Path(name) / "peace", Path(name) / "trouble"
        for folder in (peace, trouble / "hook"):
            folder.mkdir(parents=True)
        (trouble / "hook" / "sitecustomize.py").write_text(HOOK)
        in_peace(peace, options.seeds)
        found = in_trouble(trouble, options.minutes, options.seeds, random.Random(options.seed))
        trials, expected = rows(trouble / "store")["trial"], TRIALS_PER_SEED * options.seeds
        logs = "".join(each.log.read_text() for each in found.commands)
        print(f"seed {options.seed}: {dict(found.happened)}")
        print(f"ends of the commands: {[dict(each.ends) for each in found.commands]}")
        print(f"rows {len(trials):,}, twice {len(trials) - len(trials.unique()):,}", end=", ")
        print(f"lost {expected - len(trials.unique()):,}, tracebacks {logs.count('Traceback')}")
        for who in ("parent", "worker"):
            print(
                f"memory of a {who}: at most {max(size for each, size in found.memory if each == who)} MiB"
            )
        verified = python("-m", "sweep", "verify", trouble / "store")
        print(f"verify: {verified.out.strip()} {verified.err.strip()}")
        difference = stores_differ(peace / "store", trouble / "store")
        print(f"difference of the tables: {difference or 'none'}", flush=True)


if __name__ == "__main__":
    main()
