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
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.text import Text

import analysis
from analysis import Bands, Cells, Modes, PairedGap
from analysis.figures.color_scale import color_scale
from analysis.tables import columns
from analysis.tables.labels import format_interval, format_number, ticks
from sweep.errors import SweepError
from sweep.schema import ColumnInfo


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
    found = [
        each
        for each in figure.axes[0].collections
        if isinstance(each, PolyCollection) and each.get_hatch()
    ]
    return [(each.get_hatch(), len(each.get_paths())) for each in found]


def texts(figure: Figure) -> str:
    found = [each.get_text() for each in figure.findobj(Text) if isinstance(each, Text)]
    return " ".join(found).replace("\n", " ")


def test_a_phase_diagram_has_a_panel_for_each_optimizer(runs: pd.DataFrame):
    figure = analysis.phase_diagram(
        Cells("snr", "feature_noise", "test_error", "optimizer")(runs), "Errors"
    )
    adam, gd, bar = figure.axes
    assert (adam.get_title(), gd.get_title(), bar.get_ylabel()) == (
        "Adam",
        "gradient descent",
        "test error",
    )
    assert (
        adam.get_xlabel() == "signal-to-noise ratio (log scale)"
        and adam.get_ylabel() == "feature noise α"
    )
    assert [text.get_text() for text in adam.get_xticklabels()] == ["0.1", "0.3", "1"]
    assert "Errors" in texts(figure) and "4 seeds each." in texts(figure)


def test_y_grows_upwards_and_cells_hold_their_means(runs: pd.DataFrame):
    figure = analysis.phase_diagram(difference(runs))
    (ax, _) = figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.1", "0.2"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    at = {text.get_position(): text.get_text() for text in ax.texts}
    assert at[(0.5, 0.5)] == "+0.50" and at[(2.5, 1.5)] == "+0.00"


def planted_gap(make: Any, seeds: int) -> pd.DataFrame:
    """Differences of +0.3, -0.2 and about 0 over snr."""

    def error(optimizer: str, snr: float, alpha: float, seed: int) -> float:
        effect = {0.1: 0.3, 0.3: -0.2, 1.0: 0.0}[snr] if optimizer == "adam" else 0.0
        return 0.4 + effect + 0.01 * (-1) ** seed * (optimizer == "adam")

    return difference(make.runs(make.plane(error, seeds=seeds)))


def test_triangles_stand_where_the_whole_map_excludes_zero(make: Any):
    figure = analysis.phase_diagram(planted_gap(make, 8))
    up, down = figure.axes[0].collections[-2:]
    assert sorted(np.asarray(up.get_offsets())[:, 0]) == [0.5, 0.5]
    assert sorted(np.asarray(down.get_offsets())[:, 0]) == [1.5, 1.5]
    assert "▲ ▼: above / below 0 with a family-wise error of 5 % over the map" in texts(figure)


def test_too_few_seeds_have_no_triangles(make: Any):
    """All of five seeds alike has the chance 1 / 16, whatever the intervals of the cells are."""
    cells = planted_gap(make, 5)
    figure = analysis.phase_diagram(cells)
    assert (cells["low"] > 0).any() and not [
        each
        for each in figure.axes[0].collections
        if isinstance(each, PathCollection) and len(each.get_offsets())
    ]
    assert "no cell can be marked: a family-wise error of 5 % takes 6 seeds" in texts(figure)


def split_runs(make: Any) -> pd.DataFrame:
    """Adam fails in 3 of 8 seeds at snr = 0.3, by 0.48; elsewhere its seeds agree."""
    return make.runs(
        make.plane(lambda o, snr, a, k: 0.48 * (o == "adam" and snr == 0.3 and k < 3), seeds=8)
    )


def test_a_cell_whose_seeds_split_is_drawn_as_shares(make: Any):
    runs = split_runs(make)
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    modes = Modes("snr", "feature_noise", "test_error", "optimizer")(runs)
    figure = analysis.phase_diagram(cells, modes=modes)
    adam, gd = figure.axes[:2]
    at = {text.get_position(): text.get_text() for text in adam.texts}
    assert at[(1.5, 0.5)] == at[(1.5, 1.5)] == "5:3" and at[(0.5, 0.5)] == "0.00"
    (strips,) = [each for each in adam.collections if isinstance(each, PolyCollection)]
    extents = [path.get_extents() for path in strips.get_paths()]
    assert [(box.x0, box.x1) for box in extents] == [(1, 1.625), (1.625, 2)] * 2
    scale = color_scale(cells)
    np.testing.assert_allclose(
        np.asarray(strips.get_facecolors())[:2, :3], scale.colors(np.array([0.0, 0.48]))
    )
    assert not [each for each in gd.collections if isinstance(each, PolyCollection)]
    assert "5:3 counts its seeds" in texts(figure)
    assert "strips" not in texts(analysis.phase_diagram(cells))


