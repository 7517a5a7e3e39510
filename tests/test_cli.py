"""The command `sweep` and its other spellings: what they list, how fast, and how errors reach a user."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import sweep
from analysis.cli import COMMANDS as ANALYSIS
from sweep.__main__ import COMMANDS, app
from sweep.cli import load_command
from sweep.run import sweep as run_sweep
from tests.shell import PLUGINS, python, write_grid

GRID = """
name: tiny
seed: [0, 1]
data: {kind: separable, n: 8, d: 16}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
train: {steps: 5}
test_points: 0
record: {points: 0}
"""
EXPECTED = "run status verify repair compact schema kinds report gap phase curves boundary collapse refine watch"


def test_the_commands() -> None:
    assert [*COMMANDS, *ANALYSIS] == EXPECTED.split()


@pytest.mark.parametrize("name", EXPECTED.split())
def test_every_command_loads_and_has_a_summary(name: str) -> None:
    source = {**COMMANDS, **ANALYSIS}[name]
    command = load_command(name, source)
    assert command.name == name and command.help and source.summary.endswith(".")


def test_version() -> None:
    answer = CliRunner().invoke(app, ["--version"])
    assert answer.exit_code == 0 and answer.output.split() == [
        "sweep",
        importlib.metadata.version("jax-sweep"),
    ]
    assert sweep.__version__ == importlib.metadata.version("jax-sweep")
    with pytest.raises(AttributeError, match="has no attribute 'version'"):
        sweep.version  # type: ignore[attr-defined]  # noqa: B018


def test_help_names_each_command_and_imports_none() -> None:
    code = (
        "import sys\nfrom sweep.__main__ import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'jax', 'pandas', 'pyarrow', 'matplotlib', 'scipy', 'flax', 'optax'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    answer = python("-c", code)
    assert "HEAVY []" in answer.out
    assert all(name in answer.out for name in EXPECTED.split())


def test_a_misspelt_command_gets_a_suggestion() -> None:
    answer = CliRunner().invoke(app, ["veriy", "results"])
    assert answer.exit_code == 2 and "Did you mean 'verify'?" in answer.output


def test_an_error_is_a_sentence_and_a_code(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["gap", str(tmp_path / "nowhere")])
    assert answer.exit_code == 1 and "Traceback" not in answer.output


@pytest.mark.parametrize("module", ["sweep", "sweep.run"])
def test_a_grid_runs_by_either_spelling(tmp_path: Path, module: str) -> None:
    grid, words = write_grid(tmp_path, GRID), ["run"] if module == "sweep" else []
    answer = python("-m", module, *words, grid, "--out", tmp_path / "store", "--quiet")
    assert answer.code == 0, answer.err
    assert len(pd.read_parquet(tmp_path / "store" / "runs")) == 2


def test_text_and_dictionaries_are_grids_too(tmp_path: Path) -> None:
    """The same ids and rows as from a file; the store keeps the text."""
    path = write_grid(tmp_path, GRID)
    grids = {"file": path, "text": GRID, "dictionary": yaml.safe_load(GRID)}
    tables = {
        name: pd.read_parquet(run_sweep(grid, tmp_path / name, workers=1, quiet=True) / "runs")
        for name, grid in grids.items()
    }
    for table in tables.values():
        pd.testing.assert_frame_equal(
            table.sort_values("trial"), tables["file"].sort_values("trial")
        )
    assert (tmp_path / "text" / "grid.yaml").read_text() == GRID


@pytest.mark.parametrize("spelling", ["module", "console script"])
def test_plugins_of_the_current_folder_are_found(tmp_path: Path, spelling: str) -> None:
    """Also by the console script, which lies in a folder of its own."""
    script = tmp_path / "sweep-script"
    script.write_text("from sweep.__main__ import app\napp()\n")
    words = ("-m", "sweep") if spelling == "module" else (script,)
    answer = python(*words, "kinds", "blobs", "--plugin", "own", cwd=PLUGINS)
    assert answer.code == 0, answer.err
    assert "distance of the centres" in answer.out
