"""Long trials go on where they were: to the bit, whatever lanes they come back in, and only from whole states."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.engine.driver import Driver
from sweep.engine.recorder import FinishedTrials, Recorder, RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.store import Checkpoints, checkpoints, clear_checkpoints, owner
from sweep.trial import Trial
from tests.contracts.parts import batch, trial
from tests.shell import command, finish, start, stores_differ, table, write_grid

pytestmark = pytest.mark.thorough

RECORDS = RecordSchedule(points=6, test=True, test_points=16)
PROGRAM = "0123456789abcdef-1"

KINDS = {
    "adam_in_batches": ({"optimizer": "adam"}, {"batch_size": 4}),
    "momentum_in_span": ({"optimizer": "momentum"}, {"coordinates": "span", "momentum": 0.8}),
    "schedule": (
        {"optimizer": "adamw", "schedule": "cosine"},
        {"decay_steps": 60, "weight_decay": 0.1},
    ),
    "target": ({"optimizer": "adam"}, {"target_loss": 0.1}),
}


class Killed(BaseException):
    """The end of a process, as far as one can have it within a test."""


class Memory:
    """A keeper that kills at the `last` save."""

    def __init__(self, last: int) -> None:
        self.left, self.kept = last, dict[int, dict[str, Any]]()

    def save(self, places: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        self.kept |= {
            place: {name: values[row].copy() for name, values in columns.items()}
            for row, place in enumerate(places.tolist())
        }
        self.left -= 1
        if self.left == 0:
            raise Killed

    def find(self, places: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        found = np.array(
            [row for row, place in enumerate(places.tolist()) if place in self.kept], int
        )
        rows = [self.kept[places[row]] for row in found]
        return found, {
            name: np.stack([row[name] for row in rows]) for name in rows[0]
        } if rows else {}


class Amnesia(Memory):
    """A mutant that loses one of the arrays of a state."""

    def __init__(self, last: int, name: str) -> None:
        super().__init__(last)
        self.name = name

    def find(self, places: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        found, columns = super().find(places)
        return found, columns | {self.name: np.zeros_like(columns[self.name])} if columns else {}


def members(kind: str) -> Trial:
    """Three trials of 90 steps."""
    kinds, values = KINDS[kind]
    return batch(
        [trial(kinds, **{"seed": seed, "steps": 90, "noise": 0.5, **values}) for seed in range(3)]
    )


def driven(trials: Trial, lanes: int, keeper: Any = None) -> list[FinishedTrials]:
    """One drive in short chunks that keeps its state after each of them; what ended before it was killed."""
    drive = Driver(
        TrialList(trials), lanes, 1, RECORDS, checkpoints=keeper, checkpoint_seconds=-1.0
    )
    drive.chunk_steps, drive._pace = 7, lambda seconds: None
    found = list[FinishedTrials]()
    with suppress(Killed):
        found.extend(drive)
    return found


def told(found: list[FinishedTrials]) -> str:
    """All that is told of the trials, each value to the bit, in the order of places and steps."""
    lines = []
    for ended in found:
        assert ended.curves is not None
        for columns, index in ((ended.runs, ended.index), (ended.curves, ended.curves["index"])):
            values = {name: np.ma.filled(values, -1) for name, values in columns.items()}
            for row, place in enumerate(index.tolist()):
                shown = {name: np.asarray(each)[row] for name, each in values.items()}
                lines.append(
                    f"{place} {len(columns)} {shown.get('step')} {sorted(shown.items())!r}"
                )
    return "\n".join(sorted(lines))


FAST = ("adam_in_batches",)
"""What CI looks at."""


@pytest.fixture(
    scope="module",
    params=[each if each in FAST else pytest.param(each, marks=pytest.mark.slow) for each in KINDS],
)
def whole(request: pytest.FixtureRequest) -> tuple[Trial, str]:
    """Trials, and what a drive that nobody disturbs tells of them."""
    trials = members(request.param)
    return trials, told(driven(trials, 2))


@pytest.mark.promise(3)
@pytest.mark.parametrize(("last", "lanes"), [(3, 2), pytest.param(6, 3, marks=pytest.mark.slow)])
def test_a_drive_goes_on_from_what_was_kept(
    whole: tuple[Trial, str], last: int, lanes: int
) -> None:
    """Killed at a save, and again at a later one in another number of lanes: the same bits, in all records too."""
    trials, expected = whole
    memory = Memory(last)
    first = driven(trials, 2, memory)
    assert memory.left == 0
    memory.left = 2
    second = driven(trials, lanes, memory)
    third = driven(trials, lanes, memory)
    assert max(int(kept["step"]) for kept in memory.kept.values()) > 7
    assert _once(first, second, third) == expected


def _once(*drives: list[FinishedTrials]) -> str:
    """What drives tell together; a trial that ended in several of them is told by all of them in the same words."""
    return "\n".join(sorted({line for found in drives for line in told(found).splitlines()}))


@pytest.mark.promise(3)
def test_only_what_came_after_the_checkpoint_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, memory = members("adam_in_batches"), Memory(4)
    driven(trials, 3, memory)
    kept = min(int(each["step"]) for each in memory.kept.values())
    made = []
    advance = Driver._advance

    def counting(drive: Driver) -> None:
        before = drive.table.step.min()
        advance(drive)
        made.append(int(drive.table.step.min() - before))

    monkeypatch.setattr(Driver, "_advance", counting)
    driven(trials, 3, memory)
    assert 14 < kept < 90 and sum(made) == 90 - kept


@pytest.mark.promise(3, mutant=True)
@pytest.mark.parametrize("name", ["state-0", "state-3", "step", "pointer", "length"])
def test_a_keeper_that_loses_something_would_be_seen(name: str) -> None:
    trials = members("adam_in_batches")
    expected = told(driven(trials, 2))
    memory = Amnesia(5, name)
    driven(trials, 2, memory)
    assert told(driven(trials, 2, memory)) != expected


def test_a_restored_lane_keeps_nothing_of_the_trial_before_it() -> None:
    """Columns that a checkpoint does not know are blank again, whatever stood in the lane."""
    book = Recorder(1, 4)
    book.add(
        np.array([0]), np.array([0]), {"train_loss": np.array([1.0]), "test_loss": np.array([2.0])}
    )
    book.restore(
        np.array([0]),
        {
            "length": np.array([1]),
            "steps": np.zeros((1, 4), int),
            "train_loss": np.full((1, 4), 3.0),
        },
    )
    assert book.values["train_loss"][0, 0] == 3 and np.isnan(book.values["test_loss"]).all()


# On disk


def columns(*trials: int, step: int = 5) -> dict[str, np.ndarray]:
    """A state of some trials."""
    ids = np.array(trials, np.int64)
    return {
        "trial": ids,
        "step": np.full(len(ids), step),
        "state-0": np.outer(ids, np.arange(3.0)).astype(np.float32),
    }


def test_the_latest_state_of_each_trial_is_found(tmp_path: Path) -> None:
    Checkpoints(tmp_path, PROGRAM).save(columns(1, 2, step=5))
    Checkpoints(tmp_path, PROGRAM).save(columns(2, 3, step=9))
    Checkpoints(tmp_path, "0123456789abcdef-8").save(columns(4))
    found = Checkpoints(tmp_path, PROGRAM).find(np.array([3, 4, 2, 1]))
    assert dict(zip(found["trial"].tolist(), found["step"].tolist(), strict=True)) == {
        1: 5,
        2: 9,
        3: 9,
    }
    np.testing.assert_array_equal(found["state-0"], np.outer(found["trial"], np.arange(3.0)))
    assert Checkpoints(tmp_path, PROGRAM).find(np.array([4, 5])) == {}


def test_a_checkpoint_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, PROGRAM)
    kept.save(columns(1, 2))
    later = Checkpoints(tmp_path, PROGRAM)
    assert len(later.find(np.array([1]))) == 3
    later.save(columns(1, 2, 3, step=6))
    later.save(columns(1, 2, step=7))
    (folder,) = (tmp_path / "checkpoints").iterdir()
    assert folder.name.startswith(f"{PROGRAM}_{owner()}_") and later.written
    later.clear()
    assert not (tmp_path / "checkpoints").exists() and not later.written


@pytest.mark.promise(3)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # orbax leaves loose ends
def test_a_damaged_checkpoint_is_left_out(tmp_path: Path) -> None:
    """Any file of it cut, missing or with a flipped bit: the state is found as it was written or not at all."""
    Checkpoints(tmp_path, PROGRAM).save(columns(1, 2))
    (folder,) = (tmp_path / "checkpoints").iterdir()
    copy, lost = tmp_path / "copy", 0
    shutil.copytree(folder, copy)
    for path in sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size):
        content, place = path.read_bytes(), folder / path.relative_to(copy)
        flipped = bytes(
            [
                *content[: len(content) // 2],
                content[len(content) // 2] ^ 4,
                *content[len(content) // 2 + 1 :],
            ]
        )
        for damaged in (flipped, content[: len(content) // 2]):
            place.write_bytes(damaged)
            found = Checkpoints(tmp_path, PROGRAM).find(np.array([1, 2]))
            lost += not found
            if found:
                np.testing.assert_array_equal(found["state-0"], columns(1, 2)["state-0"])
        place.write_bytes(content)
    gc.collect()
    assert lost > 3


@pytest.mark.promise(3, mutant=True)
def test_without_the_digest_a_flipped_bit_would_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk that lies may hand out: another number in a whole checkpoint."""
    monkeypatch.setattr(checkpoints, "_digest", lambda found: np.zeros(16, np.uint8))
    wrong = columns(1)
    wrong["state-0"] = wrong["state-0"] + 1
    Checkpoints(tmp_path, PROGRAM).save(wrong)
    assert Checkpoints(tmp_path, PROGRAM).find(np.array([1]))["state-0"][0, 0] == 1
    monkeypatch.undo()
    assert Checkpoints(tmp_path, PROGRAM).find(np.array([1])) == {}


