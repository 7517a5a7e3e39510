"""The critical batch size of planted tables, whose jumps are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reporting.batch_sections import batch_sections, critical_sentences
from analysis.reporting.view import make_view
from sweep.errors import SweepError

SIZES = (2, 4, 8, 16, 32, 64)
JUMPS = {"adam": 12.0, "adamw": 40.0, "gd": 1000.0}


def runs(make: Any, width: float = 0.01, seeds: int = 6, **columns: Any) -> pd.DataFrame:
    """Errors that rise from 0 to 1/2 at the batch size in JUMPS, by a logistic function of its logarithm."""
    rows = []
    for k, (name, at) in enumerate(JUMPS.items()):
        for size in SIZES:
            for seed in range(seeds):
                error = 0.5 / (1 + (at / size) ** (1 / width)) if size != at else 0.25
                values = {"seed": seed, "batch_size": size, "test_error": error, "snr": 1.0}
                values |= {"max_steps": 100 * 64 // size, "lr": 0.1, "b1": None, **columns}
                rows.append(make.row(len(rows), 10 * seed, name, **values))
        assert k < 10
    return make.runs(rows)


def test_a_jump_lies_between_its_neighbours_and_the_interval_covers_the_gap(make: Any):
    found = analysis.CriticalBatch()(runs(make)).set_index("optimizer")
    for name, (below, above) in {"adam": (8, 16), "adamw": (32, 64)}.items():
        row = found.loc[name]
        assert below < row["at"] < above
        assert below <= row["low"] < row["at"] < row["high"] <= above
        # draws within the gap are uniform in the logarithm of the batch size
        assert np.log(row["high"] / row["low"]) > 0.8 * np.log(above / below)
        assert (row["below"], row["above"]) == (below, above)
        assert (row["value_below"], row["value_above"]) == pytest.approx((0, 0.5), abs=1e-6)
    assert np.isinf(found.loc["gd", "at"]) and np.isnan(found.loc["gd", "below"])


def test_a_gradual_change_is_located_at_its_middle(make: Any):
    """The planted middle is at 12 and 40; interpolation between factors of two errs by a few percent."""
    found = analysis.CriticalBatch()(runs(make, width=1.0)).set_index("optimizer")
    assert found.loc["adam", "at"] == pytest.approx(12, rel=0.05)
    assert found.loc["adamw", "at"] == pytest.approx(40, rel=0.05)


def test_sentences_name_the_sizes_that_were_run(make: Any):
    adam, adamw, gd = critical_sentences(analysis.CriticalBatch()(runs(make)))
    assert adam.startswith("Adam: a test error of 0.25 is crossed at batch size ")
    assert "between the batch sizes 8 and 16, which were run, it rises from " in adam
    assert "adamw: a test error" in adamw.lower()
    assert gd == (
        "Gradient descent: the mean test error lies below 0.25 at every batch size that was run."
    )


def test_the_page_has_a_section_where_the_batch_size_varies(make: Any):
    table = runs(make, width=1.0)
    (section,) = batch_sections(make_view(table), 0.95, 0.25)
    assert section.name == "critical-batch" and section.figure is not None
    assert len(section.sentences) == 3
    assert not list(batch_sections(make_view(table[table["batch_size"] == 8]), 0.95, 0.25))


def test_a_plane_has_a_critical_size_in_each_row(make: Any):
    parts = [runs(make, n=n).assign(problem=lambda t, n=n: t["problem"] + n) for n in (10, 20)]
    table = pd.concat(parts, ignore_index=True)
    (section,) = batch_sections(make_view(table), 0.95, 0.25)
    assert section.table.groupby("optimizer")["n"].apply(list).to_dict() == {
        name: [10, 20] for name in JUMPS
    }
    assert any("at n = 10" in sentence for sentence in section.sentences)


def test_one_batch_size_has_no_jump(make: Any):
    with pytest.raises(SweepError, match="1 batch size, so nothing can change"):
        analysis.CriticalBatch()(runs(make)[lambda t: t["batch_size"] == 8])
