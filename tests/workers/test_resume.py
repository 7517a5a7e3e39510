"""Interrupted at random moments, a sweep loses nothing that had ended and comes out as if nothing had happened."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.wording import counted
from tests.shell import (
    Answer,
    command,
    difference,
    finish,
    of_trials,
    rows,
    start,
    stores_differ,
    table,
    write_grid,
)

pytestmark = pytest.mark.thorough

TEXT = """
name: resumed
seed: {range: [0, 2]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: 1, feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
optimizer:
  - {kind: adam, lr: 0.01}
  - {kind: sgd, lr: 0.2}
train: {steps: {range: [20, 340, 20]}, batch_size: [full, 3]}
where: "(optimizer == 'sgd') == (batch_size == 3)"
test_points: 32
record: {points: 6}
"""
TRIALS = 2 * 2 * 16
"""Two buckets; trials end at sixteen different steps, so that they end a few at a time."""

SLOW = """
import functools, os, sys, time
from sweep.commands import train
from sweep.run import app
from sweep.store import Writer

class Telling(Writer):
    def add(self, bucket, lanes, runs, curves=None):
        super().add(bucket, lanes, runs, curves)
        print(*runs["trial"], flush=True)
        time.sleep(float(os.environ.get("PAUSE", 0.05)))

seconds = float(sys.argv.pop(1))
train.Writer = functools.partial(Telling, min_seconds=seconds, max_seconds=seconds)
app()
"""
"""The command, committing after so many seconds, that says which trials have ended and takes its time afterwards."""

FORGETFUL = """
import sys, time
from sweep.run import app
from sweep.store.commit_log import CommitLog, TrialIds, part_name

began, take_in = time.time(), CommitLog._add

def forgetting(log, number, part):
    known = log.ids
    log.ids = known if log._runs.status(part_name(number)).st_mtime > began else TrialIds()
    take_in(log, number, part)
    log.ids = known

CommitLog._add = forgetting
app()
"""
"""The command, with a fault: it does not know what was done before it began."""


HASTY = """
import os
from sweep.workers.signals import StopSignals

StopSignals._handle = lambda signals, number, frame: os._exit(75)
"""
"""With this fault the first signal ends the command at once."""


def slow(
    seconds: float, grid: Path, store: Path, fault: str = "", **env: str
) -> subprocess.Popen[str]:
    """Start the slow command, which trains in its own process."""
    options = ("--out", store, "--quiet", "--workers", "1")
    return start("-c", fault + SLOW, seconds, grid, *options, cwd=grid.parent, **env)


def parts(store: Path) -> int:
    """How many parts of runs are committed."""
    return len(list(store.glob("runs/part-*")))


def wait(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """Until something has happened, which must be before the process ends."""
    until = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, (
            f"it ended before it could be interrupted\n{process.communicate()[1]}"
        )
        assert time.monotonic() < until, "nothing happened for a minute"
        time.sleep(0.001)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the grid."""
    folder = tmp_path_factory.mktemp("resume")
    write_grid(folder, TEXT)
    return folder


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """The store of a run that nobody disturbed. Read only."""
    answer = command(home / "grid.yaml", "--out", home / "whole", "--quiet")
    assert answer.code == 0, answer.err
    assert rows(home / "whole").num_rows == TRIALS
    return home / "whole"


@pytest.fixture(scope="module")
def killed(home: Path, whole: Path) -> Path:
    """The store of a run that was killed as soon as one part was there. Read only."""
    process = slow(0, home / "grid.yaml", home / "killed")
    wait(process, lambda: parts(home / "killed") >= 1)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    return home / "killed"


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_killed_again_and_again(home: Path, whole: Path, killed: Path) -> None:
    """Twice more at random moments after a random number of further parts; what is there never changes."""
    store = home / "again"
    shutil.copytree(killed, store)
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    for _ in range(2):
        before, had = rows(store), parts(store)
        assert (
            0 < before.num_rows < TRIALS
            and difference(of_trials(rows(whole), before["trial"]), before) == ""
        )
        process, more = slow(0, home / "grid.yaml", store), moments.randint(1, 3)
        wait(process, lambda had=had, more=more: parts(store) >= had + more)
        time.sleep(moments.random() * 0.05)
        process.kill()
        assert finish(process).code == -signal.SIGKILL, f"seed {seed}"
        assert difference(of_trials(rows(store), before["trial"]), before) == "", f"seed {seed}"
    answer = command(home / "grid.yaml", "--out", store)
    assert answer.code == 0, answer.err
    assert stores_differ(store, whole) == "", f"seed {seed}"
    assert not list(store.rglob("_tmp-*"))


@pytest.mark.promise(1, mutant=True)
@pytest.mark.promise(2, mutant=True)
def test_a_run_that_forgets_what_is_done_would_be_seen(
    home: Path, whole: Path, killed: Path
) -> None:
    """The mutant trains all again, and its rows stand in the table twice."""
    store = home / "forgetful"
    shutil.copytree(killed, store)
    had = rows(store).num_rows
    answer = finish(start("-c", FORGETFUL, home / "grid.yaml", "--out", store, "--workers", "1"))
    assert answer.code == 0, answer.err
    assert table(store)["trial"].duplicated().sum() == had
    assert stores_differ(store, whole).startswith(f"runs: {TRIALS + had} rows and {TRIALS} rows")


def stopped(store: Path, number: signal.Signals, fault: str = "") -> tuple[Answer, set[int]]:
    """How a run ends at a signal before any commit is due, and which trials had ended and are not in the table."""
    process = slow(1000, store.parent / "grid.yaml", store, fault)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(3)]
    assert parts(store) == 0
    process.send_signal(number)
    answer = finish(process)
    ended = {int(trial) for line in (*told, *answer.out.splitlines()) for trial in line.split()}
    return answer, ended - set(rows(store)["trial"].to_pylist() if parts(store) else ())


