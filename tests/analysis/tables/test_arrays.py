"""Labelled arrays against the table that they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import analysis
from analysis.tables.columns import read_descriptions
from sweep.errors import SweepError
from sweep.grid import parse_grid
from sweep.planning.manifest import descriptions

GRID = """
name: tiny
seed: 0
data: {kind: signal_noise, n: 20, d: 100, signal: 1, noise: 1}
model: {kind: linear, init_scale: 0.01}
optimizer: {kind: gd, lr: 0.1}
train: {steps: 60}
"""


def test_every_run_is_at_its_coordinates(make: Any):
    read_descriptions({"info": descriptions(parse_grid(GRID))})
    rows = make.plane(make.planted)
    runs = make.runs(rows[:-1])
    arrays = analysis.labelled(
        runs, "optimizer", "feature_noise", "snr", "seed", values=("test_error", "feature")
    )
    assert arrays.test_error.shape == (2, 2, 3, 4)
    for row in rows[:-1]:
        coordinates = {name: row[name] for name in ("optimizer", "feature_noise", "snr", "seed")}
        assert float(arrays.test_error.sel(coordinates)) == row["test_error"]
    assert int(np.isnan(arrays.test_error).sum()) == 1  # the run that is missing
    assert "margin <= 0" in arrays.test_error.attrs["long_name"]


def test_arrays_agree_with_cells(make: Any):
    runs = make.runs(make.plane(make.planted))
    means = analysis.labelled(runs, "optimizer", "feature_noise", "snr", "seed").test_error.mean(
        "seed"
    )
    cells = analysis.Cells("snr", "feature_noise", facet="optimizer")(runs)
    for cell in cells.itertuples():
        mean = means.sel(optimizer=cell.optimizer, snr=cell.snr, feature_noise=cell.feature_noise)
        assert float(mean) == pytest.approx(cell.mean)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        (("snr", "feature_noise", "optimizer"), "Add seed"),
        (("snr", "feature_noise", "seed"), "average over optimizer"),
        (("snr", "seeds"), "no column 'seeds'"),
    ],
)
def test_two_runs_with_the_same_coordinates_are_refused(
    dims: tuple[str, ...], message: str, make: Any
):
    with pytest.raises(SweepError, match=message):
        analysis.labelled(make.runs(make.plane(make.planted)), *dims)
