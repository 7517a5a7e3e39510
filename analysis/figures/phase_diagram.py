"""Phase diagrams: heat maps of a table of Cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from analysis.figures.style import PANEL, count_sentence, finish_figure, in_style, new_figure, thin_ticks, value_label
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, format_number, ticks
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNED = ("difference", "generalization_gap")
"""Values whose sign matters: drawn on a diverging scale centred at 0."""

PER_CELL = ("mean", "low", "high", "nonfinite", "incomplete")
"""Columns of a table of Cells that are drawn."""

OFTEN = 0.5
"""A cell is hatched where more than this share of its runs is censored."""

MARKED = 40
"""Most rows of a boundary that get a marker."""

DASHES = {"--": "dashed", ":": "dotted", "-.": "dash-dotted"}
"""Lines of theories, in turn, and their words."""

CHANCE = 0.55
"""Means up to this are those of guessing: a scale ends at 0.5 then, and what is above has its last colour."""

TEXT_CELLS, RASTER_CELLS = 120, 2500
"""Most cells in which numbers fit, and most that are drawn as vectors."""


class ColorScale(NamedTuple):
    """Colours of a figure."""

    cmap: str
    low: float
    high: float

    @property
    def signed(self) -> bool:
        """Whether the scale is a diverging one."""
        return self.low < 0

    def word(self, mean: float) -> str:
        """A value in a cell."""
        return f"{mean:{'+' if self.signed else ''}.2f}" if abs(mean) < 10 else format_number(mean)

    def dark(self, means: np.ndarray) -> np.ndarray:
        """Where the colour of a value is so dark that marks on it must be light."""
        from matplotlib import colormaps

        rgb = colormaps[self.cmap]((means - self.low) / (self.high - self.low))[..., :3]
        return (rgb @ (0.299, 0.587, 0.114) < 0.45) & ~np.isnan(means)


@in_style
def phase_diagram(
    cells: pd.DataFrame, title: str = "", lines: Sequence[pd.DataFrame] = (), width: str | None = None
) -> Figure:
    """Heat map of a table of Cells with x and y, one panel a facet, all on one colour scale; y grows upwards.

    Axes are labelled with the values that were run. Signed values get a diverging scale centred at 0, paired
    differences a triangle where the interval excludes 0: it points up above 0 and down below. Hatched cells lack runs
    (///), have some without a finite value (xxx) or have mostly `censored` ones (..., a share, if the table has it);
    cells without any run are grey. Numbers stand in the cells where they fit.

    `lines` are tables of Boundary (solid, with whiskers for the interval) and Overlay (dashed where the theory expects
    the boundary, too), drawn on the panel of their facet, or on all panels without a facet. What lies outside of the
    values that were run is not drawn. `width` fits the figure to the `single` or `double` column of a paper. Raises
    SweepError where the table has no x and y, or a line has other ones.
    """
    x, y, facet = (cells.attrs.get(key) for key in ("x", "y", "facet"))
    if x is None or y is None:
        raise SweepError("A phase diagram takes a table of Cells with x and y. Use gap_figure for one axis.")
    _check(cells, lines)
    xs, ys = list(sorted_unique(cells, x)), list(sorted_unique(cells, y))
    panels = list(sorted_unique(cells, facet)) if facet else [None]
    shown = (*PER_CELL, "censored") if "censored" in cells else PER_CELL
    figure, axes = new_figure(len(panels), width=width)
    scale = color_scale(cells)
    for ax, name in zip(axes, panels, strict=True):
        part = cells if name is None else cells[cells[facet] == name]
        table = part.set_index([y, x])
        _heat(ax, {column: _matrix(table[column], ys, xs) for column in shown}, scale, _marked(cells))
        for text in ax.texts if lines else ():
            text.set_y(text.get_position()[1] - 0.25)  # whiskers lie along the middle of a row
        for line, dashes in zip(lines, cycle(DASHES), strict=False):
            own = line if line.attrs["facet"] is None else line[line[facet] == name]
            _line(ax, own.assign(_y=_places(own[y], ys)).dropna(subset="_y").sort_values("_y"), xs, dashes)
        ax.set_title("" if name is None else str(name))
        _label(ax, x, xs, y, ys)
    figure.colorbar(axes[0].collections[0], ax=axes, label=value_label(cells), pad=0.02, extend=_extend(cells, scale))
    return finish_figure(figure, title, _caption(cells, lines))


def _check(cells: pd.DataFrame, lines: Sequence[pd.DataFrame]) -> None:
    """Raises SweepError where a line does not belong on this diagram."""
    for line in lines:
        axes = [(each.attrs["x"], each.attrs["y"]) for each in (cells, line)]
        if axes[0] != axes[1]:
            told = [f"{axis_label(across)} and {axis_label(up or 'nothing')}" for across, up in axes]
            raise SweepError(f"The diagram is over {told[0]}, the line over {told[1]}. Give both the same x and y.")
        if line.attrs["facet"] not in (None, cells.attrs["facet"]):
            cure = f"Make the panels by {line.attrs['facet']}, or keep one value of it in the line"
            raise SweepError(f"The line has a {line.attrs['facet']} and the panels do not. {cure}.")


def color_scale(cells: pd.DataFrame) -> ColorScale:
    """The scale of a table of Cells: errors have fixed limits, so that figures of the same kind can be compared."""
    of = cells.attrs["of"]
    largest = float(np.nanmax(cells["mean"].abs().to_numpy(float), initial=0)) or 1.0
    bounded = of.endswith("error") or of == "generalization_gap"
    limit = (0.5 if largest <= CHANCE else 1.0) if bounded else largest
    signed = cells.attrs["column"] in SIGNED or bool((cells["mean"] < 0).any())
    return ColorScale("RdBu_r", -limit, limit) if signed else ColorScale("cividis", 0.0, limit)


def _extend(cells: pd.DataFrame, scale: ColorScale) -> Literal["max", "neither"]:
    return "max" if (cells["mean"] > scale.high).any() else "neither"


def _matrix(column: pd.Series, ys: list[Any], xs: list[Any]) -> np.ndarray:
    return column.unstack().reindex(index=ys, columns=xs).to_numpy(float)


def _heat(ax: Axes, cell: dict[str, np.ndarray], scale: ColorScale, marked: bool) -> None:
    import seaborn as sns

    down, across = cell["mean"].shape
    text, raster = down * across <= TEXT_CELLS and across <= 12, down * across > RASTER_CELLS
    numbers = [["" if np.isnan(mean) else scale.word(mean) for mean in row] for row in cell["mean"]]
    sns.heatmap(
        cell["mean"],
        ax=ax,
        vmin=scale.low,
        vmax=scale.high,
        cmap=scale.cmap,
        annot=np.array(numbers) if text else None,
        fmt="",
        annot_kws={"size": 8 if across <= 6 else 6},
        cbar=False,
        xticklabels=False,
        yticklabels=False,
        rasterized=raster,
    )
    ax.invert_yaxis()
    ax.set_facecolor("0.85")
    _outline(ax, (cell["incomplete"] == 1) | (cell["nonfinite"] > 0))
    _hatch(ax, cell["incomplete"] == 1, "///", scale.dark(cell["mean"]))
    _hatch(ax, cell["nonfinite"] > 0, "xxx", scale.dark(cell["mean"]))
    if "censored" in cell:
        _hatch(ax, cell["censored"] > OFTEN, "...", scale.dark(cell["mean"]))
    if marked:
        for cells, marker in ((cell["low"] > 0, "^"), (cell["high"] < 0, "v")):
            _triangles(ax, cells, marker, scale.dark(cell["mean"]), text, raster)


def _outline(ax: Axes, hatched: np.ndarray) -> None:
    """Keep numbers legible on hatching."""
    from matplotlib.patheffects import withStroke

    for text in ax.texts:
        column, row = text.get_position()
        if not hatched[int(row), int(column)]:
            continue
        contrast = "0.15" if text.get_color() == "w" else "0.95"
        text.set_path_effects([withStroke(linewidth=1.5, foreground=contrast, alpha=0.6)])


def _hatch(ax: Axes, cells: np.ndarray, pattern: str, dark: np.ndarray) -> None:
    from matplotlib.collections import PolyCollection

    for chosen, colour in ((cells & dark, "0.9"), (cells & ~dark, "0.25")):
        corners = [[(j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1)] for i, j in np.argwhere(chosen)]
        if corners:
            style = {"facecolors": "none", "edgecolors": colour, "linewidths": 0, "hatch": pattern}
            ax.add_collection(PolyCollection(corners, **style), autolim=False)


def _triangles(ax: Axes, cells: np.ndarray, marker: str, dark: np.ndarray, raised: bool, raster: bool) -> None:
    rows, columns = np.nonzero(cells)
    shade = np.where(dark[rows, columns], "white", "black")
    size = min(3.5, 0.4 * 72 * min(PANEL[0] / cells.shape[1], PANEL[1] / cells.shape[0]))
    at = {"s": size**2, "marker": marker, "c": list(shade), "linewidths": 0, "rasterized": raster}
    ax.scatter(columns + 0.5, rows + (0.84 if raised else 0.5), **at)


def _line(ax: Axes, line: pd.DataFrame, xs: list[Any], dashes: str) -> None:
    """A measured boundary and where a theory expects it: black on white, so that both show on any colour.

    Intervals are whiskers, of many rows a band.
    """
    at, y, marker = _places(line["at"], xs), line["_y"], "o" if len(line) <= MARKED else ""
    low, high = (_places(line[end], xs, (0.0, float(len(xs))))[~np.isnan(at)] for end in ("low", "high"))
    if len(line) > MARKED:
        ax.fill_betweenx(y[~np.isnan(at)], low, high, color="white", alpha=0.35, linewidth=0, zorder=2.1)
    for colour, margin in (("white", 2.0), ("black", 0.0)):
        style = {"color": colour, "zorder": 2.6 - 0.1 * margin}
        if "predicted" in line:
            shape = "-" if margin else dashes
            ax.plot(_places(line["predicted"], xs), y, shape, linewidth=1.2 + margin, **style)
        if len(line) <= MARKED:
            ax.hlines(y[~np.isnan(at)], low, high, linewidth=0.8 + margin, **style)
        ax.plot(at, y, "-", linewidth=1 + margin, marker=marker, markersize=2.2 + margin, **style)


def _places(values: pd.Series, axis: list[Any], ends: tuple[float, float] = (np.nan, np.nan)) -> np.ndarray:
    """Where values lie on an axis of cells of width 1, interpolated as the axis is spaced; `ends` for those beyond."""
    found, known = values.to_numpy(float), np.asarray(axis, float)
    if _logarithmic(axis):
        with np.errstate(divide="ignore"):
            found, known = np.log(np.maximum(found, 0.0)), np.log(known)
    return np.interp(found, known, np.arange(len(axis)) + 0.5, *ends)


def _label(ax: Axes, x: str, xs: list[Any], y: str, ys: list[Any]) -> None:
    across, up = thin_ticks(len(xs), 8), thin_ticks(len(ys), 12)
    first = ax.get_subplotspec().is_first_col()  # type: ignore[union-attr]
    ax.set_xticks([i + 0.5 for i in across], ticks([xs[i] for i in across]), rotation=0)
    ax.set_yticks([i + 0.5 for i in up], ticks([ys[i] for i in up]) if first else [], rotation=0)
    ax.set_xlabel(axis_label(x) + _spacing(xs))
    ax.set_ylabel(axis_label(y) + _spacing(ys) if first else "")
    ax.tick_params(length=2)


def _spacing(values: list[Any]) -> str:
    return " (log scale)" if _logarithmic(values) else ""


def _logarithmic(values: list[Any]) -> bool:
    """Do neighbours stand in one ratio?"""
    if len(values) < 3 or isinstance(values[0], str) or values[0] <= 0:
        return False
    ratios = np.diff(np.log(np.asarray(values, float)))
    return bool(np.ptp(ratios) <= 0.1 * ratios.mean())


def _marked(cells: pd.DataFrame) -> bool:
    """Whether it is a question if the interval excludes 0."""
    return cells.attrs["column"] == "difference"


def _caption(cells: pd.DataFrame, lines: Sequence[pd.DataFrame]) -> str:
    marks = [count_sentence(cells)]
    marks += [f"▲ ▼: the {100 * cells.attrs['level']:g} % interval lies above / below 0"] if _marked(cells) else []
    nowhere = int(cells[[cells.attrs["x"], cells.attrs["y"]]].isna().any(axis=1).sum())
    marks += [f"{nowhere} cells without a value on an axis are not drawn"] if nowhere else []
    marks += ["///: runs are missing"] if cells["incomplete"].any() else []
    marks += ["xxx: runs without a finite value"] if (cells["nonfinite"] > 0).any() else []
    often = "censored" in cells and (cells["censored"] > OFTEN).any()
    marks += ["...: more than half of the runs are censored"] if often else []
    return "; ".join([*marks, *dict.fromkeys(_words(lines))]) + "."


def _words(lines: Sequence[pd.DataFrame]) -> Iterator[str]:
    """What each line is."""
    for line, words in zip(lines, cycle(DASHES.values()), strict=False):
        value, level, confidence = (line.attrs[key] for key in ("value", "level", "confidence"))
        yield f"solid: {axis_label(value)} = {format_number(level)}, with its {100 * confidence:g} % interval"
        if "predicted" in line:
            yield f"{words}: {line.attrs['theory']}".replace(" ", "\N{NO-BREAK SPACE}")
