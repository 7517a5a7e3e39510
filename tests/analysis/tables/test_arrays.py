"""Labelled arrays against the table that they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import analysis
from sweep.errors import SweepError


def test_every_run_has_its_place(make: Any):
    rows = make.plane(make.planted)
    runs = make.runs(rows[:-1])
    found = analysis.labelled(
        runs, "optimizer", "feature_noise", "snr", "seed", values=("test_error", "feature")
    )
    assert found.test_error.shape == (2, 2, 3, 4)
    for row in rows[:-1]:
        place = {name: row[name] for name in ("optimizer", "feature_noise", "snr", "seed")}
        assert float(found.test_error.sel(place)) == row["test_error"]
    assert int(np.isnan(found.test_error).sum()) == 1  # the run that is missing
    assert "margin <= 0" in found.test_error.attrs["long_name"]


def test_arrays_agree_with_cells(make: Any):
    runs = make.runs(make.plane(make.planted))
    means = analysis.labelled(runs, "optimizer", "feature_noise", "snr", "seed").test_error.mean(
        "seed"
    )
    cells = analysis.Cells("snr", "feature_noise", facet="optimizer")(runs)
    for cell in cells.itertuples():
        there = means.sel(optimizer=cell.optimizer, snr=cell.snr, feature_noise=cell.feature_noise)
        assert float(there) == pytest.approx(cell.mean)


@pytest.mark.parametrize(
    ("dims", "said"),
    [
        (("snr", "feature_noise", "optimizer"), "Name seed"),
        (("snr", "feature_noise", "seed"), "average over optimizer"),
        (("snr", "seeds"), "no column 'seeds'"),
    ],
)
def test_two_runs_in_one_place_are_refused(dims: tuple[str, ...], said: str, make: Any):
    with pytest.raises(SweepError, match=said):
        analysis.labelled(make.runs(make.plane(make.planted)), *dims)
