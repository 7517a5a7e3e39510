"""Figures show the tables they are given, and leave no trace in matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.text import Text

import analysis
from analysis import Bands, Cells, PairedGap
from analysis.heat import colours
from analysis.words import interval, number, ticks
from sweep.errors import SweepError


@pytest.fixture(autouse=True)
def no_trace() -> Iterator[None]:
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before and plt.get_fignums() == []


@pytest.fixture
def runs(make: Any) -> pd.DataFrame:
    return make.runs(make.plane(make.planted))


def difference(runs: pd.DataFrame) -> pd.DataFrame:
    return Cells("snr", "feature_noise", "difference")(PairedGap("adam", "gd")(runs))


def hatches(figure: Figure) -> list[tuple[str | None, int]]:
    found = [each for each in figure.axes[0].collections if isinstance(each, PolyCollection) and each.get_hatch()]
    return [(each.get_hatch(), len(each.get_paths())) for each in found]


def texts(figure: Figure) -> str:
    found = [each.get_text() for each in figure.findobj(Text) if isinstance(each, Text)]
    return " ".join(found).replace("\n", " ")


def test_a_phase_diagram_has_a_panel_for_each_optimizer(runs: pd.DataFrame):
    figure = analysis.phase_diagram(Cells("snr", "feature_noise", "test_error", "optimizer")(runs), "Errors")
    adam, gd, bar = figure.axes
    assert (adam.get_title(), gd.get_title(), bar.get_ylabel()) == ("adam", "gd", "test error")
    assert adam.get_xlabel() == "signal-to-noise ratio (log scale)" and adam.get_ylabel() == "feature noise α"
    assert [text.get_text() for text in adam.get_xticklabels()] == ["0.1", "0.3", "1"]
    assert "Errors" in texts(figure) and "4 seeds each." in texts(figure)


def test_y_grows_upwards_and_cells_hold_their_means(runs: pd.DataFrame):
    figure = analysis.phase_diagram(difference(runs))
    (ax, _) = figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.1", "0.2"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    at = {text.get_position(): text.get_text() for text in ax.texts}
    assert at[(0.5, 0.5)] == "+0.50" and at[(2.5, 1.5)] == "+0.00"


def test_triangles_stand_where_the_interval_excludes_zero(make: Any):
    def error(optimizer: str, snr: float, alpha: float, seed: int) -> float:
        effect = {0.1: 0.3, 0.3: -0.2, 1.0: 0.0}[snr] if optimizer == "adam" else 0.0
        return 0.4 + effect + 0.01 * (-1) ** seed * (optimizer == "adam")

    figure = analysis.phase_diagram(difference(make.runs(make.plane(error))))
    up, down = figure.axes[0].collections[-2:]
    assert sorted(np.asarray(up.get_offsets())[:, 0]) == [0.5, 0.5]
    assert sorted(np.asarray(down.get_offsets())[:, 0]) == [1.5, 1.5]
    assert "▲ ▼: the 95 % interval lies above / below 0" in texts(figure)


def test_missing_and_diverged_cells_are_hatched(make: Any):
    rows = make.plane(make.planted)[:-2]
    rows[0]["status"] = "nonfinite"
    figure = analysis.phase_diagram(difference(make.runs(rows)))
    assert sorted(hatches(figure), key=str) == [("///", 1), ("xxx", 1)]
    assert "///: runs are missing" in texts(figure) and "xxx: runs without a finite value" in texts(figure)
    assert "3 to 4 seeds" in texts(figure)


def test_cells_without_runs_are_left_grey(runs: pd.DataFrame):
    part = runs[(runs["snr"] < 0.5) | (runs["feature_noise"] == 0.1)]
    figure = analysis.phase_diagram(difference(part))
    assert np.ma.count_masked(figure.axes[0].collections[0].get_array()) == 1
    assert same_color(figure.axes[0].get_facecolor(), "0.85")


@pytest.mark.parametrize(
    ("value", "means", "expected"),
    [
        ("test_error", [0.1, 0.4], ("cividis", 0, 0.5)),
        ("test_error", [0.1, 0.7], ("cividis", 0, 1)),
        ("generalization_gap", [0.1, 0.4], ("RdBu_r", -0.5, 0.5)),
        ("feature", [0.1, 3.0], ("cividis", 0, 3.0)),
        ("feature", [-2.0, 1.0], ("RdBu_r", -2.0, 2.0)),
    ],
)
def test_colour_limits_are_fixed_for_errors_and_centred_for_signs(
    value: str, means: list[float], expected: tuple[Any, ...]
):
    cells = pd.DataFrame({"mean": means})
    cells.attrs = {"of": value, "column": value}
    assert tuple(colours(cells)) == expected


def test_a_large_plane_is_drawn_without_numbers_and_as_an_image(make: Any):
    rows = make.plane(lambda *_: 0.1, np.geomspace(0.01, 10, 60).tolist(), np.linspace(0.1, 0.9, 50).tolist(), seeds=1)
    figure = analysis.phase_diagram(difference(make.runs(rows)))
    (ax, _) = figure.axes
    assert not ax.texts and ax.collections[0].get_rasterized() and len(ax.get_xticks()) <= 8


def test_lines_have_bands_and_a_logarithmic_axis(runs: pd.DataFrame):
    cells = Cells("snr", "feature_noise", "generalization_gap", "optimizer")(runs)
    figure = analysis.gap_figure(cells)
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("feature noise α = 0.1", "feature noise α = 0.2")
    assert first.get_xscale() == "log" and first.get_ylabel() == "generalization gap"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["adam", "gd"]
    assert len(first.collections) == 2 and "bands: 95 % intervals" in texts(figure)


def test_curves_are_the_core_papers_figure(store: Path):
    curves = analysis.load_curves(store).query("snr == 0.1 and feature_noise == 0.1")
    figure = analysis.curves_figure(Bands()(curves), "One cell")
    assert [ax.get_title() for ax in figure.axes] == ["feature learning", "noise memorization"]
    assert [ax.get_xscale() for ax in figure.axes] == ["symlog", "symlog"]
    adam = figure.axes[0].lines[1]
    assert np.asarray(adam.get_ydata())[-1] == pytest.approx(-0.2)


@pytest.mark.parametrize("draw", [analysis.phase_diagram, analysis.gap_figure])
def test_a_table_without_axes_is_refused(draw: Callable[[pd.DataFrame], Figure], make: Any):
    runs = make.runs(make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    with pytest.raises(SweepError, match="takes a table of Cells with x"):
        draw(Cells(None, None, "test_error", "optimizer")(runs))


def test_files_are_the_same_twice_and_embed_fonts(runs: pd.DataFrame, tmp_path: Path):
    figure = analysis.phase_diagram(difference(runs))
    for folder in ("a", "b"):
        analysis.save(figure, *(tmp_path / folder / f"map.{ending}" for ending in ("pdf", "svg", "png")))
    for ending in ("pdf", "svg", "png"):
        assert (tmp_path / "a" / f"map.{ending}").read_bytes() == (tmp_path / "b" / f"map.{ending}").read_bytes()
    pdf = (tmp_path / "a" / "map.pdf").read_bytes()
    assert b"CIDFontType2" in pdf and b"/Type3" not in pdf
    with pytest.raises(SweepError, match="ending of"):
        analysis.save(figure, tmp_path / "map.docx")


def test_numbers_as_people_read_them():
    assert [number(v) for v in (200, 1e-5, 0.30000001, None, float("nan"), True, "gd", 1e7)] == [
        *("200", "1e-5", "0.3", "none", "none", "yes", "gd", "1e7")
    ]
    assert ticks([0.1, 0.101, 0.2]) == ["0.1", "0.101", "0.2"]
    assert interval(0.5312, 0.4912, 0.5712) == "0.531 [0.491, 0.571]"
    assert interval(0.5, 0.5, 0.5, "+") == "+0.500 [0.500, 0.500]"
    assert interval(0.5, float("nan"), float("nan")) == "0.500"
