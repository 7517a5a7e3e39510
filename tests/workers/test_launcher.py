"""Workers of one machine: what they tell, how they end, and that none is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import pytest

from sweep.commands import train
from sweep.errors import WorkerFailed
from sweep.run import sweep
from sweep.workers import launcher, silence, worker_process
from sweep.workers.launcher import LocalWorkers
from sweep.workers.progress import SilentProgress
from sweep.workers.signals import GENTLE_STOP
from tests.shell import (
    command,
    difference,
    finish,
    jax_as_it_was,
    of_trials,
    rows,
    start,
    stores_differ,
    wait,
    write_grid,
)

SCRIPT = """
import pathlib, sys, time
folder, kind, options = pathlib.Path(sys.argv[1]), sys.argv[2], dict(zip(sys.argv[3::2], sys.argv[4::2]))
index = int(options["--turn"].split("/")[0])
tries = folder / f"tries-{index}"
tries.write_text(tries.read_text() + "." if tries.exists() else ".")
print("hello from", options["--turn"], flush=True)
"""
"""A worker that counts its starts and says its turn; what follows is what this one does."""

ENDS = {
    "well": "",
    "killed": "if index == 1: import os; os.kill(os.getpid(), 9)",
    "killed_once": "if index == 1 and len(tries.read_text()) == 1: import os; os.kill(os.getpid(), 9)",
    "interrupted_once": "if index == 1 and len(tries.read_text()) == 1: sys.exit(75)",
    "interrupted": "if index == 1: sys.exit(75)",
    "interruptible": "import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75)); time.sleep(60)",
    "fails_at_the_end": "import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit('The disk is full.')); time.sleep(60)",
    "failed": "if index == 1: sys.exit('I have no memory')",
    "sleeps": "time.sleep(60)",
    "suspended": "if index == 1: import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "deaf": "import signal; [signal.signal(each, signal.SIG_IGN) for each in (signal.SIGUSR1, signal.SIGTERM)]; time.sleep(60)",
    "loud": "if index == 1: sys.stdout.buffer.write(b'{\"say\": 5}\\n[1, 2]\\n\\xff\\xfe\\n' + b'x' * 300_000); sys.stderr.buffer.write(b'\\xff' * 300_000)",
    "survived": "import subprocess; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(25)'])",
    "wild": "import os; link = int(options['--report']); os.write(link, b'\\xff{\\n[1]\\n[\"a\", 1, 2]\\n{\"say\": 5}\\nnull\\n' + b'[' * 100_000 + b'\\n[3, 4, 5]\\n')",
}
WORK = "\n(folder / f'done-{index}').touch()"
"""The share of a worker that comes to its end."""


def workers(folder: Path, kind: str, count: int = 2) -> LocalWorkers:
    """Workers that end in some way."""
    return LocalWorkers(
        [sys.executable, "-c", SCRIPT + ENDS[kind] + WORK, str(folder), kind], count
    )


def run(local: LocalWorkers, stop: threading.Event | None = None) -> tuple[list[str], list[str]]:
    """What workers print and what is said of them."""
    progress = SilentProgress()
    local.run(progress, stop or threading.Event())
    heard = [text for text in progress.messages if text.startswith("hello")]
    return sorted(heard), [text for text in progress.messages if text not in heard]


def starts(folder: Path) -> list[int]:
    """How often each worker was started."""
    return [len(path.read_text()) for path in sorted(folder.glob("tries-*"))]


def test_every_worker_has_its_turn(tmp_path: Path) -> None:
    heard, said = run(workers(tmp_path, "well", count=3))
    assert heard == [f"hello from {i}/3" for i in range(3)]
    assert said == []


def end(folder: Path, kind: str) -> str:
    """How the work of two workers ends: all of it is `done`, or it is `told` who failed; `lost` is never right."""
    try:
        run(workers(folder, kind))
    except WorkerFailed as error:
        return "told" if "Worker 2 of 2" in str(error) else "lost"
    return "done" if len(list(folder.glob("done-*"))) == 2 else "lost"


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("well", "done"),
        ("killed_once", "done"),
        ("interrupted_once", "done"),
        ("killed", "told"),
        ("failed", "told"),
    ],
)
def test_all_work_is_done_or_it_is_told_whose_is_not(tmp_path: Path, kind: str, how: str) -> None:
    assert end(tmp_path, kind) == how


@pytest.mark.promise(14, mutant=True)
@pytest.mark.parametrize("kind", ["killed_once", "interrupted_once", "killed", "failed"])
def test_a_launcher_that_does_not_care_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The mutant starts nobody again and keeps failures to itself."""
    wait_for = LocalWorkers._wait
    monkeypatch.setattr(worker_process, "RESTARTS", 0)
    monkeypatch.setattr(LocalWorkers, "_wait", lambda *given: wait_for(*given)[:0])
    assert end(tmp_path, kind) == "lost"


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("killed_once", "was ended by SIGKILL"),
        ("interrupted_once", "was interrupted before it was done"),
    ],
)
def test_a_killed_worker_is_told_of_and_started_again(tmp_path: Path, kind: str, how: str) -> None:
    _, said = run(workers(tmp_path, kind))
    assert starts(tmp_path) == [1, 2]
    assert said == [f"Worker 2 of 2 {how}. Restarting it; written rows are kept."]


