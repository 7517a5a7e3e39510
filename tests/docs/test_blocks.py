"""The Python of the README runs as it stands there, and its recipes agree with each other."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

import analysis
from tests import ROOT

README = ROOT / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def said(make: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All names that the blocks make, run one after another beside a planted `results/quickstart`."""
    folder = tmp_path_factory.mktemp("readme")
    rows = make.plane(make.planted)
    make.write_store(folder / "results" / "quickstart", rows, make.bend(rows), trials=len(rows))
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), names)
        names["loaded"] = analysis.load("results/quickstart")
    return names


def test_pandas_duckdb_polars_and_xarray_find_the_same_gap(said: dict[str, Any]):
    cells = analysis.Cells("snr", "feature_noise", "difference")(analysis.PairedGap("adam", "gd")(said["loaded"]))
    expected = cells.set_index(["snr", "feature_noise"])["mean"]
    by_pandas = said["gap"].groupby(["snr", "feature_noise"]).mean()
    by_duckdb = said["by_duckdb"].set_index(["snr", "feature_noise"])["gap"]
    by_polars = said["by_polars"].to_pandas().set_index(["snr", "feature_noise"])["gap"]
    by_xarray = said["by_xarray"].test_error.to_series()
    for found in (by_pandas, by_duckdb, by_polars, by_xarray):
        pd.testing.assert_series_equal(found.sort_index(), expected, check_names=False)


def test_the_figure_is_the_paired_map(said: dict[str, Any]):
    assert len(said["cells"]) == 6 and len(said["figure"].axes) == 2