@pytest.mark.promise(2)
@pytest.mark.promise(13)
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        signal.SIGHUP,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
        ),
    ],
)
def test_what_has_ended_is_committed_before_the_end(
    home: Path, whole: Path, number: signal.Signals
) -> None:
    """Nothing was due for a commit when the signal came, and all that had ended is in the table."""
    store = home / number.name
    answer, lost = stopped(store, number)
    assert answer.code == 75 and lost == set(), answer.err
    assert (
        number.name in answer.err
        and "the same command resumes" in answer.err
        and "Traceback" not in answer.err
    )
    found = rows(store)
    assert 3 <= found.num_rows < TRIALS
    assert difference(of_trials(rows(whole), found["trial"]), found) == ""
    again = command(home / "grid.yaml", "--out", store)
    assert (
        again.code == 0
        and f"{counted(TRIALS - found.num_rows, 'trial')} trained, {TRIALS} rows" in again.err
    )
    assert stores_differ(store, whole) == ""


@pytest.mark.promise(13, mutant=True)
def test_a_run_that_ends_in_haste_would_be_seen(home: Path) -> None:
    """The mutant has the right exit code, and what had ended is lost."""
    answer, lost = stopped(home / "hasty", signal.SIGTERM, HASTY)
    assert answer.code == 75 and len(lost) >= 3


@pytest.mark.promise(13)
def test_a_second_signal_stops_at_once(home: Path) -> None:
    """In the midst of what takes ten minutes: the first signal waits for it, the second does not."""
    store = home / "twice"
    process = slow(1000, home / "grid.yaml", store, PAUSE="600")
    assert process.stdout is not None
    ended = process.stdout.readline().split()
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    answer = finish(process, 20)
    assert answer.code == 75 and "SIGTERM" in answer.err and "Traceback" not in answer.err
    assert set(map(int, ended)) <= set(rows(store)["trial"].to_pylist())


@pytest.mark.promise(13)
def test_a_signal_before_anything_has_ended(home: Path) -> None:
    """As soon as the folder is there, programs still compiling: exit 75, an empty table, no leftovers."""
    store = home / "early"
    process = slow(1000, home / "grid.yaml", store)
    wait(process, lambda: (store / "grid.yaml").exists())
    time.sleep(0.2)
    process.terminate()
    answer = finish(process)
    assert answer.code == 75, answer.err
    assert answer.out == "" and "Traceback" not in answer.err
    names = sorted(path.name for path in store.rglob("*") if path.is_file())
    assert names == ["grid.yaml", "manifest.json"]
