"""The command from end to end: one row a trial, the same table after any interruption, refusals that write nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import analysis
from sweep import grid, schema
from sweep.planning.manifest import all_columns
from sweep.run import sweep
from tests.shell import command, files, jax_as_it_was, python, stores_differ, write_grid

TEXT = """
name: small
description: A small grid.
seed: {range: [0, 3]}
data: {kind: feature_noise, n: 10, d: 24, sparsity: 4, snr: [0.5, 2], feature_noise: 0.2}
model: {kind: cnn, width: 3, init_scale: 0.2}
objective: {kind: logistic, l2: 1e-3}
optimizer:
  - {kind: gd, lr: 0.1}
  - {kind: adam, lr: [0.01, 0.03]}
train: {steps: 60}
test_points: 40
record: {points: 5}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space, an umlaut and the small grid."""
    folder = tmp_path_factory.mktemp("töp") / "a b"
    write_grid(folder, TEXT)
    return folder


@pytest.fixture(scope="module")
def small(home: Path) -> Path:
    """The store of the small grid."""
    with jax_as_it_was():
        return sweep(home / "grid.yaml", home / "small", quiet=True)


def test_a_row_for_each_trial_with_the_columns_of_the_schema(small: Path) -> None:
    runs = pd.read_parquet(small / "runs")
    found = grid.parse_grid(TEXT)
    assert len(runs) == runs["trial"].nunique() == found.size == 18
    assert list(runs.columns) == schema.runs(all_columns(found)).names
    assert set(runs["status"]) == {"out_of_steps"} and (runs["steps"] == 60).all()
    pd.testing.assert_series_equal(
        runs["generalization_gap"], runs["test_error"] - runs["train_error"], check_names=False
    )


def test_the_paired_gap_is_one_line_of_pandas(small: Path) -> None:
    runs = pd.read_parquet(small / "runs").query("lr != 0.03")
    gap = runs.pivot(index="problem", columns="optimizer", values="test_error").eval("adam - gd")
    assert len(gap) == 6 and gap.notna().all()


def test_curves_belong_to_runs_and_end_in_them(small: Path) -> None:
    runs, curves = (pd.read_parquet(small / name).set_index("trial") for name in ("runs", "curves"))
    assert set(curves.index) == set(runs.index)
    last = curves.sort_values("step").groupby("trial").last()
    pd.testing.assert_series_equal(last["train_loss"], runs["train_loss"].sort_index())
    first = curves[curves["step"] == 0].join(runs[["problem"]])
    assert (first.groupby("problem")[["train_loss", "test_loss", "noise_mean"]].nunique() == 1).all(
        axis=None
    )


def test_the_same_command_again_trains_nothing(small: Path, home: Path) -> None:
    before = files(small)
    answer = command(home / "grid.yaml", "--out", small)
    assert answer.code == 0 and "0 trials trained" in answer.err
    assert files(small) == before


@pytest.mark.promise(4)
def test_an_extended_grid_keeps_every_old_row(small: Path, home: Path) -> None:
    text = TEXT.replace("[0, 3]", "[0, 4]").replace("[0.5, 2]", "[0.5, 1, 2]")
    with jax_as_it_was():
        store = sweep(write_grid(home, TEXT, "first.yaml"), home / "extended", quiet=True)
        sweep(write_grid(home, text, "second.yaml"), store, quiet=True)
        whole = sweep(home / "second.yaml", home / "at once", quiet=True)
    assert len(pd.read_parquet(store / "runs")) == grid.parse_grid(text).size == 36
    assert stores_differ(store, whole) == ""
    loaded = analysis.load(store)
    assert loaded.attrs["complete"] and loaded.attrs["trials"] == 36


@pytest.mark.thorough
def test_shares_make_the_whole(small: Path, home: Path) -> None:
    for share in ("1/2", "0/2"):
        assert (
            command(
                home / "grid.yaml", "--out", home / "shared", "--shard", share, "--workers", "1"
            ).code
            == 0
        )
    assert stores_differ(home / "shared", small) == ""


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (TEXT.replace("test_points: 40", "test_points: 41"), (), ("test_points 40 -> 41",)),
        (TEXT.replace("name: small", "name: other"), (), ('name "small" -> "other"',)),
        (TEXT, ("--dtype", "float64"), ('dtype "float32" -> "float64"',)),
        (TEXT, ("--lanes", "4"), ("with --lanes 16",)),
    ],
)
def test_another_sweep_is_refused(
    small: Path, home: Path, text: str, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = files(small)
    answer = command(write_grid(home, text, "another.yaml"), "--out", small, *options)
    assert answer.code == 3
    assert all(word in answer.err for word in (*words, "another --out"))
    assert files(small) == before


@pytest.mark.promise(8)
def test_a_bad_grid_writes_nothing(home: Path) -> None:
    bad = (
        TEXT.replace("sparsity: 4", "sparsity: 40")
        .replace("lr: 0.1", "lr: -1")
        .replace("width", "widht")
    )
    answer = command(write_grid(home, bad, "bad.yaml"), "--out", home / "nothing")
    assert answer.code == 2 and not (home / "nothing").exists()
    for line, word in ((6, "Did you mean width?"), (9, "lr")):
        assert f"bad.yaml:{line}:" in answer.err and word in answer.err


def test_a_dry_run_says_the_plan_and_touches_nothing(home: Path) -> None:
    code = (
        "import sys\nfrom sweep.run import app\nsys.argv[1:] = [sys.argv[1], '--dry-run', '--out', sys.argv[2]]\n"
        "app(standalone_mode=False)\nfrom jax._src import xla_bridge\nassert not xla_bridge._backends"
    )
    answer = python("-W", "error", "-c", code, home / "grid.yaml", home / "dry")
    assert answer.code == 0 and not (home / "dry").exists()
    assert all(
        word in answer.out
        for word in ("18 trials", "18 left", "2 buckets", "lanes", "iB of memory", "seconds")
    )


def test_a_network_and_a_data_model_of_ones_own(home: Path) -> None:
    own = """
