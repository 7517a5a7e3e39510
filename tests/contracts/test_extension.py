"""An old store and another grid: a larger one joins the old rows, what would change the meaning of a row is refused."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import analysis
from sweep import schema
from sweep.run import app
from sweep.store import Store, list_parts
from sweep.store.directory import Directory
from sweep.wording import counted
from tests.shell import (
    PLUGINS,
    Answer,
    difference,
    environment,
    files,
    jax_as_it_was,
    of_trials,
    python,
    rows,
    write_grid,
)
from tests.store.small_store import edit_manifest

pytestmark = pytest.mark.thorough

FIRST = """
name: growing
seed: [0]
data: {kind: separable, n: 8, d: 16, margin: [0.5, 2]}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
train: {steps: 20}
test_points: 16
record: {points: 3}
"""
SEEDS = FIRST.replace("[0]", "[0, 1]")
FINER = SEEDS.replace("[0.5, 2]", "[0.5, 1, 2]")
ADAMW = FINER.replace("{kind: gd, lr: 0.2}", "[{kind: gd, lr: 0.2}, {kind: adamw, lr: 0.01}]")
GROWTH = {FIRST: (2, 2), SEEDS: (2, 4), FINER: (2, 6), ADAMW: (6, 12)}
"""Each grid holds those before it: how many trials it adds, and how many there are then."""
OWN = ["b1", "b2", "eps", "weight_decay"]
"""Fields that only the last optimizer has."""


def run(text: str, store: Path, *options: str) -> Answer:
    """The command, in this process."""
    grid = write_grid(store.parent, text, f"{store.name}.yaml")
    with jax_as_it_was():
        answer = CliRunner().invoke(
            app, [str(grid), "--out", str(store), "--workers", "1", *options]
        )
    return Answer(answer.exit_code, answer.stdout, answer.stderr)


@dataclass(frozen=True)
class Stage:
    """What a grid left: how its command ended, and both tables."""

    answer: Answer
    runs: pa.Table
    curves: pa.Table


@pytest.fixture(scope="module", autouse=True)
def _cache() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"])
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the grids are trained one after the other. Read only."""
    return tmp_path_factory.mktemp("extension") / "store"


@pytest.fixture(scope="module")
def stages(store: Path) -> list[Stage]:
    """What each of the grids left."""
    return [Stage(run(text, store), rows(store), rows(store, "curves")) for text in GROWTH]


def lost(old: Stage, new: Stage) -> str:
    """What is no longer as it was in the old rows, to the bit; "" where new columns are all that they have got."""
    for before, after in ((old.runs, new.runs), (old.curves, new.curves)):
        still = of_trials(after, before["trial"])
        if what := difference(still.select(before.column_names), before):
            return what
        added = [name for name in still.column_names if name not in before.column_names]
        if filled := [name for name in added if still[name].null_count < still.num_rows]:
            return f"{filled} have got values"
    return ""


@pytest.mark.promise(4)
def test_an_extended_grid_trains_what_is_new_and_keeps_what_is_old(
    stages: list[Stage], store: Path
) -> None:
    for stage, (trained, count) in zip(stages, GROWTH.values(), strict=True):
        assert stage.answer.code == 0, stage.answer.err
        assert (
            f"{counted(trained, 'trial')} trained, {counted(count, 'row')} in {store}."
            in stage.answer.err
        )
        assert stage.runs.num_rows == len(set(stage.runs["trial"].to_pylist())) == count
    assert [lost(old, new) for at, new in enumerate(stages) for old in stages[:at]] == [""] * 6


@pytest.mark.promise(4)
def test_every_reader_sees_all_columns_at_once(stages: list[Stage], store: Path) -> None:
    runs = pd.read_parquet(store / "runs")
    assert len(runs) == 12 and set(runs.columns) == {*stages[0].runs.column_names, *OWN}
    assert runs[OWN].notna().all(axis=1).equals(runs["optimizer"] == "adamw")
    assert {tuple(pq.read_schema(path).names) for path in (store / "runs").glob("part-*")} == {
        tuple(runs.columns)
    }
    loaded, curves = analysis.load(store), analysis.load_curves(store)
    assert loaded.attrs["complete"] and loaded.attrs["trials"] == 12
    assert set(runs.columns) == set(loaded.columns) and {
        "margin",
        "optimizer",
        "train_loss",
    } <= set(curves.columns)
    assert curves.groupby("trial")["step"].agg(tuple).to_dict() == dict.fromkeys(
        loaded["trial"], (0, 1, 20)
    )


