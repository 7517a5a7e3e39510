"""Long trials go on where they were: to the bit, whatever lanes they come back in, and only from whole states."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.engine.driver import Driver
from sweep.engine.lane_checkpoints import fits, state_columns
from sweep.engine.recorder import FinishedTrials, Recorder, RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.store import (
    Checkpoints,
    checkpoint_reading,
    checkpoints,
    clear_checkpoints,
    count_checkpoints,
    owner,
)
from sweep.store.checkpoint_reading import read_checkpoint
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
    drive.chunk_steps, drive._adapt_chunk_length = 7, lambda seconds: None
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
    for module in (checkpoints, checkpoint_reading):
        monkeypatch.setattr(module, "digest_of", lambda found: np.zeros(16, np.uint8))
    wrong = columns(1)
    wrong["state-0"] = wrong["state-0"] + 1
    Checkpoints(tmp_path, PROGRAM).save(wrong)
    assert Checkpoints(tmp_path, PROGRAM).find(np.array([1]))["state-0"][0, 0] == 1
    monkeypatch.undo()
    assert Checkpoints(tmp_path, PROGRAM).find(np.array([1])) == {}


def stored(folder: Path, name: str, content: dict[str, np.ndarray] | None) -> Path:
    """A checkpoint of some name, or the folder of one that is being written."""
    path = folder / "checkpoints" / name
    if content is None:
        (path / "ocdbt.process_0" / "d").mkdir(parents=True)
        (path / "ocdbt.process_0" / "d" / "0123").write_text("half")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    Checkpoints(folder / "made", PROGRAM).save(content)
    (made,) = (folder / "made" / "checkpoints").iterdir()
    made.rename(path)
    shutil.rmtree(folder / "made")
    return path


def age(path: Path, seconds: float) -> None:
    """Let a checkpoint have last changed some seconds ago."""
    for each in [path, *path.rglob("*")]:
        os.utime(each, (time.time() - seconds,) * 2)


DEAD = owner().replace(f"-{os.getpid()}.", "-999999999.")
OLD = "vm.4026531836-7.1"
"""As version 0.2.0 called a process."""
WRITING = "orbax-checkpoint-tmp"


def left(folder: Path) -> set[str]:
    """Which checkpoints stay when a worker starts: by owner, content, and seconds since a change."""
    owners, contents = (
        {"dead": DEAD, "mine": owner(), "away": "away-7.1", "old": OLD},
        {
            "done": columns(1, 3),
            "open": columns(1, 2),
            "half": None,
        },
    )
    kinds = [(who, what, when) for who in owners for what in contents for when in (0, 700)]
    for number, (who, what, when) in enumerate(kinds):
        suffix = f".{WRITING}" if what == "half" else ""
        name = f"{PROGRAM}_{owners[who]}_{number:08x}{suffix}"
        age(stored(folder, name, contents[what]), when)
    (folder / "checkpoints" / "mine").mkdir()
    clear_checkpoints(folder, np.array([1, 3]))
    return {
        f"{who} {what} {when}"
        for number, (who, what, when) in enumerate(kinds)
        if list((folder / "checkpoints").glob(f"*_{number:08x}*"))
    }


@pytest.mark.promise(5)
@pytest.mark.promise(15)
def test_only_checkpoints_of_the_dead_that_are_of_no_use_are_removed(tmp_path: Path) -> None:
    """Those of another machine count as of the dead once they have not changed for a while."""
    mine = {f"mine {what} {when}" for what in ("done", "open", "half") for when in (0, 700)}
    away = {f"{who} {what} 0" for who in ("away", "old") for what in ("done", "open", "half")}
    use = {f"{who} open {when}" for who in ("dead", "away", "old") for when in (0, 700)}
    assert left(tmp_path) == mine | away | use
    assert (tmp_path / "checkpoints" / "mine").is_dir()


@pytest.mark.promise(5, mutant=True)
def test_one_who_removes_what_another_machine_is_writing_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        checkpoints, "_is_left", lambda path, who, _: checkpoints.owner_is_gone(who) is not False
    )
    assert "away half 0" not in left(tmp_path)


# Saves that fail


@pytest.mark.promise(7)
def test_a_save_that_fails_says_why_in_a_line_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import orbax.checkpoint as ocp

    def full(self: Any, path: Path, *_: Any) -> None:
        path.with_name(f"{path.name}.{WRITING}").mkdir()
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device [source\n" * 300)

    kept = Checkpoints(tmp_path, PROGRAM)
    kept.save(columns(1, step=5))
    before = list((tmp_path / "checkpoints").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(ocp.StandardCheckpointer, "save", full)
        with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"):
            kept.save(columns(1, step=9))
    assert list((tmp_path / "checkpoints").iterdir()) == before and kept.written
    kept.save(columns(1, step=9))
    assert Checkpoints(tmp_path, PROGRAM).find(np.array([1]))["step"] == [9]


@pytest.mark.promise(18)
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_a_folder_of_checkpoints_that_is_none_is_neither_read_nor_written(
    tmp_path: Path, kind: str
) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    store.mkdir()
    stored(elsewhere, f"{PROGRAM}_{DEAD}_00000000", columns(1))
    stored(elsewhere, f"{PROGRAM}_{DEAD}_00000001.{WRITING}", None)
    before = sorted(elsewhere.rglob("*"))
    match kind:
        case "link":
            (store / "checkpoints").symlink_to(elsewhere / "checkpoints")
        case "dangling":
            (store / "checkpoints").symlink_to(elsewhere / "none")
        case "file":
            (store / "checkpoints").touch()
        case _:
            os.mkfifo(store / "checkpoints")
    clear_checkpoints(store, np.array([1]))
    kept = Checkpoints(store, PROGRAM)
    assert count_checkpoints(store) == 0 and kept.find(np.array([1])) == {}
    with pytest.raises(OSError, match=r"is a link or a file\. Remove it"):
        kept.save(columns(1))
    kept.clear()
    assert sorted(elsewhere.rglob("*")) == before


def absurd(path: Path, **zarr: Any) -> None:
    """Let an array have another shape, type or size of pieces than it has."""
    import tensorstore

    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{path}/"}).result()
    described = json.loads(store.read("state-0/.zarray").result().value)
    store.write("state-0/.zarray", json.dumps({**described, **zarr})).result()


def deep(path: Path) -> None:
    """A folder in a folder, and so on."""
    inner = os.open(path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("e", dir_fd=inner)
        inner, outer = os.open("e", os.O_RDONLY, dir_fd=inner), inner
        os.close(outer)
    os.close(inner)


def linked(path: Path) -> None:
    """Its arrays lie elsewhere."""
    moved = path.parents[2] / "elsewhere"
    shutil.move(path / "d", moved)
    (path / "d").symlink_to(moved)


HUGE = [10**6, 10**6]
HOSTILE: dict[str, Callable[[Path], object]] = {
    "shape": lambda path: absurd(path, shape=HUGE),
    "pieces": lambda path: absurd(path, chunks=HUGE),
    "both": lambda path: absurd(path, shape=HUGE, chunks=HUGE),
    "objects": lambda path: absurd(path, dtype="|O"),
    "fifo": lambda path: (path / "_METADATA").unlink() or os.mkfifo(path / "_METADATA"),
    "large": lambda path: os.truncate(path / "manifest.ocdbt", 1 << 40),
    "large array": lambda path: os.truncate(next(path.glob("d/*")), 1 << 43),
    "text": lambda path: (path / "_METADATA").write_text("[" * 100_000),
    "upwards": lambda path: (path / "_METADATA").write_text(
        (path / "_METADATA").read_text().replace("state-0", "../../../elsewhere")
    ),
    "deep": deep,
    "linked": linked,
}


@pytest.mark.promise(8)
@pytest.mark.promise(18)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_strange_checkpoint_is_ignored(tmp_path: Path, kind: str) -> None:
    """It neither ends the process nor is waited for, and nothing behind a link goes."""
    store, precious = tmp_path / "store", tmp_path / "elsewhere"
    path = stored(store, f"{PROGRAM}_{DEAD}_00000000", columns(1))
    HOSTILE[kind](path)
    began = time.monotonic()
    assert Checkpoints(store, PROGRAM).find(np.array([1])) == {}
    clear_checkpoints(store, np.array([1]))
    assert time.monotonic() - began < 5
    assert path.exists() == (kind in ("fifo", "deep", "linked"))
    assert kind != "linked" or list(precious.iterdir())
    gc.collect()


def test_columns_of_another_shape_are_not_taken_for_a_state(tmp_path: Path) -> None:
    """Whole by its digest, from a store that is not trusted: the trial then starts from the beginning."""
    states: Any = {"weights": jnp.zeros((4, 2, 3)), "key": jax.random.split(jax.random.key(0), 4)}
    kept = state_columns(states, np.arange(2))
    kept |= {name: np.zeros(2, int) for name in ("step", "pointer", "over", "length")}
    kept["steps"] = np.zeros((2, 5), int)
    assert fits(states, kept)
    for name, values in kept.items():
        assert not fits(states, {each: kept[each] for each in kept if each != name}), name
        assert not fits(states, {**kept, name: values[..., None]}), name
    assert not fits(states, {**kept, "state-1": kept["state-1"].astype(np.float64)})
    assert not fits(states, {**kept, "state-2": kept["state-1"]})


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
    found = [read_checkpoint(path) for path in (store / "checkpoints").glob("*")]
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