name: own
seed: [0, 1]
data: {kind: blobs, n: 30, separation: 6}
model: {kind: tanh_layers, hidden: [4]}
optimizer: {kind: adam, lr: 0.05}
train: {steps: 200, batch_size: 7}
test_points: 50
"""
    answer = command(write_grid(home, own, "own.yaml"), "--plugin", "own", "--out", home / "own")
    assert answer.code == 0, answer.err
    runs = pd.read_parquet(home / "own" / "runs")
    assert (runs["test_error"] < 0.1).all() and runs["feature"].isna().all()
    missing = command(home / "own.yaml", "--plugin", "no_such_module", "--out", home / "none")
    assert missing.code == 1 and "no_such_module" in missing.err and "Traceback" not in missing.err


@pytest.mark.promise(10)
def test_a_diverged_trial_is_a_row(home: Path) -> None:
    text = TEXT.replace("{kind: gd, lr: 0.1}", "{kind: gd, lr: [0.1, 1e30]}")
    with jax_as_it_was():
        store = sweep(write_grid(home, text, "diverging.yaml"), home / "diverged", quiet=True)
    runs = pd.read_parquet(store / "runs")
    assert (runs.query("lr > 1")["status"] == "nonfinite").all() and len(runs) == 24


def test_the_schema_is_json() -> None:
    answer = python("-m", "sweep", "schema")
    assert answer.code == 0 and "properties" in json.loads(answer.out)


def test_a_missing_device_is_a_sentence(home: Path) -> None:
    answer = command(home / "grid.yaml", "--out", home / "no device", JAX_PLATFORMS="cuda")
    assert answer.code == 1 and "JAX_PLATFORMS" in answer.err and "Traceback" not in answer.err