@pytest.mark.promise(4, mutant=True)
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda table: table.slice(1), "rows and"),
        (
            lambda table: table.set_column(table.column_names.index("eps"), "eps", table["lr"]),
            "have got values",
        ),
        (lambda table: table.set_column(0, "trial", [table["trial"].to_pylist()[::-1]]), "differ"),
    ],
)
def test_a_careless_rewriting_would_be_seen(
    stages: list[Stage],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any], pa.Table],
    what: str,
) -> None:
    """Mutants that lose a row, write values where there were none, or mix rows up when columns are added."""
    from sweep.store import store as module

    rewrite = module.rewrite_parts

    def careless(folder: Directory, columns: Any, *more: Any) -> int:
        count = rewrite(folder, columns, *more)
        for path in list_parts(folder.path, "runs"):
            table = pq.read_table(path)
            pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)
        return count

    run(FIRST, tmp_path / "store")
    monkeypatch.setattr(module, "rewrite_parts", careless)
    answer = run(ADAMW, tmp_path / "store")
    stage = Stage(answer, rows(tmp_path / "store"), rows(tmp_path / "store", "curves"))
    assert what in lost(stages[0], stage)


# Refusals.


@dataclass(frozen=True)
class Change:
    """Another grid, other options or another program, and how the command says what differs."""

    said: str
    text: str = ADAMW
    options: tuple[str, ...] = ()
    patch: Callable[[pytest.MonkeyPatch], None] = lambda patch: None


