"""Checkpoints that cannot be saved, and the trainings that go on without."""

from __future__ import annotations

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweep.errors import Interrupted
from sweep.store import Checkpoints
from sweep.workers import trial_checkpoints
from sweep.workers.trial_checkpoints import TrialCheckpoints

PROGRAM = "0123456789abcdef-1"


def saved(folder: Path, said: list[str]) -> Checkpoints:
    """Save a checkpoint of two trials of 8 KB each."""
    queue: Any = SimpleNamespace(ids=lambda indices: indices + 100)
    kept = Checkpoints(folder, PROGRAM)
    columns = {"state-0": np.ones((2, 1024)), "step": np.array([3, 4])}
    TrialCheckpoints(queue, kept, said.append).save(np.array([0, 1]), columns)
    return kept


def test_a_checkpoint_is_saved_without_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    kept = saved(tmp_path, said)
    assert said == [] and kept.written
    assert kept.find(np.array([100, 101]))["step"].tolist() == [3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def saved_on_a_small_disk(folder: Path) -> tuple[Checkpoints, list[str]]:
    """The same on a disk that takes no file above 4 KiB, and what is said."""
    said: list[str] = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        return saved(folder, said), said
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.promise(7)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept, said = saved_on_a_small_disk(tmp_path)
    assert len(said) == 1 and said[0].startswith("A checkpoint cannot be saved: File too large.")
    assert not kept.written and list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


@pytest.mark.promise(7, mutant=True)
def test_a_save_that_does_not_look_at_the_disk_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant lets orbax begin to write, which these few compressed numbers survive."""
    monkeypatch.setattr(trial_checkpoints, "_check_space", lambda folder, size: None)
    kept, said = saved_on_a_small_disk(tmp_path)
    assert kept.written and said == []


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError("denied")])
def test_an_error_of_the_system_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Checkpoints, "save", fail)
    said: list[str] = []
    saved(tmp_path, said)
    reason = error.strerror or "denied"
    assert len(said) == 1 and said[0].startswith(f"A checkpoint cannot be saved: {reason}. The")


def test_a_file_system_that_cannot_reserve_space_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(trial_checkpoints.os, "posix_fallocate", unable)
    said: list[str] = []
    assert saved(tmp_path, said).written and said == []


def test_a_second_signal_is_no_error_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted("Interrupted by SIGTERM.")

    monkeypatch.setattr(Checkpoints, "save", interrupt)
    with pytest.raises(Interrupted):
        saved(tmp_path, [])