@pytest.mark.promise(14)
def test_a_worker_that_is_killed_again_and_again_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match=r"Worker 2 of 2 was ended by SIGKILL\."):
        run(workers(tmp_path, "killed"))
    assert starts(tmp_path) == [1, 3]


@pytest.mark.promise(14)
def test_a_worker_is_not_given_up_while_the_sweep_comes_on(tmp_path: Path) -> None:
    """The first four deaths were not in vain, two more end it."""
    news = iter([True] * 4)
    with pytest.raises(WorkerFailed):
        workers(tmp_path, "killed").run(
            SilentProgress(), threading.Event(), lambda: next(news, False)
        )
    assert starts(tmp_path) == [1, 6]


@pytest.mark.promise(14)
def test_a_failure_is_raised_with_its_words_and_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(
        WorkerFailed, match=r"Worker 2 of 2 failed with exit code 1\. I have no memory"
    ):
        run(workers(tmp_path, "failed"))
    assert starts(tmp_path) == [1, 1]


def test_an_interrupted_worker_is_not_reported_as_failed(tmp_path: Path) -> None:
    """One that was interrupted too often stopped with work left, which the same command continues."""
    progress = SilentProgress()
    with pytest.raises(WorkerFailed, match=r"^Worker 2 of 2 was interrupted before it was done\.$"):
        workers(tmp_path, "interrupted").run(progress, threading.Event())
    assert starts(tmp_path) == [1, 3]
    restart = (
        "Worker 2 of 2 was interrupted before it was done. Restarting it; written rows are kept."
    )
    end = "Worker 2 of 2 stopped before it was done; the same command will continue its work."
    said = [text for text in progress.messages if not text.startswith("hello")]
    assert said == [restart, restart, end]


@pytest.mark.parametrize("kind", ["interruptible", "sleeps"])
def test_workers_that_were_asked_to_stop_are_not_reported_as_failed(
    tmp_path: Path, kind: str
) -> None:
    """Neither one that stops cleanly, nor one that SIGTERM ends before it listens to signals."""
    stop = threading.Event()
    local = workers(tmp_path, kind)
    threading.Timer(1.0, stop.set).start()
    _, messages = run(local, stop)
    assert sorted(messages) == [
        f"Worker {number} of 2 stopped before it was done; the same command will continue its work."
        for number in (1, 2)
    ]


def test_a_worker_that_fails_while_it_stops_is_reported_with_its_words(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    _, messages = run(workers(tmp_path, "fails_at_the_end"), stop)
    assert sorted(messages) == [
        f"Worker {number} of 2 failed with exit code 1. The disk is full." for number in (1, 2)
    ]


@pytest.mark.promise(13)
def test_all_workers_end_soon_when_told_to_stop(tmp_path: Path) -> None:
    stop, local = threading.Event(), workers(tmp_path, "sleeps")
    threading.Timer(1.0, stop.set).start()
    began = time.monotonic()
    run(local, stop)
    assert time.monotonic() - began < 10
    assert all(worker.exit_code == -GENTLE_STOP for worker in local.workers)


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("loud", ['{"say": 5}', "[1, 2]", "\ufffd\ufffd"]),
        ("wild", []),
        ("survived", []),
    ],
)
def test_nothing_that_a_worker_prints_or_leaves_behind_holds_the_sweep_up(
    tmp_path: Path, kind: str, heard: list[str]
) -> None:
    """JSON of other programs, bytes that are no text, lines without end, children that outlive it, broken reports."""
    progress, local, began = SilentProgress(), workers(tmp_path, kind), time.monotonic()
    local.run(progress, threading.Event())
    assert time.monotonic() - began < 15
    assert len(list(tmp_path.glob("done-*"))) == 2
    said = [text for text in progress.messages if not text.startswith("hello")]
    assert said[: len(heard)] == heard and all(len(text) <= 1 << 16 for text in said)
    counted = 2 if kind == "wild" else 0
    assert progress.tally.trials == 3 * counted and progress.tally.compiles == 5 * counted