def test_a_line_says_where_seeds_split(make: Any):
    """A bar at the mean of the cell, which is no value of a seed."""
    runs = split_runs(make)
    cells = Cells("snr", None, "test_error", "optimizer")(runs[runs["feature_noise"] == 0.1])
    figure = analysis.gap_figure(cells)
    bars = [line for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert [np.asarray(bar.get_xydata()).round(9).tolist() for bar in bars] == [[[0.3, 0.18]], []]
    assert "|: seeds split into modes" in texts(figure)
    assert "mid-P where seeds may split into modes" in texts(figure)


def test_collapsed_cells_have_a_hatching_of_their_own(make: Any, monkeypatch: pytest.MonkeyPatch):
    """Most of their networks answer with ties; where there is no such column, have norm 0."""
    monkeypatch.setitem(columns._COLUMNS, "test_ties", ColumnInfo("ties", part="observable"))
    runs = split_runs(make)
    gone = (runs["snr"] == 0.1) & (runs["optimizer"] == "adam") & (runs["seed"] < 5)
    by_ties = runs.assign(test_ties=np.where(gone, 1.0, 0.01))
    by_norm = runs.assign(weight_norm=np.where(gone, 0.0, 1.0))
    for table in (by_ties, by_norm):
        cells = Cells("snr", "feature_noise", "test_error", "optimizer")(table)
        assert cells["collapsed"].value_counts().to_dict() == {0.0: 10, 0.625: 2}
        figure = analysis.phase_diagram(cells)
        assert hatches(figure) == [("\\\\\\", 2)]
        assert "ties and count as errors" in texts(figure)
    assert "collapsed" not in Cells("snr", "feature_noise", "test_error", "optimizer")(runs)


def count_cells(make: Any, steps: tuple[float, float, float]) -> pd.DataFrame:
    runs = make.runs(make.plane(make.planted))
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    at = dict(zip((0.1, 0.3, 1.0), steps, strict=True))
    cells["mean"] = cells["snr"].map(at)
    cells.attrs |= {"of": "fit_step", "column": "mean"}
    return cells


def test_counts_are_whole_numbers_on_a_logarithmic_scale(make: Any):
    """9 to 1,581 steps: the middle of the colours is at the geometric mean, 119."""
    cells = count_cells(make, (9, 119, 1581))
    scale = color_scale(cells)
    assert scale.logarithmic and float(scale.norm(119)) == pytest.approx(0.5, abs=0.01)
    figure = analysis.phase_diagram(cells)
    assert {text.get_text() for text in figure.axes[0].texts} == {"9", "119", "1581"}
    bar = figure.axes[-1]
    inside = [text.get_text() for text in bar.get_yticklabels()]
    assert {"10", "20", "50", "100", "200", "500", "1000"} <= set(inside)
    assert np.asarray(figure.axes[0].collections[0].get_array()).max() == 1581


def test_counts_of_one_size_have_an_even_scale_with_whole_ticks(make: Any):
    cells = count_cells(make, (1, 2, 4))
    assert not color_scale(cells).logarithmic
    labels = [text.get_text() for text in analysis.phase_diagram(cells).axes[-1].get_yticklabels()]
    assert labels and all(label.isdigit() for label in labels)


def test_legends_name_the_optimizers_of_all_panels(make: Any):
    """Adam has no run in the first panel."""
    runs = make.runs(make.plane(make.planted))
    part = runs[(runs["optimizer"] == "gd") | (runs["feature_noise"] == 0.2)]
    figure = analysis.gap_figure(Cells("snr", "feature_noise", "test_error", "optimizer")(part))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Adam",
        "gradient descent",
    ]


