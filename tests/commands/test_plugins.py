"""Plugins: names that are none, modules that fail, and which files belong to one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweep import data
from sweep.__main__ import app
from sweep.commands import plugin_source, plugins
from sweep.commands.plugin_source import changed_files, digest_plugin
from sweep.commands.plugins import load_plugins, plugin_changes
from sweep.commands.run_info import new_manifest
from sweep.errors import SweepError
from sweep.grid import parse_grid
from sweep.run import sweep
from sweep.store import recorded_plugins
from sweep.store.manifest_diff import describe_changes, merge_growing


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory on the path, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_digests", {})
    before, kinds = set(sys.modules), dict(data.KINDS)
    yield tmp_path
    for name in set(sys.modules) - before:
        # Those of the package itself stay: others that were imported earlier hold their classes.
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
    data.KINDS.clear()
    data.KINDS.update(kinds)


def write(folder: Path, **texts: str) -> None:
    """Modules by their path without the suffix."""
    for name, text in texts.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


# Names.


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "which '' cannot be. Write --plugin own for the file own.py."),
        ("own.py", "own.py is a file. Write --plugin own."),
        ("./own.py", "./own.py is a file. Write --plugin own."),
        (
            "lab/own.py",
            "Write --plugin own and start the command in lab, or with that on PYTHONPATH.",
        ),
        ("lab/own", "which 'lab/own' cannot be."),
        (".own", "which '.own' cannot be."),
        ("a..b", "which 'a..b' cannot be."),
        ("~/own.py", "Write --plugin own and start the command in ~,"),
        ("\x1b[31m", "which '\\x1b[31m' cannot be."),
        ("no_such_module", "No module named 'no_such_module'. Start the command in its folder"),
    ],
)
def test_a_name_that_is_no_module_is_a_sentence(folder: Path, name: str, said: str) -> None:
    with pytest.raises(SweepError) as error:
        load_plugins([name])
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nraise ValueError('so bad')", "ValueError: so bad, raised at {}:2. Correct it there."),
        ("import sys\nsys.exit(3)", "SystemExit: 3, raised at {}:2."),
        ("1 +", "SyntaxError: invalid syntax"),
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("DATA_FILES = 'table.csv'", 'Write DATA_FILES = ["table.csv"].'),
        ("DATA_FILES = ['none.csv']", "none.csv of the plugin bad cannot be read: No such file"),
        ("DATA_FILES = ['.']", "cannot be read: Is a directory. Put it there"),
        (
            "from sweep import data\ndata.KINDS['separable'] = object",
            "The plugin bad replaces data separable, under whose name other results are kept.",
        ),
    ],
)
def test_a_module_that_fails_is_a_sentence_and_exit_code_1(
    folder: Path, text: str, said: str
) -> None:
    write(folder, bad=text)
    answer = CliRunner().invoke(app, ["kinds", "--plugin", "bad"])
    assert said.format(folder / "bad.py") in answer.stderr
    assert answer.exit_code == 1 and answer.stdout == ""


def test_an_interruption_of_an_import_stays_one(folder: Path) -> None:
    write(folder, slow="from sweep.errors import Interrupted\nraise Interrupted('SIGTERM')")
    with pytest.raises(SweepError) as error:
        load_plugins(["slow"])
    assert error.value.exit_code == 75


# Source.

PLUGIN = """
import json, numpy, sweep.schema
import near.deep.one
from near import two
def later():
    from helper import anything