@pytest.mark.promise(13)
@pytest.mark.promise(23)
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("suspended", "did not end by itself and was stopped; every row is written"),
        ("deaf", "does not end and is killed; written rows are kept"),
    ],
)
def test_workers_that_do_not_answer_are_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sentence: str
) -> None:
    monkeypatch.setattr(launcher, "STOP_SECONDS", 3.0)
    stop, local = threading.Event(), workers(tmp_path, kind)
    threading.Timer(1.0, stop.set).start()
    _, said = run(local, stop)
    assert f"Worker 2 of 2 {sentence}." in said
    assert not any(worker.running for worker in local.workers)


@pytest.mark.promise(13, mutant=True)
@pytest.mark.promise(23, mutant=True)
def test_a_launcher_that_asks_only_once_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant waits for a suspended worker without waking or killing it."""
    monkeypatch.setattr(launcher, "STOP_SECONDS", 1.0)
    monkeypatch.setattr(launcher, "GRACE_SECONDS", 0.0)
    stop, local = threading.Event(), workers(tmp_path, "suspended")
    with monkeypatch.context() as patch:
        patch.setattr(
            worker_process.WorkerProcess, "stop", lambda worker, gently: worker.process.terminate()
        )
        patch.setattr(worker_process.WorkerProcess, "kill", lambda worker: None)
        threading.Timer(1.0, stop.set).start()
        _, said = run(local, stop)
        assert local.workers[1].running
    local.workers[1].kill()
    local.workers[1].close()
    assert "Worker 2 of 2 does not end and is killed; written rows are kept." in said


@pytest.mark.promise(23)
def test_a_suspended_worker_is_told_of_and_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has ended well, so every row is written."""
    for module in (launcher, silence):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.6)
    monkeypatch.setattr(launcher, "STOP_SECONDS", 2.0)
    local = workers(tmp_path, "suspended")
    _, said = run(local)
    process = local.workers[1].process
    assert process is not None
    cure = f"because it is suspended. `kill -CONT {process.pid}` continues it."
    assert said[0] == f"Worker 2 of 2 (process {process.pid}) has not reported for 0 min, {cure}"
    assert 1 <= sum(cure in text for text in said) <= 3, "told again after twice the time only"
    assert said[-1] == "Worker 2 of 2 did not end by itself and was stopped; every row is written."