def test_numbers_stand_before_the_lines(plane: pd.DataFrame):
    rows = [{"feature_noise": a, "at": 1.0, "low": 0.5, "high": 2.0} for a in (0.1, 0.2)]
    figure = analysis.phase_diagram(plane, lines=[boundary(rows)])
    ax = figure.axes[0]
    highest = max(each.get_zorder() for each in (*ax.lines, *ax.collections))
    assert all(text.get_zorder() > highest and text.get_path_effects() for text in ax.texts)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 1.0, 2.0, 5.0, 10.0], ["0.5", "1", "2", "5", "10"]),
        ([0.474, 0.972, 2.03, 4.97, 10.3], ["0.5", "1", "2", "5", "10"]),
    ],
)
def test_ticks_are_round_numbers(make: Any, values: list[float], expected: list[str]):
    runs = make.runs(make.plane(make.planted, snrs=values, alphas=(0.1,)))
    figure = analysis.gap_figure(Cells("snr", None, "test_error", "optimizer")(runs))
    low, high = figure.axes[0].get_xlim()
    shown = [
        text.get_text()
        for place, text in zip(
            figure.axes[0].get_xticks(), figure.axes[0].get_xticklabels(), strict=True
        )
        if low <= place <= high
    ]
    assert shown == expected


def test_missing_and_diverged_cells_are_hatched(make: Any):
    rows = make.plane(make.planted)[:-2]
    rows[0]["status"] = "nonfinite"
    figure = analysis.phase_diagram(difference(make.runs(rows)))
    assert sorted(hatches(figure), key=str) == [("///", 1), ("xxx", 1)]
    assert "///: runs are missing" in texts(figure) and "xxx: runs without a finite value" in texts(
        figure
    )
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
    assert tuple(color_scale(cells)[:3]) == expected and not color_scale(cells).logarithmic


def test_a_large_plane_is_drawn_without_numbers_and_as_an_image(make: Any):
    rows = make.plane(
        lambda *_: 0.1,
        np.geomspace(0.01, 10, 60).tolist(),
        np.linspace(0.1, 0.9, 50).tolist(),
        seeds=1,
    )
    figure = analysis.phase_diagram(difference(make.runs(rows)))
    (ax, _) = figure.axes
    assert not ax.texts and ax.collections[0].get_rasterized() and len(ax.get_xticks()) <= 8


def test_lines_have_bands_and_a_logarithmic_axis(runs: pd.DataFrame):
    cells = Cells("snr", "feature_noise", "generalization_gap", "optimizer")(runs)
    figure = analysis.gap_figure(cells)
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == (
        "feature noise α = 0.1",
        "feature noise α = 0.2",
    )
    assert first.get_xscale() == "log" and first.get_ylabel() == "generalization gap"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Adam",
        "gradient descent",
    ]
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
        analysis.save(
            figure, *(tmp_path / folder / f"map.{ending}" for ending in ("pdf", "svg", "png"))
        )
    for ending in ("pdf", "svg", "png"):
        assert (tmp_path / "a" / f"map.{ending}").read_bytes() == (
            tmp_path / "b" / f"map.{ending}"
        ).read_bytes()
    pdf = (tmp_path / "a" / "map.pdf").read_bytes()
    assert b"CIDFontType2" in pdf and b"/Type3" not in pdf
    with pytest.raises(SweepError, match="one of the suffixes"):
        analysis.save(figure, tmp_path / "map.docx")


def test_numbers_as_people_read_them():
    assert [
        format_number(v) for v in (200, 1e-5, 0.30000001, None, float("nan"), True, "gd", 1e7)
    ] == [*("200", "1e-5", "0.3", "none", "none", "yes", "gd", "1e7")]
    assert ticks([0.1, 0.101, 0.2]) == ["0.1", "0.101", "0.2"]
    assert format_interval(0.5312, 0.4912, 0.5712) == "0.531 [0.491, 0.571]"
    assert format_interval(0.5, 0.5, 0.5, "+") == "+0.500 (all seeds alike)"
    assert format_interval(0.5, float("nan"), float("nan")) == "0.500"


def test_what_has_no_value_on_the_axis_is_a_level_over_all_of_it(make: Any):
    """As gradient descent, which has no eps, beside Adam at several."""
    rows = [
        make.row(10 * seed + k, seed, name, seed=seed, b1=b1, test_error=0.1 * k + 0.01 * seed)
        for seed in range(3)
        for k, (name, b1) in enumerate([("gd", None), ("adam", 0.5), ("adam", 0.9)])
    ]
    figure = analysis.gap_figure(Cells("b1", None, "test_error", "optimizer")(make.runs(rows)))
    (ax,) = figure.axes
    drawn = {line.get_label(): line for line in ax.get_lines()}
    assert list(drawn["Adam"].get_xdata()) == [0.5, 0.9]
    assert list(drawn["gradient descent"].get_xdata()) == [0, 1] and list(
        drawn["gradient descent"].get_ydata()
    ) == pytest.approx([0.01, 0.01])
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "Adam",
        "gradient descent",
    }


