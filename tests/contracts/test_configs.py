"""Every config says what its paper says, and the commands of the README are real."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer.main
import yaml

import analysis
from analysis.cli import COMMANDS
from sweep import grid
from sweep.cli import load_command
from sweep.run import app as run_app
from sweep.run import sweep
from tests import ROOT
from tests.shell import jax_as_it_was, write_grid

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
CORE = {
    "data": "feature_noise",
    "n": 200,
    "d": 1000,
    "sparsity": 100,
    "noise": 0.1,
    "feature_noise": 0.2,
}
CNN = {"model": "cnn", "width": 20, "power": 3, "init_scale": 0.01}
BENIGN = {
    "data": "signal_noise",
    "n": 20,
    "noise": 1.0,
    "flip": 0.1,
    "flip_test": True,
    "width": 10,
    "power": 1,
}
SPURIOUS = {
    "data": "spurious",
    "n": 10_000,
    "d": 50,
    "agreement": 0.98,
    "noise": 0.125,
    "width": 20,
    "power": 3,
    "odd": True,
    "bias": True,
    "init": "uniform",
    "gain": 0.1,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "adam_vs_gd": {
        **CORE,
        **CNN,
        "l2": 1e-5,
        "max_steps": 10_000,
        "lr": {5e-5, 0.02},
        "optimizer": {"adam", "gd"},
    },
    "adam_batch_size": {
        **CORE,
        **CNN,
        "lr": 5e-5,
        "epochs": 10_000,
        "batch_size": {100, 2},
        "weight_decay": 0.01,
    },
    "adam_weight_decay": {**CORE, **CNN, "lr": 5e-5, "epochs": 10_000, "batch_size": {100, 2}},
    "convex_control": {**CORE, "model": "linear", "l2": 0.05},
    "benign_relu": {**BENIGN, "patches": "sum", "lr": 0.1, "max_steps": 100},
    "benign_power": {"data": "signal_noise", "power": {2, 3, 4}, "flip": 0.0, "orthogonal": True},
    "separable_margin": {
        "data": "separable",
        "n": 50,
        "d": 50,
        "model": "linear",
        "lr": 0.1,
        "shift": 2.0,
        "exponent": 0.5,
    },
    "snr_phase": {"data": "feature_noise", **CNN, "optimizer": {"adam", "gd"}},
    "snr_phase_reduced": {
        "data": "feature_noise",
        **CNN,
        "feature_noise": 0.2,
        "optimizer": {"adam", "gd"},
    },
    "quickstart": {"data": "feature_noise", "power": 3, "optimizer": {"adam", "gd"}},
    "spurious_features": {
        **SPURIOUS,
        "core": {0.2, 1.0},
        "spurious": {0.2, 1.0},
        "max_steps": 401,
        "optimizer": {"gd", "momentum"},
    },
    "progressive_expansion": {
        **SPURIOUS,
        "core": 0.2,
        "spurious": 1.0,
        "optimizer": "momentum",
        "momentum": 0.9,
        "lr": 0.03,
        "curriculum_warmup": 801,
        "curriculum_every": {100, 101},
        "curriculum_add": {0, 64, 10_000},
    },
    "autoencoder_sparsity": {
        "data": "orthonormal",
        "model": "autoencoder",
        "neurons": 1,
        "activation": {"linear", "relu"},
        "batch_size": {1, 2, 5, 9, 10},
    },
    "adam_sampling": {
        **CORE,
        **CNN,
        "lr": 5e-5,
        "epochs": 10_000,
        "batch_size": 100,
        "sampling": {"permutation", "fixed", "stratified", "replacement"},
    },
    "label_noise": {
        "n": 200,
        "d": 2000,
        "signal": 2.0,
        "noise": 0.5,
        "power": 2,
        "readout": "mean",
        "label_noise": 0.1,
        "lr": 0.5,
        "max_steps": 2000,
    },
    "label_noise_map": {"d": 2000, "noise": 0.5, "power": 2, "lr": 1.0, "max_steps": 1000},
    "random_pruning": {"model": "pruned", "orthogonal": True, "power": 3, "width": {5, 20}},
}
"""Settings of the papers: a value that all trials have, or the set of values that occur."""


BY_OPTIMIZER: dict[tuple[str, str], dict[str, Any]] = {
    ("adam_vs_gd", "gd"): {"lr": 0.02, "max_steps": 10_000, "batch_size": 200},
    ("adam_vs_gd", "adam"): {
        "lr": 5e-5,
        "max_steps": 10_000,
        "batch_size": 200,
        "b1": 0.9,
        "b2": 0.999,
    },
    ("adam_batch_size", "adam"): {
        "l2": 1e-5,
        "batch_size": {100, 2},
        "max_steps": {20_000, 1_000_000},
    },
    ("adam_batch_size", "adamw"): {"l2": 0.0, "weight_decay": 0.01, "batch_size": {100, 2}},
    ("benign_relu", "gd"): {"lr": 0.1, "max_steps": 100, "batch_size": 20},
    ("spurious_features", "gd"): {"lr": 0.1},
    ("spurious_features", "momentum"): {"lr": 0.03, "momentum": 0.8},
    ("separable_margin", "gd"): {"lr": 0.1, "schedule": "power", "exponent": 0.5, "shift": 2.0},
    ("separable_margin", "momentum"): {
        "lr": 0.1,
        "schedule": "power",
        "exponent": 0.5,
        "shift": 2.0,
    },
    ("separable_margin", "adam"): {
        "schedule": "power",
        "exponent": 0.5,
        "shift": 2.0,
        "eps": {0.0, 1e-8, 1e-4},
    },
}
"""What the runs of one optimizer have; the papers count 10,000 epochs, of 2 and of 100 batches."""
TEST_POINTS = {"adam_vs_gd": 10_000, "benign_relu": 1000, "spurious_features": 10_000}
DECOUPLED = {"adamw", "lion", "optax.adamw", "optax.lion"}


def table(found: grid.Grid) -> pd.DataFrame:
    """All points of a grid, written out."""
    return pd.concat(
        [pd.DataFrame(block.columns(rows)) for block in found.blocks for rows in block.rows()]
    )


def test_every_config_is_in_the_table() -> None:
    assert {path.stem for path in CONFIGS} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_config_has_the_setting_of_its_paper(name: str) -> None:
    path = ROOT / "configs" / f"{name}.yaml"
    points = table(grid.load_grid(path))
    for column, value in PUBLISHED[name].items():
        assert set(points[column].dropna()) == (value if isinstance(value, set) else {value}), (
            column
        )
    text = path.read_text()
    assert (
        "arXiv" in text
        and re.search(r"on two cores", text)
        and grid.load_grid(path).description.endswith("?")
    )


@pytest.mark.parametrize(("name", "optimizer"), BY_OPTIMIZER)
def test_each_optimizer_has_its_own_setting(name: str, optimizer: str) -> None:
    points = table(grid.load_grid(ROOT / "configs" / f"{name}.yaml")).query(
        "optimizer == @optimizer"
    )
    for column, value in BY_OPTIMIZER[name, optimizer].items():
        assert set(points[column]) == (value if isinstance(value, set) else {value}), column


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_header_counts_the_trainings_and_every_problem_has_the_same_ones(path: Path) -> None:
    found = grid.load_grid(path)
    head = path.read_text().split("name:", 1)[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert re.search(r"arXiv\s+(# )?\d{4}\.\d{5}", head.replace("\n#", ""))
    assert re.search(r"about .*(second|minute|hour)s?,? on two cores", head, re.I)
    (count,) = re.findall(r"([\d,]+) trainings\b(?! of one)", head)
    points = table(found)
    assert int(count.replace(",", "")) == found.size == len(points)
    if path.stem in TEST_POINTS:
        assert found.settings.test_points == TEST_POINTS[path.stem]
    assert points["seed"].nunique() > 1


@pytest.mark.parametrize(
    "name", ["adam_vs_gd", "convex_control", "quickstart", "snr_phase", "snr_phase_reduced"]
)
def test_optimizers_are_paired_on_every_problem(name: str) -> None:
    blocks = grid.load_grid(ROOT / "configs" / f"{name}.yaml").blocks
    sides: dict[str, list[int]] = {}
    for block in blocks:
        for rows in block.rows():
            sides.setdefault(block.kinds["optimizer"], []).extend(block.ids(rows)[1].tolist())
    assert {"adam", "gd"} <= sides.keys() and not DECOUPLED & sides.keys()
    assert len({tuple(sorted(problems)) for problems in sides.values()}) == 1
    assert len(set(sides["gd"])) == len(sides["gd"])


def test_the_reduced_plane_is_a_part_of_the_whole() -> None:
    """So that the whole goes on from its store."""
    whole, reduced = (
        {
            int(each)
            for block in grid.load_grid(ROOT / "configs" / f"{name}.yaml").blocks
            for rows in block.rows()
            for each in block.ids(rows)[0]
        }
        for name in ("snr_phase", "snr_phase_reduced")
    )
    assert len(reduced) == 576 and reduced < whole


def test_the_phase_diagrams_are_planes() -> None:
    """The gap over snr, crossed with n, with feature_noise and with sparsity: no hole, and both sides of 1."""
    phase = table(grid.load_grid(ROOT / "configs" / "snr_phase.yaml")).query(
        "optimizer == 'adam' and seed == 0"
    )
    assert grid.load_grid(ROOT / "configs" / "snr_phase.yaml").settings.record_points >= 16
    common = {"n": 100, "feature_noise": 0.2, "sparsity": 100}
    for axis in common:
        others = " and ".join(
            f"{name} == {value}" for name, value in common.items() if name != axis
        )
        plane = phase.query(others).pivot(index="snr", columns=axis, values="d")
        assert plane.notna().all(axis=None) and plane.shape[0] >= 8 and plane.shape[1] >= 4
        assert plane.index.min() < 1 < plane.index.max()
    power = table(grid.load_grid(ROOT / "configs" / "benign_power.yaml")).query("seed == 0")
    for _, panel in power.groupby("power"):
        assert panel.pivot(index="n", columns="signal", values="d").notna().all(axis=None)


def test_the_sizes_of_the_published_figures() -> None:
    relu = table(grid.load_grid(ROOT / "configs" / "benign_relu.yaml"))
    assert len(relu) == 100_000 and relu["seed"].nunique() == 10
    np.testing.assert_allclose(np.unique(relu["signal"]), np.arange(100) / 10)
    np.testing.assert_array_equal(np.unique(relu["d"]), np.arange(100, 1100, 10))
    assert grid.load_grid(ROOT / "configs" / "benign_relu.yaml").settings.test_points == 1000
    decay = table(grid.load_grid(ROOT / "configs" / "adam_weight_decay.yaml"))
    assert {1e-7, 0.05, 0.1} <= set(decay.query("optimizer == 'adam'")["l2"])
    assert (
        0.5 in set(decay["weight_decay"]) and (decay.query("optimizer == 'adamw'")["l2"] == 0).all()
    )
    margins = table(grid.load_grid(ROOT / "configs" / "separable_margin.yaml"))
    assert set(margins["eps"].dropna()) == {0.0, 1e-8, 1e-4} and set(margins["init_scale"]) == {0.0}


def test_every_config_has_a_plan_without_a_device() -> None:
    code = (
        "from pathlib import Path\nfrom sweep.commands import train\n"
        "for path in sorted(Path('configs').glob('*.yaml')):\n"
        "    assert 'trials' in train.preview(train.Request(path, Path('nowhere') / path.stem))\n"
        "from jax._src import xla_bridge\nassert not xla_bridge._backends"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


def shortened(name: str, folder: Path, **changes: Any) -> Path:
    """A config with two seeds, few steps and few points, and other entries where `changes` says so."""
    content = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
    content |= {"seed": [0, 1], "test_points": 50, "record": {"points": 3}}
    content["train"] = {**content["train"], "steps": 50}
    for part, values in changes.items():
        content[part] = {**content[part], **values}
    return write_grid(folder, yaml.safe_dump(content), f"{name}.yaml")


def pairs(runs: pd.DataFrame) -> None:
    """2 seeds x 2 ratios x 2 amounts of feature noise, each for both optimizers."""
    assert (
        runs.pivot(index="problem", columns="optimizer", values="test_error").notna().all(axis=None)
    )
    assert runs["problem"].nunique() == 8


def norms_bound_margins(runs: pd.DataFrame) -> None:
    """||w||_inf <= ||w||_2 <= sqrt(d) ||w||_inf, and a training set is fit where its margin is positive."""
    fit = runs[runs["margin_l2"] > 0]
    assert len(fit) > 0 and ((runs["train_error"] == 0) == (runs["margin_l2"] > 0)).all()
    assert fit["margin_linf"].between(fit["margin_l2"], np.sqrt(50) * fit["margin_l2"]).all()


def convexity_bounds_distances(runs: pd.DataFrame) -> None:
    """Where a 0.05-strongly convex loss has the gradient g, the minimum is at most |g| / 0.05 away."""
    apart = runs.merge(runs, on="problem").query("optimizer_x < optimizer_y")
    assert len(apart) == 2 * 6
    bound = (apart["grad_norm_x"] + apart["grad_norm_y"]) / 0.05
    assert ((apart["weight_norm_x"] - apart["weight_norm_y"]).abs() <= bound).all()


TRUTHS = {
    "quickstart": pairs,
    "separable_margin": norms_bound_margins,
    "convex_control": convexity_bounds_distances,
}


@pytest.mark.parametrize(
    ("name", "changes", "dtype"),
    [
        ("quickstart", {"data": {"snr": [0.5, 8.0], "feature_noise": [0.1, 0.4]}}, "float32"),
        ("separable_margin", {}, "float64"),
        pytest.param("convex_control", {"data": {"d": 120}}, "float32", marks=pytest.mark.slow),
    ],
)
def test_a_small_config_runs_to_its_report(
    name: str, changes: dict[str, Any], dtype: Any, tmp_path: Path
) -> None:
    path = shortened(name, tmp_path, **changes)
    with jax_as_it_was():
        store = sweep(path, tmp_path / "store", dtype=dtype, quiet=True)
    runs = analysis.load(store)
    assert runs.attrs["complete"] and len(runs) == grid.load_grid(path).size
    TRUTHS[name](runs)
    assert analysis.report(store) == store / "report" / "index.html"
    assert (store / "report" / "index.html").stat().st_size > 10_000


def test_the_readme_or_the_page_of_systems_lists_every_config() -> None:
    lists = ((ROOT / name).read_text() for name in ("README.md", "docs/systems/index.md"))
    listed = {name for text in lists for name in re.findall(r"^\| `(\w+)` \|", text, re.M)}
    assert {path.stem for path in CONFIGS} <= listed


README_COMMANDS = re.findall(
    r"^(?:pip install .*&& )?(python -m (?:sweep\.run|analysis) .*?)(?:\s+#.*)?$",
    (ROOT / "README.md").read_text(),
    re.M,
)


@pytest.mark.parametrize("line", [part for line in README_COMMANDS for part in line.split(" && ")])
def test_commands_of_the_readme_are_real(line: str) -> None:
    """Each names a command, options that it has, and a config that is there or the folder of one."""
    module, *words = line.split()[2:]
    if module == "analysis":
        name = words.pop(0)
        found: Any = load_command(name, COMMANDS[name])
    else:
        found = typer.main.get_command(run_app)
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    name = Path(words[0]).stem
    assert (ROOT / "configs" / f"{name}.yaml").exists()
