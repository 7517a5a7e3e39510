"""The command `sweep` and its other spellings: what they list, how fast, and how errors reach a user."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import sweep
from analysis.cli import COMMANDS as ANALYSIS
from sweep.__main__ import COMMANDS, app
from sweep.cli import load_command
from sweep.errors import SweepError
from sweep.run import sweep as run_sweep
from tests.shell import PLUGINS, environment, jax_as_it_was, python, write_grid

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
EXPECTED = "run status verify repair compact schema kinds report gap phase modes curves matched boundary collapse relate critical-batch refine watch"


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


# Started inside a folder that came from someone else.

FOREIGN = "import sys; sys.stderr.write(f'FOREIGN {__name__}\\n'); sys.exit(9)\n"
NAMES = [
    *("argparse", "click", "difflib", "email", "flax", "inspect", "jax", "jax_plugins", "jaxlib"),
    *("json", "matplotlib", "numpy", "optax", "pandas", "pathlib", "pyarrow", "pydantic", "rich"),
    *("scipy", "seaborn", "socket", "subprocess", "tempfile", "typer", "typing", "xarray", "yaml"),
]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with a file for each module that a command imports; each would end it."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(FOREIGN)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("sweep", ("kinds", "adamw")),
        ("sweep", ("kinds", "blobs", "--plugin", "plugin")),
        ("sweep.run", ("grid.yaml", "--dry-run")),
        ("analysis", ("phase", "nowhere")),
    ],
)
def test_no_file_of_the_working_directory_is_run(
    foreign: Path, module: str, words: tuple[str, ...]
) -> None:
    """A plugin that lies there is imported, but hides nothing: the modules that it asks for are the installed ones."""
    write_grid(foreign, GRID)
    (foreign / "plugin.py").write_text((PLUGINS / "own.py").read_text())
    if module == "analysis":
        # Of two packages of one name, python -m takes that of the working directory itself.
        (foreign / "sweep").mkdir()
        (foreign / "sweep" / "__init__.py").write_text(FOREIGN)
    answer = python("-m", module, *words, cwd=foreign)
    assert "FOREIGN" not in answer.err and "Traceback" not in answer.err
    assert answer.code == (1 if module == "analysis" else 0)


def test_a_working_directory_that_was_removed_is_none(tmp_path: Path) -> None:
    code = (
        "import os, sys\nos.chdir(sys.argv[1])\nos.rmdir(sys.argv[1])\n"
        "from sweep.import_path import add_working_directory, leave_working_directory\n"
        "before = list(sys.path)\nadd_working_directory()\nassert sys.path == before\n"
        "leave_working_directory()\nassert '' not in sys.path[:1]"
    )
    folder = tmp_path / "gone"
    folder.mkdir()
    assert python("-c", code, folder).code == 0


# Streams.


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    ("words", "redirection", "code", "said"),
    [
        ("schema", "> /dev/full", 1, "Standard output cannot be written: No space left on device."),
        ("run missing.yaml", "2> /dev/full", 2, ""),
        ("run missing.yaml", "2>&-", 2, ""),
        ("schema", "| true", 1, ""),
    ],
)
def test_a_stream_that_takes_nothing_leaves_the_exit_code(
    tmp_path: Path, words: str, redirection: str, code: int, said: str
) -> None:
    line = f"set -o pipefail; {sys.executable} -m sweep {words} {redirection}"
    answer = subprocess.run(
        ["bash", "-c", line], env=environment(), cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode == code
    assert "Traceback" not in answer.stderr
    assert answer.stderr.startswith(said) if said else answer.stderr == ""


@pytest.mark.parametrize("words", [["-m", "sweep", "kinds"], ["-m", "sweep.run", "grid.yaml"]])
def test_a_malformed_variable_of_jax_is_an_error_with_a_cure(words: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, *words],
        env={**environment(), "JAX_ENABLE_X64": "maybe"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("jax rejects a variable: ")
    assert answer.stderr.endswith("JAX_ENABLE_X64'. Correct or unset it.\n")


# Paths.


@pytest.mark.parametrize(
    "words",
    [
        *(("status", ""), ("verify", ""), ("repair", ""), ("compact", ""), ("run", "")),
        *(("run", "grid.yaml", "--out", ""), ("status", ".", "--grid", "")),
        ("run", "grid.yaml", "--out", "~no such user\x1b/x"),
    ],
)
def test_a_path_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_grid(tmp_path, GRID)
    answer = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    said = "names no home folder here" if "~" in words[-1] else "The path is empty. Give one"
    assert answer.exit_code == 2 and said in answer.stderr and "\x1b/" not in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


@pytest.mark.parametrize("out", ["taken", "taken/below/it", "nowhere/link"])
def test_a_file_in_the_way_of_a_folder_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_grid(tmp_path, GRID)
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "nowhere").symlink_to("missing")
    answer = CliRunner().invoke(app, ["run", "grid.yaml", "--out", out])
    said = f"{out} cannot be a folder: {out.partition('/')[0]} is a file. Use another --out.\n"
    assert (answer.exit_code, answer.stderr) == (1, said)


def test_a_tilde_is_the_home_folder_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_grid(tmp_path / "home", GRID)
    store = tmp_path / "home" / "store"
    with jax_as_it_was():
        assert run_sweep("~/grid.yaml", "~/store", workers=1, quiet=True) == store
        for words in (
            ("run", "~/grid.yaml", "--out", "~/store", "--workers", "1"),
            ("status", "~/store", "--grid", "~/grid.yaml"),
            *(("verify", "~/store"), ("repair", "~/store"), ("compact", "~/store")),
        ):
            answer = CliRunner().invoke(app, words)
            assert answer.exit_code == 0, answer.output
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("path", ["", "a\0b", "~no such user/x"])
def test_a_path_from_python_is_checked_too(tmp_path: Path, path: str) -> None:
    grid = write_grid(tmp_path, GRID)
    for arguments in ((grid, path), (path, tmp_path / "store")):
        with pytest.raises(SweepError, match=r"path|home"):
            run_sweep(*arguments, workers=1, quiet=True)
    assert [each.name for each in tmp_path.iterdir()] == ["grid.yaml"]


# Terminals.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("kinds", "größe→"), "no kind 'gr\\xf6\\xdfe->'"),
        (("status", "σ"), "sigma is no folder"),
        (("--help",), "Usage"),
    ],
)
def test_a_terminal_without_a_character_gets_another(words: tuple[str, ...], said: str) -> None:
    answer = python("-m", "sweep", *words, PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert "Traceback" not in answer.err and said in answer.out + answer.err