def boundary(rows: list[dict[str, Any]], **attrs: Any) -> pd.DataFrame:
    """A table as Boundary leaves it, over snr and feature_noise."""
    table = pd.DataFrame(rows)
    known = {
        "x": "snr",
        "y": "feature_noise",
        "facet": None,
        "value": "test_error",
        "level": 0.25,
        "confidence": 0.95,
    }
    table.attrs = {**known, **attrs}
    return table


def black(figure: Figure, panel: int = 0) -> list[tuple[str, list[list[float]]]]:
    """Style and points of each black line of a panel; each lies on a white one."""
    lines = figure.axes[panel].get_lines()
    found = [line for line in lines if same_color(line.get_color(), "black")]
    white = [line for line in lines if same_color(line.get_color(), "white")]
    for front, back in zip(found, white, strict=True):
        np.testing.assert_array_equal(front.get_xydata(), back.get_xydata())
        assert (
            front.get_zorder() > back.get_zorder() and front.get_linewidth() < back.get_linewidth()
        )
    return [
        (str(line.get_linestyle()), np.asarray(line.get_xydata()).round(9).tolist())
        for line in found
    ]


def whiskers(figure: Figure) -> list[list[list[float]]]:
    """The ends of the last whiskers that were drawn on the first panel, the black ones."""
    (_, last) = (each for each in figure.axes[0].collections if isinstance(each, LineCollection))
    assert same_color(last.get_color(), "black")
    return [np.asarray(each).round(9).tolist() for each in last.get_segments()]


@pytest.fixture
def plane(make: Any) -> pd.DataFrame:
    """Cells over a logarithmic axis and an even one."""
    runs = make.runs(make.plane(make.planted, snrs=(0.1, 1.0, 10.0), alphas=(0.1, 0.2, 0.4)))
    return Cells("snr", "feature_noise", "test_error", "optimizer")(runs)


def test_a_boundary_lies_between_cells_as_its_axis_is_spaced(plane: pd.DataFrame):
    """Cells are one wide, the first is centred at 1/2; the log midpoint of 0.1 and 1 is at 1."""
    rows = [
        {"feature_noise": 0.4, "at": 10.0, "low": 1.0, "high": np.inf},
        {"feature_noise": 0.1, "at": np.sqrt(0.1), "low": 0.0, "high": 10**0.25},
    ]
    figure = analysis.phase_diagram(plane, lines=[boundary(rows)])
    assert black(figure) == black(figure, 1) == [("-", [[1.0, 0.5], [2.5, 2.5]])]
    assert whiskers(figure) == [[[0.0, 0.5], [1.75, 0.5]], [[1.5, 2.5], [3.0, 2.5]]]
    assert figure.axes[0].get_xlim() == (0, 3) and figure.axes[0].get_ylim() == (0, 3)
    assert {text.get_position()[1] for text in figure.axes[0].texts} == {
        0.25,
        1.25,
        2.25,
    }  # beside the whiskers
    assert "solid: test error = 0.25, with its 95 % interval" in texts(figure)


def test_each_branch_is_a_line_of_its_own(plane: pd.DataFrame):
    """With a gap where a row has none of it, and open circles where the value rises."""
    places = [(0.1, "rising", 0.1), (0.1, "falling", 10.0), (0.2, "falling", 1.0)]
    places += [(0.4, "rising", 1.0), (0.4, "falling", 10.0)]
    rows = [
        {"feature_noise": alpha, "branch": name, "at": at, "low": at, "high": at}
        for alpha, name, at in places
    ]
    figure = analysis.phase_diagram(plane, lines=[boundary(rows)])
    falling, rising = black(figure)
    assert falling == ("-", [[2.5, 0.5], [1.5, 1.5], [2.5, 2.5]])
    (first, gap, last) = rising[1]
    assert (first, last) == ([0.5, 0.5], [1.5, 2.5]) and np.isnan(gap[0])
    fills = [line.get_markerfacecolor() for line in figure.axes[0].get_lines()[1::2]]
    assert fills == ["black", "white"]
    assert "open circles: where it rises" in texts(figure)