def test_a_process_that_cannot_be_started_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system has no room for the second one; the first is not left behind."""
    start_process, left = subprocess.Popen, [1]

    def full(*given: object, **named: object) -> object:
        if not left:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        left.pop()
        return start_process(*given, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", full)
    local = workers(tmp_path, "sleeps")
    with pytest.raises(WorkerFailed, match=r"Worker 2 of 2 cannot be started: Resource temp.*Use"):
        run(local)
    assert not any(worker.running for worker in local.workers)


def test_an_error_of_the_parent_leaves_no_worker(tmp_path: Path) -> None:
    local = workers(tmp_path, "sleeps")

    def broken(*_: object) -> list[str]:
        raise MemoryError

    local._wait = broken  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        run(local)
    assert all(worker.exit_code == -signal.SIGTERM for worker in local.workers)


# The command.

GRID = """
name: shared
seed: {range: [0, 6]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: [0.5, 2], feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
optimizer: [{kind: adam, lr: 0.01}, {kind: gd, lr: 0.2}]
train: {steps: [50, 20000]}
test_points: 32
record: {points: 6}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one worker. Read only."""
    home = tmp_path_factory.mktemp("launch")
    write_grid(home, GRID)
    answer = command(home / "grid.yaml", "--out", home / "whole", "--workers", "1")
    assert answer.code == 0, answer.err
    return home / "whole"


def children(process: subprocess.Popen[str]) -> list[int]:
    """Process numbers of the workers of a parent."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(each) for each in path.read_text().split()]


def alive(number: int) -> bool:
    """Is a process there, and not only waiting to be told of?"""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.thorough
def test_two_workers_leave_what_one_leaves(whole: Path) -> None:
    answer = command(whole.parent / "grid.yaml", "--out", whole.parent / "two", "--workers", "2")
    assert answer.code == 0, answer.err
    assert "48 trials trained, 48 rows" in answer.err and "48 of 48 trials" in answer.err
    assert stores_differ(whole.parent / "two", whole) == ""


@pytest.mark.parametrize(("asked", "count"), [(2, 2), (4, 2)])
def test_every_gpu_has_a_worker_and_none_has_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, count: int
) -> None:
    """On a machine with two; what workers are told is what makes jax see one of them."""
    started: list[tuple[list[str], int]] = []

    class Recorded:
        def __init__(self, command: list[str], count: int) -> None:
            started.append((command, count))

        def run(self, *given: object) -> None: ...

    monkeypatch.setattr(train, "active_platform", lambda: "gpu")
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    monkeypatch.setattr(train.launcher, "LocalWorkers", Recorded)
    with jax_as_it_was():
        with pytest.raises(WorkerFailed, match=r"48 of 48 trials are not in .*, though no worker"):
            sweep(write_grid(tmp_path, GRID), tmp_path / "store", workers=asked, quiet=True)
        ((told, number),) = started
        assert number == count and told[told.index("--place") + 1] == "gpu"
        train.configure("float32", gpu=1)
        assert {jax.config.values[f"jax_{kind}_visible_devices"] for kind in ("cuda", "rocm")} == {
            "1"
        }


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="asks the system for the children of a process"
)
@pytest.mark.thorough
class TestFaults:
    @pytest.mark.promise(13)
    @pytest.mark.promise(14)
    @pytest.mark.parametrize(
        "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
    )
    def test_a_killed_worker_changes_nothing(self, whole: Path, how: signal.Signals) -> None:
        store = whole.parent / f"worker-{how.name}"
        process = start(
            "-m", "sweep.run", whole.parent / "grid.yaml", "--out", store, "--workers", "2"
        )
        wait(lambda: len(children(process)) == 2 and (store / "grid.yaml").exists())
        time.sleep(2)
        os.kill(children(process)[0], how)
        answer = finish(process)
        assert answer.code == 0, answer.err
        ended = (
            "was ended by SIGKILL"
            if how == signal.SIGKILL
            else "(was ended by SIGTERM|was interrupted before it was done)"
        )
        assert re.search(rf"{ended}\. Restarting it", answer.err)
        assert stores_differ(store, whole) == ""

    @pytest.mark.promise(13)
    @pytest.mark.promise(14)
    @pytest.mark.parametrize(
        "number",
        [
            signal.SIGTERM,
            *(
                pytest.param(each, marks=pytest.mark.slow)
                for each in (signal.SIGINT, signal.SIGKILL)
            ),
        ],
    )
    def test_no_worker_outlives_the_parent(self, whole: Path, number: signal.Signals) -> None:
        """A polite end writes what has ended, after a brutal one workers see that nobody listens; nothing is wrong."""
        store = whole.parent / number.name
        process = start(
            "-m", "sweep.run", whole.parent / "grid.yaml", "--out", store, "--workers", "2"
        )
        wait(lambda: len(children(process)) == 2)
        members = children(process)
        time.sleep(2)
        process.send_signal(number)
        answer = finish(process)
        assert answer.code == (-number if number == signal.SIGKILL else 75), answer.err
        wait(lambda: not any(map(alive, members)))
        if list(store.glob("runs/part-*")):
            found = rows(store)
            assert difference(of_trials(rows(whole), found["trial"]), found) == ""
        assert command(whole.parent / "grid.yaml", "--out", store, "--workers", "2").code == 0
        assert stores_differ(store, whole) == ""
