"""No command opens a file of the working directory but those of the store, nor starts a program of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.shell import python, write_grid

AUDIT = """
import os, runpy, sys
here = os.getcwd()
found = set()

def audit(event, arguments):
    path = arguments[0] if arguments else None
    if event in ("open", "subprocess.Popen", "os.exec", "os.posix_spawn") and isinstance(path, str):
        path = os.path.join(here, path)
        # Of a name relative to another folder, nothing exists here.
        if os.path.lexists(path):
            found.add(os.path.relpath(path, here))

sys.addaudithook(audit)
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    print("OPENED", *(each for each in found if not each.startswith("..")), sep="\\n")
"""
"""Runs a module and prints what it opened below the working directory, by names relative to it."""

SETTINGS = (
    *(
        ".env",
        ".duckdbrc",
        "fonts.conf",
        "jax.cfg",
        "pip.conf",
        "pydistutils.cfg",
        "pyproject.toml",
    ),
    *("setup.cfg", "ipython_config.py", "numpy.py", "sitecustomize.py", "usercustomize.py"),
    *("matplotlib.rc", ".matplotlib/matplotlibrc", "stylelib/x.mplstyle", "site.cfg"),
)
"""Files in which libraries look for settings or code."""


def opened(folder: Path, *words: object) -> set[str]:
    """What `python -m WORDS` opens below a folder in which it is started.

    The folder has files of SETTINGS, and a pipe that would make matplotlib wait for ever.
    """
    for name in SETTINGS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('foreign')")
    if not (folder / "matplotlibrc").exists():
        os.mkfifo(folder / "matplotlibrc")
    answer = python("-P", "-c", AUDIT, *words, cwd=folder)
    assert answer.code == 0, answer.err
    return set(answer.out.partition("OPENED\n")[2].splitlines())


def names(folder: Path) -> set[str]:
    """The files and folders of a store, by their names relative to it."""
    return {".", *(str(path.relative_to(folder)) for path in folder.rglob("*"))}


@pytest.mark.promise(18)
@pytest.mark.parametrize(
    "words",
    [
        ("phase", "."),
        *(
            pytest.param(tuple(words.split()), marks=pytest.mark.thorough)
            for words in ("report .", "refine . --level 0.6 --out more")
        ),
    ],
)
def test_an_analysis_opens_the_files_of_the_store_alone(
    make: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = make.write_store(tmp_path / "store", make.plane(make.planted))
    write_grid(folder, GRID)
    made = {"report", "more"}
    known = names(folder)
    found = opened(folder, "sweep", *words)
    assert {path for path in found - known if path.split("/")[0] not in made} == set()
    assert "runs/part-0.parquet" in found


GRID = """
name: planted
seed: [0, 1]
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: [0.1, 1], feature_noise: 0.1}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
train: {steps: 5}
test_points: 0
record: {points: 0}
"""


@pytest.mark.thorough
def test_a_sweep_opens_its_grid_alone(tmp_path: Path) -> None:
    here = tmp_path / "here"
    write_grid(here, GRID)
    words = ("sweep.run", "grid.yaml", "--out", tmp_path / "out", "--quiet")
    assert opened(here, *words) == {"grid.yaml"}
