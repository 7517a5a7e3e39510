"""What the command promises of its tables, its refusals and its plan; `test_command.py` walks the main road."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sweep import schema
from sweep.commands import train
from sweep.errors import StoreConflict, StoreError
from sweep.grid import parse_grid
from sweep.run import app, sweep
from sweep.store import Writer
from tests.shell import (
    CACHE,
    command,
    difference,
    environment,
    files,
    jax_as_it_was,
    of_trials,
    python,
    rows,
    stores_differ,
    table,
    write_grid,
)

pytestmark = pytest.mark.thorough

TINY = """
name: tiny
seed: {range: [0, 2]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: [0.5, 4], feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
objective: {kind: logistic, l2: 1e-4}
optimizer:
  - {kind: gd, lr: 0.2}
  - {kind: adam, lr: 0.01}
  - {kind: sgd, lr: 0.2}
train: {steps: 60, batch_size: [full, 3]}
where: "(optimizer == 'sgd') == (batch_size == 3)"
test_points: 32
record: {points: 6}
"""
"""Two seeds, two signal-to-noise ratios, three optimizers, one of them on batches of 3, 3 and 2 points."""

ONE = """
name: one
seed: {range: [0, 4]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: 1, feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
optimizer: {kind: gd, lr: 0.2}
train: {steps: [20, 60]}
test_points: 32
record: {points: 6}
"""
"""Eight trials of one bucket that end at two different steps."""


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    with jax_as_it_was():
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two grids."""
    folder = tmp_path_factory.mktemp("run")
    write_grid(folder, TINY, "tiny.yaml")
    write_grid(folder, ONE, "one.yaml")
    return folder


@pytest.fixture(scope="module")
def tiny(home: Path) -> Path:
    """The store of TINY. Read only."""
    return sweep(home / "tiny.yaml", home / "tiny", quiet=True)


@pytest.fixture(scope="module")
def one(home: Path) -> Path:
    """The store of ONE, trained by one core in blocks of one lane. Read only."""
    return sweep(home / "one.yaml", home / "one", workers=1, lanes=1, quiet=True)


# The tables.


def test_every_point_of_the_grid_is_a_row(tiny: Path) -> None:
    """Counted by hand: 2 seeds x 2 ratios x 3 optimizers, and 60 steps are 60 or 60 / ceil(8 / 3) epochs."""
    runs = pd.read_parquet(tiny / "runs")
    points = runs.groupby(
        ["seed", "snr", "optimizer", "lr", "batch_size", "steps", "epochs"]
    ).size()
    settings = [("adam", 0.01, 8, 60, 60.0), ("gd", 0.2, 8, 60, 60.0), ("sgd", 0.2, 3, 60, 20.0)]
    assert points.to_dict() == {
        (seed, snr, *each): 1 for seed in (0, 1) for snr in (0.5, 4.0) for each in settings
    }
    np.testing.assert_allclose(runs["noise"] * np.sqrt(4) * runs["snr"], 1, rtol=1e-12)
    assert set(runs["status"]) == {"out_of_steps"}


def test_a_problem_is_the_same_start_for_every_optimizer(tiny: Path) -> None:
    """At step 0 nothing has been trained, so all observables of a problem agree, mini-batches included.

    To the bit where coordinates are the same, and where they are not to what float32 sums in another order lose.
    """
    start = starts(tiny)
    assert {"train_loss", "test_loss", "test_error", "feature", "noise_min", "weight_norm"} <= set(
        start.columns
    )
    assert set(table(tiny).groupby("optimizer")["coordinates"].unique().map(tuple).items()) == {
        ("adam", ("ambient",)),
        ("gd", ("span",)),
        ("sgd", ("span",)),
    }
    pd.testing.assert_frame_equal(start.loc["gd"], start.loc["sgd"], check_exact=True)
    pd.testing.assert_frame_equal(start.loc["gd"], start.loc["adam"], rtol=1e-4, atol=1e-6)
    errors = ["train_error", "test_error"]
    pd.testing.assert_frame_equal(
        start.loc["gd", errors], start.loc["adam", errors], check_exact=True
    )
    assert start.loc["gd"]["test_loss"].is_unique


def test_in_ambient_coordinates_the_start_is_the_same_to_the_bit(tiny: Path, home: Path) -> None:
    """The same trials and problems as in the coordinates of the span, with the bits that all optimizers share."""
    text = f"{TINY}coordinates: ambient\n".replace("steps: 60", "steps: 0")
    store = sweep(write_grid(home, text, "ambient.yaml"), home / "ambient", quiet=True)
    assert set(table(store)["coordinates"]) == {"ambient"}
    assert set(table(store)["problem"]) == set(table(tiny)["problem"])
    start = starts(store)
    for optimizer in ("gd", "sgd"):
        pd.testing.assert_frame_equal(start.loc[optimizer], start.loc["adam"], check_exact=True)
    pd.testing.assert_frame_equal(start.loc["adam"], starts(tiny).loc["adam"], check_exact=True)


def starts(store: Path) -> pd.DataFrame:
    """All that is told of step 0, by optimizer and problem."""
    named = table(store)[["trial", "problem", "optimizer"]]
    start = (
        table(store, "curves")
        .query("step == 0")
        .merge(named, on="trial")
        .set_index(["optimizer", "problem"])
    )
    return start.drop(columns=["trial", "step"]).dropna(axis=1, how="all").sort_index()


def test_the_last_record_is_the_row(tiny: Path) -> None:
    runs, curves = table(tiny).set_index("trial"), table(tiny, "curves").set_index("trial")
    last = curves[curves["step"] == curves["step"].groupby("trial").max().reindex(curves.index)]
    names = list(schema.STANDARD_OBSERVABLES)
    pd.testing.assert_frame_equal(last.loc[runs.index, names], runs[names], check_exact=True)
    assert (last.loc[runs.index, "step"] == runs["steps"]).all()
    for _, steps in curves.groupby("trial")["step"]:
        assert steps.iloc[0] == 0 and steps.is_monotonic_increasing and 5 <= len(steps) <= 7


def test_fit_step_is_the_first_record_without_training_error(tiny: Path) -> None:
    curves = table(tiny, "curves")
    fitted = curves[curves["train_error"] == 0].groupby("trial")["step"].min()
    found = table(tiny).set_index("trial")["fit_step"]
    pd.testing.assert_series_equal(
        fitted.reindex(found.index), found, check_dtype=False, check_names=False
    )
    assert found.notna().any()


def test_the_readme_line_gives_the_paired_gap(tiny: Path) -> None:
    runs = pd.read_parquet(tiny / "runs")
    gap = runs.pivot(index="problem", columns="optimizer", values="test_error").eval("adam - gd")
    by_hand = {
        problem: rows.query("optimizer == 'adam'")["test_error"].item()
        - rows.query("optimizer == 'gd'")["test_error"].item()
        for problem, rows in runs.groupby("problem")
    }
    assert len(gap) == 4 and gap.to_dict() == by_hand


def test_float64_is_double_precision_all_the_way(tmp_path: Path) -> None:
    """In results/NAME of the working directory, as without --out."""
    folder = tmp_path / "größe 1"
    write_grid(folder, ONE)
    answer = command(Path("grid.yaml"), "--dtype", "float64", "--quiet", cwd=folder)
    assert (answer.code, answer.err) == (0, "")
    store = folder / "results" / "one"
    loss = table(store)["train_loss"].to_numpy()
    assert len(loss) == 8 and (loss != loss.astype(np.float32)).all()
    before = files(store)
    refused = command(Path("grid.yaml"), cwd=folder)
    assert refused.code == 3 and 'dtype "float64" -> "float32"' in refused.err
    assert files(store) == before


def test_float32_rows_are_single_precision(one: Path) -> None:
    loss = table(one)["train_loss"].to_numpy()
    assert (loss == loss.astype(np.float32)).all()


# What may not change a bit.


def test_two_cores_leave_what_one_leaves(one: Path, home: Path) -> None:
    two = sweep(home / "one.yaml", home / "two cores", workers=2, lanes=1, quiet=True)
    assert stores_differ(two, one) == ""


def test_shares_go_into_one_store_and_the_plan_counts_them(one: Path, home: Path) -> None:
    store = home / "shares"
    for index, done in ((0, 0), (1, 4)):
        assert f"8 trials, {8 - done} left to do, {done} done" in plan_of(
            home / "one.yaml", out=store
        )
        sweep(home / "one.yaml", store, shard=(index, 2), workers=1, lanes=1, quiet=True)
    assert stores_differ(store, one) == ""


def test_a_share_is_trained_in_the_blocks_of_the_whole(home: Path) -> None:
    """The block is part of the bits, so a cut of the plan among workers must not choose another one."""
    assert {blocks(plan_of(home / "one.yaml", shard=(0, count))) for count in (1, 2, 3, 8)} == {
        "16"
    }


@pytest.mark.promise(10)
def test_a_diverged_trial_leaves_its_neighbours_alone(home: Path) -> None:
    """All lanes in one block under vmap, with and without learning rates that blow up."""
    bad = write_grid(home, ONE.replace("lr: 0.2", "lr: [1e30, 0.2]"), "bad.yaml")
    good = sweep(home / "one.yaml", home / "calm", lanes=16, workers=1, quiet=True)
    store = sweep(bad, home / "wild", lanes=16, workers=1, quiet=True)
    runs = table(store)
    wild = runs[runs["lr"] > 1]
    assert len(wild) == 8 and (wild["status"] == "nonfinite").all()
    assert (wild["steps"] < wild["max_steps"]).all() and wild["train_error"].between(0, 1).all()
    calm = rows(good)
    assert difference(of_trials(rows(store), calm["trial"]), calm) == ""
    assert difference(of_trials(rows(store, "curves"), calm["trial"]), rows(good, "curves")) == ""


@pytest.mark.promise(4)
def test_more_seeds_add_parts_and_touch_none(one: Path, home: Path) -> None:
    store = home / "more"
    sweep(home / "one.yaml", store, workers=1, lanes=1, quiet=True)
    before, old = files(store), rows(store)
    sweep(
        write_grid(home, ONE.replace("[0, 4]", "[0, 6]"), "more.yaml"), store, workers=1, quiet=True
    )
    after = files(store)
    assert {name: after[name] for name in before} == before
    new = sorted(after.keys() - before.keys())
    assert [name.split("/")[0].split("-")[0] for name in new] == [
        *("current", "curves", "grid", "runs"),
    ]
    assert (
        rows(store).num_rows == 12 and difference(of_trials(rows(store), old["trial"]), old) == ""
    )
    assert recorded(store) == [1]


# Lanes.


def recorded(store: Path) -> list[int]:
    """All lane counts that the parts of a store name."""
    said = [
        json.loads(pq.read_metadata(path).metadata[b"buckets"])
        for path in store.glob("runs/*.parquet")
    ]
    return sorted({lanes for each in said for lanes in each.values()})


@pytest.mark.promise(4)
def test_the_store_keeps_the_grid_with_what_was_set(one: Path, home: Path, tmp_path: Path) -> None:
    """Six of the eight trials of ONE, so that nothing is left to train, also from the kept copy."""
    store = shutil.copytree(one, tmp_path / "set")
    changes = ["--set", "seed=[1, 2, 3]", "--set", "data.snr=1.0"]
    options = ["--out", str(store), "--workers", "1"]
    said = CliRunner().invoke(app, [str(home / "one.yaml"), *changes, *options])
    assert said.exit_code == 0 and "0 trials trained, 6 rows" in said.stderr, said.stderr
    (kept,) = set(store.glob("grid-*.yaml"))
    read = parse_grid(kept.read_text())
    expected = pd.read_parquet(one / "runs").query("seed > 0")["trial"]
    assert {
        id for block in read.blocks for rows in block.rows() for id in block.ids(rows)[0].tolist()
    } == set(expected)
    again = CliRunner().invoke(app, [str(kept), *options])
    assert again.exit_code == 0 and "0 trials trained, 6 rows" in again.stderr
    assert sorted(store.glob("grid*.yaml")) == [kept, store / "grid.yaml"]
    plan = CliRunner().invoke(
        app, [str(home / "one.yaml"), "--set", "seed=[7, 8, 9]", *options, "--dry-run"]
    )
    assert plan.exit_code == 0 and "6 trials" in plan.stdout
    python_call = sweep(home / "one.yaml", store, quiet=True, changes={"seed": [1, 2, 3]})
    assert len(set(python_call.glob("grid-*.yaml"))) == 2


def test_an_error_of_what_was_set_names_the_option(home: Path, tmp_path: Path) -> None:
    options = ["--set", "data.m=3", "--out", str(tmp_path / "none")]
    said = CliRunner().invoke(app, [str(home / "one.yaml"), *options])
    assert said.exit_code == 2 and not (tmp_path / "none").exists()
    assert said.stderr.startswith("--set data.m=3: data.m: is not a field of data feature_noise.")


def test_lanes_are_recorded_and_another_number_is_refused(one: Path, home: Path) -> None:
    assert recorded(one) == [1]
    before = files(one)
    with pytest.raises(StoreConflict, match=r"--lanes 1,.*--lanes 2"):
        sweep(home / "one.yaml", one, lanes=2, quiet=True)
    assert files(one) == before
    assert blocks(plan_of(home / "one.yaml", out=one)) == "1"


# Refusals.


def plan_of(grid: Path, **more: Any) -> str:
    """What --dry-run prints."""
    return train.preview(train.Request(grid, **more))


def blocks(plan: str) -> str:
    """The lanes under one vmap of the only bucket of a plan."""
    (found,) = re.findall(r"lanes in blocks of (\d+)", plan)
    return found


@pytest.mark.parametrize(
    "options",
    [
        ("--shard", "2/2"),
        ("--shard", "-1/2"),
        ("--shard", "one"),
        ("--workers", "0"),
        ("--workers", "many"),
        ("--lanes", "0"),
        ("--dtype", "float16"),
        ("--cores", "2"),
    ],
)
def test_a_bad_option_is_named(home: Path, tmp_path: Path, options: tuple[str, str]) -> None:
    answer = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, [str(home / "one.yaml"), "--out", str(tmp_path / "out"), *options]
    )
    assert answer.exit_code == 2
    assert options[0] in answer.stderr or options[1] in answer.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.promise(8)
def test_every_error_of_a_grid_is_told_at_its_place(tmp_path: Path) -> None:
    """Four mistakes in four lines, nothing on standard output, and no folder, not even the default one."""
    bad = (
        TINY.replace("n: 8", "n: eight")
        .replace("width: 2", "widht: 2")
        .replace("l2: 1e-4", "l2: -1")
    )
    grid = write_grid(tmp_path, bad.replace("record:", "recrod:"))
    answer = command(Path("grid.yaml"), cwd=tmp_path)
    assert answer.code == 2 and answer.out == ""
    places = re.findall(r"^grid\.yaml:(\d+):(\d+): ([\w.]+): .+\. .+\.$", answer.err, re.MULTILINE)
    lines = bad.splitlines()
    assert len(places) == len(answer.err.splitlines()) == 4
    for (line, column, field), (word, name) in zip(
        places,
        [
            ("eight", "data.n"),
            ("widht", "model.widht"),
            ("-1", "objective.l2"),
            ("record", "recrod"),
        ],
        strict=True,
    ):
        text = lines[int(line) - 1].replace("record:", "recrod:")
        assert (
            text[int(column) - 1 :].startswith(word.replace("record", "recrod")) and field == name
        )
    assert [path.name for path in tmp_path.iterdir()] == [grid.name]


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_grid_that_cannot_be_read_is_a_sentence(tmp_path: Path, name: str) -> None:
    answer = CliRunner().invoke(app, [str(tmp_path / name), "--out", str(tmp_path / "out")])
    assert answer.exit_code == 2 and "cannot be read" in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise(7)
def test_a_full_disk_reaches_the_caller(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Writer, "add", full)
    with pytest.raises(StoreError, match="disk is full"):
        sweep(home / "one.yaml", tmp_path / "full", workers=1, lanes=1, quiet=True)


LIMITED = """
import resource
from sweep.run import app

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
app()
"""
"""The command on a disk that takes no file above 4 KiB, which a part always is."""

LOUD = """
import contextlib
from sweep.store import claims, store

claims.writing_errors = store.writing_errors = lambda folder: contextlib.nullcontext()
"""
"""With this fault an error of the system is nobody's."""


def full_disk(one: Path, store: Path, workers: int = 1, fault: str = "") -> str:
    """What is wrong with a run that meets a full disk once half of it is committed, "" where all is well."""
    grid, before = store.parent / "one.yaml", files(store)
    # what workers compile is cut short too, and would stay so for all other tests
    cache = str(store.parent / "cut short") if workers > 1 else CACHE
    options = ("--out", store, "--workers", workers, "--quiet")
    answer = python("-c", fault + LIMITED, grid, *options, JAX_COMPILATION_CACHE_DIR=cache)
    if answer.code != 1 or "Traceback" in answer.err:
        return f"exit code {answer.code} and {answer.err}"
    if not re.search(
        f"{store.name} cannot be written: File too large. Free some space .* stays.", answer.err
    ):
        return f"no sentence, but {answer.err}"
    if files(store) != before:
        return f"files are {sorted(files(store))}"
    again = command(grid, "--out", store, "--workers", "1")
    if again.code or "4 trials trained, 8 rows" not in again.err:
        return f"no good end: {again.err}"
    return stores_differ(store, one)


@pytest.fixture(scope="module")
def halved(home: Path) -> Path:
    """A store in which half of ONE is trained, whose programs other processes find compiled. Read only."""
    options = ("--out", home / "halved", "--shard", "0/2", "--workers", "1", "--lanes", "1")
    answer = command(home / "one.yaml", *options)
    assert answer.code == 0, answer.err
    return home / "halved"


@pytest.fixture
def half(halved: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of it."""
    return shutil.copytree(halved, halved.parent / re.sub(r"\W", "-", request.node.name))


@pytest.mark.promise(7)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_on_a_full_disk_nothing_is_lost(one: Path, half: Path, workers: int) -> None:
    assert full_disk(one, half, workers) == ""


@pytest.mark.promise(7, mutant=True)
def test_an_error_that_is_nobodys_would_be_seen(one: Path, half: Path) -> None:
    found = full_disk(one, half, fault=LOUD)
    assert "Traceback" in found and "OSError" in found


# What workers are told.

SLOWER_START = """
import pathlib, sys
from sweep.run import app
from sweep.store import Store
from sweep.workers.launcher import LocalWorkers

run, grid = LocalWorkers.run, pathlib.Path(sys.argv[1])

def edited(workers, *given):
    grid.write_text(grid.read_text().replace("[0, 4]", "[0, 1]"))
    run(workers, *given)

LocalWorkers.run = edited
{fault}
app()
"""
"""The command, whose grid is edited between its plan and the start of its workers."""


@pytest.mark.promise(14)
@pytest.mark.promise(22)
def test_workers_train_what_was_planned(one: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path, ONE)
    options = ("--out", tmp_path / "store", "--workers", "2", "--lanes", "1")
    answer = python("-c", SLOWER_START.format(fault=""), grid, *options)
    assert answer.code == 0, answer.err
    assert "[0, 1]" in grid.read_text()
    assert stores_differ(tmp_path / "store", one) == ""


@pytest.mark.promise(22, mutant=True)
def test_workers_that_read_the_file_of_the_user_would_be_seen(tmp_path: Path) -> None:
    """They know the digest of what was planned."""
    grid = write_grid(tmp_path, ONE)
    fault = "Store.grid_copy = property(lambda store: grid, lambda store, path: None)"
    options = ("--out", tmp_path / "store", "--workers", "2", "--lanes", "1")
    answer = python("-c", SLOWER_START.format(fault=fault), grid, *options)
    assert answer.code == 1 and answer.out == ""
    assert "grid.yaml is not the grid that this sweep has planned. Delete it" in answer.err


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    "how",
    [
        "{} <(cat grid.yaml) --out store --workers 2 2>/dev/full >/dev/full",
        "{} grid.yaml --out store --workers 1 2>&- >&-",
        "({} grid.yaml --out store --workers 1; echo $? >code) 2>&1 | true; exit $(cat code)",
    ],
    ids=["full", "closed", "nobody listens"],
)
def test_a_sweep_ends_well_in_a_shell(tmp_path: Path, how: str) -> None:
    """The grid may be a pipe, and nobody has to be able to read what is said."""
    write_grid(tmp_path, ONE.replace("[0, 4]", "[0, 1]"))
    line = how.format(f"{sys.executable} -m sweep.run")
    process = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment(), timeout=100, check=False
    )
    assert process.returncode == 0
    assert len(table(tmp_path / "store")) == 2


# The plan and the schema.


def test_a_dry_run_plans_for_a_device_that_is_not_here(home: Path) -> None:
    """On a login node: the environment asks for GPUs, and there is none. Any touch of a device would raise."""
    answer = python(
        "-m",
        "sweep.run",
        home / "tiny.yaml",
        "--dry-run",
        "--quiet",
        cwd=home,
        JAX_PLATFORMS="cuda",
    )
    assert (answer.code, answer.err) == (0, "")
    assert "12 trials, 12 left to do, 0 done" in answer.out and "on cuda" in answer.out
    assert not (home / "results").exists()


def test_the_schema_knows_every_key_and_the_kinds_of_a_plugin() -> None:
    answer = python("-m", "sweep", "schema", "--plugin", "own")
    assert answer.code == 0, answer.err
    described = json.loads(answer.out)
    keys = {
        "name",
        "description",
        "seed",
        "init_seed",
        "data",
        "model",
        "objective",
        "optimizer",
        "train",
        "where",
        "zip",
    }
    points = {"test_points", "validation_points"}
    assert set(described["properties"]) == keys | points | {"coordinates", "record"}
    assert {"name", "data", "model", "optimizer"} == set(described["required"])
    assert all(
        f'"{kind}"' in answer.out for kind in ("blobs", "tanh_layers", "feature_noise", "adam")
    )


def test_a_schema_with_a_missing_plugin_is_a_sentence() -> None:
    answer = python("-m", "sweep", "schema", "--plugin", "no_such_module")
    assert answer.code == 1 and answer.out == ""
    assert "no_such_module" in answer.err and "Traceback" not in answer.err


# The comparison that these tests and those of `test_resume.py` trust.


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (1.0, np.nextafter(1.0, 2)),
        (0.0, -0.0),
        (0.0, None),
        (np.nan, None),
        (np.nan, 0.0),
        (np.inf, -np.inf),
    ],
)
def test_the_comparison_sees_every_bit(value: float, other: float | None) -> None:
    def made(*last: float | None) -> pa.Table:
        return pa.table(
            {"trial": [1, 2], "x": pa.array([5.0, *last], pa.float64(), from_pandas=False)}
        )

    assert difference(made(value), made(value)) == difference(made(other), made(other)) == ""
    assert "x of trial 2" in difference(made(value), made(other))
    assert "rows" in difference(made(value), made(value).slice(1))