def test_an_even_axis_is_interpolated_evenly(make: Any):
    runs = make.runs(make.plane(make.planted, snrs=(0.0001, 1.0, 2.0), alphas=(0.1, 0.2)))
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    rows = [
        {"feature_noise": alpha, "at": at, "low": at, "high": at}
        for alpha, at in ((0.1, 1.25), (0.2, 2.0))
    ]
    assert black(analysis.phase_diagram(cells, lines=[boundary(rows)])) == [
        ("-", [[1.75, 0.5], [2.5, 1.5]])
    ]


def test_crossings_outside_of_the_grid_are_not_drawn(plane: pd.DataFrame):
    rows = [
        {"feature_noise": alpha, "at": at, "low": 0.0, "high": np.inf}
        for alpha, at in ((0.1, 0.0), (0.2, np.inf))
    ]
    rows += [{"feature_noise": 0.4, "at": 1.0, "low": np.nan, "high": np.nan}]
    rows += [{"feature_noise": 0.8, "at": 1.0, "low": 0.5, "high": 2.0}]
    figure = analysis.phase_diagram(plane, lines=[boundary(rows)])
    ((_, points),) = black(figure)
    assert np.isnan(points[0][0]) and np.isnan(points[1][0]) and points[2:] == [[1.5, 2.5]]
    assert len(whiskers(figure)) == 1


def test_theories_are_dashed_on_the_panels_of_their_optimizers(plane: pd.DataFrame):
    def line(name: str, theory: str, predicted: float) -> pd.DataFrame:
        rows = [
            {
                "optimizer": name,
                "feature_noise": alpha,
                "at": 1.0,
                "low": 1.0,
                "high": 1.0,
                "predicted": predicted,
            }
            for alpha in (0.1, 0.4)
        ]
        return boundary(rows, facet="optimizer", theory=theory)

    figure = analysis.phase_diagram(
        plane, lines=[line("gd", "n = const", 10.0), line("adam", "d = const", 0.1)]
    )
    drawn = [[each for each in black(figure, panel) if each[1]] for panel in (0, 1)]
    measured = ("-", [[1.5, 0.5], [1.5, 2.5]])
    assert drawn == [
        [(":", [[0.5, 0.5], [0.5, 2.5]]), measured],
        [("--", [[2.5, 0.5], [2.5, 2.5]]), measured],
    ]
    said = texts(figure).replace("\N{NO-BREAK SPACE}", " ")
    assert "dashed: n = const; dotted: d = const." in said and said.count("solid:") == 1


def test_a_line_that_does_not_belong_on_a_diagram_is_refused(plane: pd.DataFrame):
    rows = [{"n": 20, "feature_noise": 0.1, "power": 3, "at": 1.0, "low": 1.0, "high": 1.0}]
    with pytest.raises(
        SweepError, match="the line over signal-to-noise ratio and training points n"
    ):
        analysis.phase_diagram(plane, lines=[boundary(rows, y="n")])
    with pytest.raises(SweepError, match="The line has a power and the panels do not"):
        analysis.phase_diagram(plane, lines=[boundary(rows, facet="power")])


def test_cells_that_are_mostly_censored_are_dotted(plane: pd.DataFrame):
    share = np.where((plane["optimizer"] == "adam") & (plane["snr"] == 10.0), 0.75, 0.5)
    figure = analysis.phase_diagram(plane.assign(censored=share))
    assert hatches(figure) == [
        ("...", 3)
    ] and "...: more than half of the runs are censored" in texts(figure)
    assert "censored" not in texts(analysis.phase_diagram(plane.assign(censored=0.5)))


@pytest.mark.parametrize(("width", "inches"), [("single", 3.4), ("double", 7.0)])
def test_figures_fit_the_columns_of_a_paper(width: str, inches: float, runs: pd.DataFrame):
    """No text leaves the page, and no panel is narrower than half a column."""
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    for figure in (
        analysis.phase_diagram(cells, "Errors", width=width),
        analysis.gap_figure(cells, width=width),
    ):
        assert figure.get_figwidth() == inches
        page = figure.bbox
        for ax in figure.axes[:2]:
            assert ax.get_window_extent().width / figure.dpi > 1.5
            box = ax.get_tightbbox()
            assert (
                box is not None
                and page.x0 <= box.x0
                and box.x1 <= page.x1
                and page.y0 <= box.y0 <= page.y1
            )
    with pytest.raises(SweepError, match="single or double"):
        analysis.phase_diagram(cells, width="narrow")