def _other_jax(patch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    patch.setattr(
        importlib.metadata, "version", lambda name: "0.0.1" if name == "jax" else version(name)
    )


CHANGES = {
    "dtype": Change('dtype "float32" -> "float64"', options=("--dtype", "float64")),
    "test_points": Change(
        "test_points 16 -> 17", ADAMW.replace("test_points: 16", "test_points: 17")
    ),
    "records": Change("record.points 3 -> 4", ADAMW.replace("points: 3", "points: 4")),
    "fewer_records": Change(
        "record.test true -> false", ADAMW.replace("points: 3", "points: 3, test: false")
    ),
    "coordinates": Change('coordinates "auto" -> "ambient"', f"{ADAMW}coordinates: ambient\n"),
    "several": Change(
        'name "growing" -> "other", test_points 16 -> 9',
        ADAMW.replace("growing", "other").replace("16\nr", "9\nr"),
    ),
    "jax": Change(
        f'versions.jax "{importlib.metadata.version("jax")}" -> "0.0.1"', patch=_other_jax
    ),
    "schema": Change(
        f"schema {schema.VERSION} -> {schema.VERSION + 1}",
        patch=lambda patch: patch.setattr(schema, "VERSION", schema.VERSION + 1),
    ),
}

OTHER_DEFAULT = """
from sweep.optimizers import KINDS
from sweep.run import app

KINDS["adamw"].__dataclass_fields__["weight_decay"].default = 0.02
app()
"""


def accepted(answer: Answer, store: Path, before: dict[str, Any], said: str) -> str:
    """What is wrong with how a command ended that another sweep's store should have refused, "" where nothing is."""
    cure = "use another --out, or go back to the old grid or version"
    if (answer.code, answer.err) != (
        3,
        f"{store} holds the results of another sweep ({said}): {cure}.\n",
    ):
        return f"exit code {answer.code}: {answer.err}"
    return "" if files(store) == before else "something was written"


@pytest.mark.promise(4)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_sweep_is_refused_with_what_differs(
    stages: list[Stage], store: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    before = files(store)
    change.patch(monkeypatch)
    assert accepted(run(change.text, store, *change.options), store, before, change.said) == ""


@pytest.mark.promise(4)
def test_another_default_of_a_kind_is_refused(stages: list[Stage], store: Path) -> None:
    before = files(store)
    answer = python(
        "-c", OTHER_DEFAULT, write_grid(store.parent, ADAMW), "--out", store, "--workers", "1"
    )
    said = "defaults.optimizer adamw.weight_decay 0.01 -> 0.02"
    assert accepted(answer, store, before, said) == ""


@pytest.mark.promise(4, mutant=True)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_store_that_does_not_compare_would_be_seen(
    stages: list[Stage],
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
) -> None:
    """The mutant takes rows of two kinds into one table."""
    copy = shutil.copytree(store, tmp_path / "store")
    before = files(copy)
    monkeypatch.setattr(Store, "conflict", lambda store, manifest: "")
    change.patch(monkeypatch)
    answer = run(change.text, copy, *change.options)
    assert accepted(answer, copy, before, change.said).startswith("exit code 0")


# Plugins.

LAB = (PLUGINS / "own.py").read_text() + "\nimport helper\nDATA_FILES = ['table.csv']\n"
LAB_GRID = """
name: lab
seed: [0]
data: {kind: blobs, n: 8, separation: 2}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
train: {steps: 5}
test_points: 16
record: {points: 0}
"""
TWO_PLUGINS = LAB_GRID.replace(
    "{kind: blobs, n: 8, separation: 2}", "[{kind: blobs, n: 8, separation: 2}, {kind: ring, n: 8}]"
)
BLIND = """
from sweep.commands import train
from sweep.run import app
from sweep.store import Store

train.check_same_source = lambda folder, plugins: None
Store.conflict = lambda store, manifest: ""
app()
"""
"""The command without a look at the source of plugins."""


def run_in(
    folder: Path, text: str, *options: str, program: tuple[str, str] | None = None
) -> Answer:
    """The command in a process of its own, started in a folder with plugins and a store."""
    grid = write_grid(folder, text)
    arguments = ("--out", "store", "--workers", "1", "--quiet", *options)
    return python(*(program or ("-m", "sweep.run")), grid.name, *arguments, cwd=folder)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin, a module and a table that it reads, and a store. Read only."""
    folder = tmp_path_factory.mktemp("lab")
    for name, text in {"lab.py": LAB, "helper.py": "", "table.csv": "1"}.items():
        (folder / name).write_text(text)
    answer = run_in(folder, LAB_GRID, "--plugin=lab")
    assert answer.code == 0, answer.err
    return folder


def edited(lab: Path, copy: Path, file: str) -> Path:
    """A copy of the folder in which a file has another line."""
    shutil.copytree(lab, copy)
    (copy / file).write_text((copy / file).read_text() + "\n")
    return copy


def mixed(answer: Answer, folder: Path, before: dict[str, Any], file: str) -> str:
    """What is wrong with how a command ended that the edit of a plugin should have stopped."""
    said = (
        "store: The rows of this folder were trained with another source of the plugin lab: "
        f"{file} differ. Use another --out, or put the old source back.\n"
    )
    if (answer.code, answer.err) != (3, said):
        return f"exit code {answer.code}: {answer.err}"
    return "" if files(folder / "store") == before else "something was written"


SEEDS_OF_LAB = LAB_GRID.replace("[0]", "[0, 1]")


@pytest.mark.promise(4)
@pytest.mark.parametrize("file", ["lab.py", "helper.py", "table.csv"])
def test_an_edited_plugin_is_refused(lab: Path, tmp_path: Path, file: str) -> None:
    folder = edited(lab, tmp_path / "lab", file)
    before = files(folder / "store")
    answer = run_in(folder, SEEDS_OF_LAB, "--plugin", "lab")
    assert mixed(answer, folder, before, file) == ""


@pytest.mark.promise(4, mutant=True)
def test_a_plugin_that_nobody_compares_would_be_seen(lab: Path, tmp_path: Path) -> None:
    folder = edited(lab, tmp_path / "lab", "helper.py")
    before = files(folder / "store")
    answer = run_in(folder, SEEDS_OF_LAB, "--plugin", "lab", program=("-c", BLIND))
    assert mixed(answer, folder, before, "helper.py").startswith("exit code 0")


def plugins_of(folder: Path) -> tuple[list[str], list[str]]:
    """The plugins that a manifest lists, and those whose source it has."""
    manifest = json.loads((folder / "store" / "manifest.json").read_bytes())
    return manifest["info"].get("plugins", []), sorted(manifest.get("plugins", {}))


def test_a_second_plugin_joins(lab: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(lab, tmp_path / "lab")
    assert plugins_of(folder) == (["lab"], ["lab"])
    old = rows(folder / "store")
    answer = run_in(folder, TWO_PLUGINS, "--plugin", "ring", "--plugin", "lab")
    assert answer.code == 0, answer.err
    assert plugins_of(folder) == (["lab", "ring"], ["lab", "ring"])
    both = rows(folder / "store")
    assert both.num_rows == 2
    assert difference(of_trials(both, old["trial"]).select(old.column_names), old) == ""


def test_a_store_of_an_earlier_version_opens_and_records_its_plugins(
    lab: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(lab, tmp_path / "lab")

    def forget(manifest: dict[str, Any]) -> None:
        del manifest["plugins"], manifest["info"]["plugins"]

    edit_manifest(folder / "store", forget)
    assert run_in(folder, LAB_GRID, "--plugin", "lab").code == 0
    assert plugins_of(folder) == (["lab"], ["lab"])


def test_a_store_whose_plugin_is_not_loaded_says_so(lab: Path) -> None:
    answer = python("-m", "sweep", "status", "store", cwd=lab)
    assert answer.code == 2 and "Traceback" not in answer.err
    assert "trained with plugins that are not loaded. Add --plugin lab." in answer.err
    answer = python("-m", "sweep", "verify", "store", "--replay", "1", "--plugin", "lab", cwd=lab)
    assert answer.code == 0, answer.err
