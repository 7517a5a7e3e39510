"""A data model and an observable are a class each, a row of a registry and a row of a table; all else follows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import analysis
from tests import ROOT
from tests.shell import PLUGINS, Answer, command, python, write_grid

pytestmark = pytest.mark.thorough

GRID = """
name: ring
seed: {range: [0, 3]}
data: {kind: ring, n: 8, d: 6, radius: [0.5, 2, 4]}
model: {kind: linear}
optimizer: [{kind: gd, lr: 0.2}, {kind: adam, lr: 0.05}]
train: {steps: 10}
test_points: 20
record: {points: 3}
"""
PLUGIN = ("--plugin", "ring")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep over the radius of the plugin's data model, with its observable."""
    home = tmp_path_factory.mktemp("ring")
    path = write_grid(home, GRID)
    answer = command(
        path, "--out", home / "store", "--workers", 1, *PLUGIN, PYTHONPATH=f"{ROOT}:{PLUGINS}"
    )
    assert answer.code == 0, answer.err
    return home / "store"


def sweep(*words: object) -> Answer:
    """The command, with the folder of plugins on the path."""
    answer = python("-m", "sweep", *words, PYTHONPATH=f"{ROOT}:{PLUGINS}")
    assert answer.code == 0, answer.err
    return answer


def test_the_grid_takes_it_and_the_tables_have_its_columns(store: Path) -> None:
    runs, curves = pd.read_parquet(store / "runs"), pd.read_parquet(store / "curves")
    assert sorted(runs["radius"].unique()) == [0.5, 2, 4]
    assert (runs["margin_spread"] > 0).all() and (curves["margin_spread"] >= 0).all()
    last = curves[curves["step"] == 10].set_index("trial")["margin_spread"]
    assert last.loc[runs["trial"]].tolist() == runs["margin_spread"].tolist()


def test_the_manifest_says_what_they_mean(store: Path) -> None:
    info = json.loads((store / "manifest.json").read_text())["info"]
    assert info["meanings"]["radius"] == {
        "meaning": "radius of the ring", "label": "ring radius", "symbol": "ρ", "part": "data"
    }  # fmt: skip
    assert info["meanings"]["margin_spread"]["part"] == "observable"
    assert info["definitions"]["data ring"].startswith("Points on a ring")


def test_the_analysis_knows_them_from_there(store: Path) -> None:
    """The observable is no axis, the field is one, and a figure has their labels."""
    runs = analysis.load(store)
    assert analysis.swept(runs) == ["radius"]
    cells = analysis.Cells("radius", None, "margin_spread", facet="optimizer")(runs)
    assert (cells["mean"] > 0).all()


def test_the_report_describes_them(store: Path) -> None:
    page = analysis.report(store).read_text(encoding="utf-8")
    for text in ("Points on a ring", "ring radius ρ", "n = 8"):
        assert text in page


def test_the_schema_and_the_field_reference_have_them() -> None:
    kinds = json.loads(sweep("schema", *PLUGIN).out)
    assert "radius of the ring" in json.dumps(kinds, ensure_ascii=False)
    reference = sweep("kinds", "ring", *PLUGIN).out
    assert "radius of the ring" in reference and "Points on a ring" in reference


def test_a_store_gains_the_column_of_an_observable(tmp_path: Path) -> None:
    """A sweep that goes on with a plugin's observable gets its columns; older rows have none."""
    grid = GRID.replace("kind: ring", "kind: separable").replace(", radius: [0.5, 2, 4]", "")
    first, more = (
        write_grid(tmp_path, grid),
        write_grid(tmp_path, grid.replace("3]", "4]"), "more.yaml"),
    )
    folder, path = tmp_path / "store", f"{ROOT}:{PLUGINS}"
    assert command(first, "--out", folder, "--workers", 1).code == 0
    answer = command(more, "--out", folder, "--workers", 1, *PLUGIN, PYTHONPATH=path)
    assert answer.code == 0, answer.err
    for name in ("runs", "curves"):
        table = pq.read_table(folder / name).to_pandas()
        known = table["margin_spread"].notna()
        assert 0 < known.sum() < len(table)
    assert sweep("verify", folder).code == 0
    assert command(more, "--out", folder, "--workers", 1).code == 0