DATA_FILES = ["table.csv", "data/more.bin"]
"""


@pytest.fixture
def plugin(folder: Path) -> Path:
    """A module, what it imports from its folder in various ways, data, and files that are not its own."""
    modules = {
        "mine": PLUGIN,
        "near/__init__": "",
        "near/deep/__init__": "from .. import three",
        "near/deep/one": "from .other import something",
        "near/deep/other": "something = 1",
        "near/two": "",
        "near/three": "",
        "near/unused": "",
        "helper": "import sibling",
        "sibling": "1 + ",
        "sweep/schema": "",
        "unused": "",
    }
    write(folder, **modules)
    (folder / "data").mkdir()
    (folder / "table.csv").write_text("1,2")
    (folder / "data" / "more.bin").write_bytes(bytes(9))
    importlib.import_module("mine")
    return folder


OWN = [
    *("data/more.bin", "helper.py", "mine.py", "near/__init__.py", "near/deep/__init__.py"),
    *("near/deep/one.py", "near/deep/other.py", "near/three.py", "near/two.py", "sibling.py"),
    "table.csv",
]


def files_of(lines: list[str]) -> list[str]:
    """The names in digests."""
    return [line.partition("  ")[2] for line in lines]


def test_the_files_of_a_plugin(plugin: Path) -> None:
    lines = digest_plugin("mine")
    assert files_of(lines) == OWN
    known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  near/two.py"
    assert known in lines


@pytest.mark.parametrize("file", OWN)
def test_an_edit_of_any_of_them_is_seen(plugin: Path, file: str) -> None:
    before = digest_plugin("mine")
    path = plugin / file
    path.write_bytes(path.read_bytes() + b"\n")
    assert changed_files(before, digest_plugin("mine")) == [file]
    manifest = {"plugins": {"mine": before}}
    assert f"plugin mine: {file} differ." in plugin_changes(
        manifest, {"mine": digest_plugin("mine")}
    )


@pytest.mark.parametrize("file", ["unused.py", "near/unused.py", "sweep/schema.py"])
def test_an_edit_of_another_file_is_none(plugin: Path, file: str) -> None:
    before = digest_plugin("mine")
    (plugin / file).write_text("edited = True")
    assert digest_plugin("mine") == before
    assert plugin_changes({"plugins": {"mine": before}}, {"mine": before}) == ""


def test_an_installed_plugin_is_its_package_alone(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_source.sysconfig, "get_paths", lambda: {"purelib": str(plugin)})
    importlib.import_module("near.deep")
    assert files_of(digest_plugin("near.deep")) == [
        "near/__init__.py",
        "near/deep/__init__.py",
        "near/three.py",
    ]
    assert files_of(digest_plugin("mine")) == ["data/more.bin", "mine.py", "table.csv"]


@pytest.mark.parametrize("name", ["sys", "math"])
def test_a_module_of_the_interpreter_is_a_plugin_too(name: str) -> None:
    importlib.import_module(name)
    assert all("math" in line for line in digest_plugin(name))


def test_an_edit_after_the_import_is_refused(folder: Path) -> None:
    """This process would train the old source, and write the digest of the new one."""
    write(folder, edited="x = 1")
    (line,) = load_plugins(["edited"])["edited"]
    assert load_plugins(["edited"]) == {"edited": [line]}
    write(folder, edited="x = 2")
    with pytest.raises(SweepError, match="edited after this process imported it"):
        load_plugins(["edited"])


@pytest.mark.parametrize("hostile", [None, [], 3, {"own": None}, {"own": {"a": 1}}, {"own": [1]}])
def test_any_manifest_is_compared(hostile: object) -> None:
    changes = plugin_changes({"plugins": hostile}, {"own": ["00  own.py"]})
    assert ("own.py" in changes) == (isinstance(hostile, dict) and "own" in hostile)


def test_a_store_may_gain_plugins_but_none_may_change() -> None:
    one, two = {"plugins": {"one": ["00  one.py"]}}, {"plugins": {"two": ["00  two.py"]}}
    assert (
        describe_changes(one, two) == describe_changes(one, {}) == describe_changes({}, one) == ""
    )
    assert "plugins.one" in describe_changes(one, {"plugins": {"one": ["01  one.py"]}})
    assert merge_growing(one, two) == {"plugins": {**one["plugins"], **two["plugins"]}}


def test_plugins_are_listed_in_the_manifest() -> None:
    grid = parse_grid("""
name: tiny
data: {kind: separable, n: 8, d: 16}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
""")
    manifest = new_manifest(grid, "float32", "cpu", {"one": ["00  one.py"], "two": []})
    assert recorded_plugins(manifest) == manifest["info"]["plugins"] == ["one", "two"]
    assert manifest["plugins"] == {"one": ["00  one.py"], "two": []}
    # A store without plugins stays one that version 0.2.0 opens.
    assert "plugins" not in new_manifest(grid, "float32", "cpu", {})


@pytest.mark.parametrize("names", ["no_such_module", ("no_such_module",), ["no_such_module"]])
def test_plugins_from_python_are_one_name_or_several(tmp_path: Path, names: Any) -> None:
    with pytest.raises(SweepError, match="plugin no_such_module cannot be imported"):
        sweep(tmp_path / "grid.yaml", tmp_path / "store", plugins=names)