@pytest.mark.promise(15)
def test_only_checkpoints_of_the_dead_whose_trials_are_done_are_removed(tmp_path: Path) -> None:
    dead = owner().replace(f"-{os.getpid()}.", "-999999999.")
    for trial_, who in ((1, dead), (2, dead), (3, owner())):
        Checkpoints(tmp_path, PROGRAM).save(columns(trial_))
        made = max((tmp_path / "checkpoints").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        made.rename(made.with_name(f"{PROGRAM}_{who}_0000000{trial_}"))
    (tmp_path / "checkpoints" / "mine").mkdir()
    (tmp_path / "checkpoints" / f"{PROGRAM}_{dead}_00000004.orbax-checkpoint-tmp").mkdir()
    clear_checkpoints(tmp_path, np.array([1, 3]))
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == sorted([f"{PROGRAM}_{dead}_00000002", f"{PROGRAM}_{owner()}_00000003", "mine"])


# The command

GRID = """
name: long
seed: {range: [0, 2]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: 0.5, feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
optimizer: {kind: adam, lr: 0.0001}
train: {steps: 2000000, batch_size: 3}
test_points: 32
record: {points: 12}
"""


TELLING = """
from sweep.engine import driver
from sweep.run import app

advance, driver.MIN_SAVED_SECONDS = driver.Driver._advance, 0.0

def telling(driven):
    advance(driven)
    if driven.table.step.max() > 1000:
        print("on the way", flush=True)

driver.Driver._advance = telling
app()
"""
"""The command, which says when its trials are beyond a thousand steps and finds any of them worth a checkpoint."""

BRUSQUE = """
import contextlib
from sweep.workers.signals import StopSignals

StopSignals.stopping = lambda signals, stop: contextlib.nullcontext()
"""
"""With this fault the first signal is raised at once, as a second one should be."""


def kept_at_a_signal(folder: Path, fault: str = "") -> dict[int, int]:
    """Stop the command in the midst of long trials: the steps at which their states are kept, by trial."""
    store = folder / "store"
    process = start(
        "-c", fault + TELLING, write_grid(folder, GRID), "--out", store, "--workers", "1", "--quiet"
    )
    assert process.stdout is not None and process.stdout.readline() == "on the way\n"
    process.send_signal(signal.SIGTERM)
    answer = finish(process)
    assert answer.code == 75 and "Traceback" not in answer.err, answer.err
    found = [checkpoints._read(path) for path in (store / "checkpoints").glob("*")]
    return {
        trial: step
        for each in found
        if each
        for trial, step in zip(each["trial"], each["step"], strict=True)
    }


@pytest.mark.promise(3)
@pytest.mark.promise(13)
def test_a_signal_keeps_what_has_not_ended(tmp_path: Path) -> None:
    steps = list(kept_at_a_signal(tmp_path).values())
    assert len(steps) == 2 and min(steps) > 1000


@pytest.mark.promise(13, mutant=True)
def test_a_signal_that_is_raised_at_once_would_be_seen(tmp_path: Path) -> None:
    assert kept_at_a_signal(tmp_path, BRUSQUE) == {}


@pytest.mark.slow
@pytest.mark.promise(3)
@pytest.mark.promise(13)
def test_killed_and_stopped_in_the_midst_of_long_trials(tmp_path: Path) -> None:
    """A kill, then a polite end, each at a random moment once there is a checkpoint, and no bit is another one."""
    grid = write_grid(tmp_path, GRID)
    assert command(grid, "--out", tmp_path / "whole", "--workers", "1", "--quiet").code == 0
    store = tmp_path / "store"
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 75)):
        had = set((store / "checkpoints").glob("*"))
        process = start(
            "-m",
            "sweep.run",
            grid,
            "--out",
            store,
            "--workers",
            "1",
            "--quiet",
            "--checkpoint",
            "1",
        )
        until = time.monotonic() + 90
        while set((store / "checkpoints").glob("*[0-9]")) <= had and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.5 * np.random.default_rng().random())
        process.send_signal(number)
        assert finish(process).code == code
        assert list((store / "checkpoints").iterdir()) and not list(store.glob("runs/part*"))
    answer = command(grid, "--out", store, "--workers", "1")
    assert answer.code == 0, answer.err
    assert stores_differ(store, tmp_path / "whole") == ""
    assert len(table(store)) == 2 and not (store / "checkpoints").exists()
