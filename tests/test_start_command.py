"""Workers run the code of their parent, wherever they are started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweep.start_command import start_command


def test_modules_of_the_working_directory_do_not_take_the_place_of_installed_ones(
    tmp_path: Path,
) -> None:
    (tmp_path / "sweep").mkdir()
    for name in ("sweep/__init__.py", "sweep/run.py", "typer.py", "jax.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    answer = subprocess.run(
        start_command("--help"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "Train every trial" in answer.stdout


def test_the_search_path_of_the_parent_is_that_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin beside a script of the user is found, and this package even where another one comes first."""
    (tmp_path / "ö w n").mkdir()
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "__init__.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "ö w n" / "beside.py").write_text("raise SystemExit('found')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, str(tmp_path / "ö w n")])
    answer = subprocess.run(
        start_command("no.yaml", "--plugin", "beside"), cwd="/", capture_output=True, text=True, check=False
    )  # fmt: skip
    assert "found" in answer.stderr and "wrong" not in answer.stderr
