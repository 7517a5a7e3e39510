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
from analysis.__main__ import app as analysis_app
from sweep import grid
from sweep.run import app as run_app
from sweep.run import sweep
from tests.commands import ROOT, jax_as_it_was, write_grid

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
CORE = {"data": "feature_noise", "n": 200, "d": 1000, "sparsity": 100, "noise": 0.1, "feature_noise": 0.2}
CNN = {"model": "cnn", "width": 20, "power": 3, "init_scale": 0.01}
BENIGN = {"data": "signal_noise", "n": 20, "noise": 1.0, "flip": 0.1, "flip_test": True, "width": 10, "power": 1}
PUBLISHED: dict[str, dict[str, Any]] = {
    "adam_vs_gd": {**CORE, **CNN, "l2": 1e-5, "max_steps": 10_000, "lr": {5e-5, 0.02}, "optimizer": {"adam", "gd"}},
    "adam_batch_size": {**CORE, **CNN, "lr": 5e-5, "epochs": 10_000, "batch_size": {100, 2}, "weight_decay": 0.01},
    "adam_weight_decay": {**CORE, **CNN, "lr": 5e-5, "epochs": 10_000, "batch_size": {100, 2}},
    "convex_control": {**CORE, "model": "linear", "l2": 0.05},
    "benign_relu": {**BENIGN, "lr": 0.1, "max_steps": 100},
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
    "quickstart": {"data": "feature_noise", "power": 3, "optimizer": {"adam", "gd"}},
}
"""Settings of the papers: a value that all trials have, or the set of values that occur."""


def table(found: grid.Grid) -> pd.DataFrame:
    """All points of a grid, written out."""
    return pd.concat([pd.DataFrame(block.columns(rows)) for block in found.blocks for rows in block.rows()])


def test_every_config_is_in_the_table() -> None:
    assert {path.stem for path in CONFIGS} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_config_has_the_setting_of_its_paper(name: str) -> None:
    path = ROOT / "configs" / f"{name}.yaml"
    points = table(grid.load(path))
    for column, value in PUBLISHED[name].items():
        assert set(points[column].dropna()) == (value if isinstance(value, set) else {value}), column
    text = path.read_text()
    assert "arXiv" in text and re.search(r"on two cores", text) and grid.load(path).description.endswith("?")


def test_the_sizes_of_the_published_figures() -> None:
    relu = table(grid.load(ROOT / "configs" / "benign_relu.yaml"))
    assert len(relu) == 100_000 and relu["seed"].nunique() == 10
    np.testing.assert_allclose(np.unique(relu["signal"]), np.arange(100) / 10)
    np.testing.assert_array_equal(np.unique(relu["d"]), np.arange(100, 1100, 10))
    assert grid.load(ROOT / "configs" / "benign_relu.yaml").settings.test_points == 1000
    decay = table(grid.load(ROOT / "configs" / "adam_weight_decay.yaml"))
    assert {1e-7, 0.05, 0.1} <= set(decay.query("optimizer == 'adam'")["l2"])
    assert 0.5 in set(decay["weight_decay"]) and (decay.query("optimizer == 'adamw'")["l2"] == 0).all()
    margins = table(grid.load(ROOT / "configs" / "separable_margin.yaml"))
    assert set(margins["eps"].dropna()) == {0.0, 1e-8, 1e-4} and set(margins["init_scale"]) == {0.0}


def test_every_config_has_a_plan_without_a_device() -> None:
    code = (
        "from pathlib import Path\nfrom sweep import session\n"
        "for path in sorted(Path('configs').glob('*.yaml')):\n"
        "    assert 'trials' in session.preview(session.Request(path, Path('nowhere') / path.stem))\n"
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


@pytest.mark.parametrize(
    ("name", "changes", "dtype"),
    [
        ("quickstart", {"data": {"snr": [0.5, 8.0], "feature_noise": [0.1, 0.4]}}, "float32"),
        ("separable_margin", {}, "float64"),
        ("convex_control", {"data": {"d": 120}}, "float32"),
    ],
)
def test_a_small_config_runs_to_its_report(name: str, changes: dict[str, Any], dtype: Any, tmp_path: Path) -> None:
    path = shortened(name, tmp_path, **changes)
    with jax_as_it_was():
        store = sweep(path, tmp_path / "store", dtype=dtype, quiet=True)
    runs = analysis.load(store)
    assert runs.attrs["complete"] and len(runs) == grid.load(path).size
    assert analysis.report(store) == store / "report" / "index.html"
    assert (store / "report" / "index.html").stat().st_size > 10_000


COMMANDS = re.findall(
    r"^(?:pip install .*&& )?(python -m (?:sweep\.run|analysis) .*?)(?:\s+#.*)?$",
    (ROOT / "README.md").read_text(),
    re.M,
)


@pytest.mark.parametrize("line", [part for line in COMMANDS for part in line.split(" && ")])
def test_commands_of_the_readme_are_real(line: str) -> None:
    """Each names a command, options that it has, and a config that is there or the folder of one."""
    module, *words = line.split()[2:]
    found: Any = typer.main.get_command(run_app if module == "sweep.run" else analysis_app)
    if module == "analysis":
        found = found.commands[words.pop(0)]
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    name = Path(words[0]).stem
    assert (ROOT / "configs" / f"{name}.yaml").exists()
