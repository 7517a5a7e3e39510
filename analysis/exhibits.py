"""What a page shows of a sweep: tables, their figures, and what they say in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.curves import FIGURE, Bands
from analysis.heat import phase_diagram
from analysis.load import load_curves, parts
from analysis.pair import PairedGap, pairs
from analysis.phase import Cells
from analysis.plot import curves_figure, gap_figure
from analysis.tables import largest, levels
from analysis.view import View
from analysis.words import error_sentences, gap_sentences, interval, label, range_sentence, where
from sweep.schema import CURVES, OBSERVABLES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

OTHERWISE = ("train_loss", "train_error", "test_error")
"""Observables whose curves are shown where a network has no features or the data no noise."""

PANELS = 4
"""Most panels of a figure of lines."""


@dataclass(frozen=True)
class Exhibit:
    """A table of the page, its figure if it has one, and what they say. `name` is that of its files."""

    name: str
    title: str
    caption: str
    table: pd.DataFrame
    figure: Figure | None = None
    said: list[str] = field(default_factory=list)

    @property
    def wide(self) -> bool:
        """Whether the figure has several panels side by side."""
        return self.figure is not None and self.figure.get_figwidth() > 5

    @property
    def alt(self) -> str:
        """What the figure shows, for those who cannot see it."""
        return f"{self.title}. {range_sentence(self.table)} The numbers are in the table below or in the CSV file."


def exhibits(folder: Path, shown: View, level: float) -> Iterator[Exhibit]:
    """All that a page shows, the paired difference first.

    Raises StoreError where the curves cannot be read.
    """
    yield from _gaps(shown, level)
    if shown.x is None:
        yield _means(shown.runs, level)
    elif shown.y is None:
        yield from _lines(shown, level)
    else:
        yield from _planes(shown, level)
    if parts(folder, CURVES):
        yield from _curves(folder, shown, level)


def _gaps(shown: View, level: float) -> Iterator[Exhibit]:
    """Paired differences: a map, a line or a number."""
    for a, b in pairs(shown.runs):
        paired = PairedGap(a, b, by=shown.by)(shown.runs)
        cells = Cells(shown.x, shown.y, "difference", level=level)(paired)
        title, name = f"Test error, {a} minus {b}, on the same problems", f"paired-{a}-{b}"
        caption = f"Same data and same first weights: above 0, {b} generalizes better. "
        caption += f"{len(paired)} problems were run with both; {paired.attrs['unpaired']} with one of the two only."
        yield Exhibit(name, title, caption, cells, draw(cells), gap_sentences(cells))


def draw(cells: pd.DataFrame, title: str = "") -> Figure | None:
    """The figure that fits a table of Cells: a map, lines, or None for a single cell or none at all."""
    if cells.empty or cells.attrs["x"] is None:
        return None
    return gap_figure(cells, title) if cells.attrs["y"] is None else phase_diagram(cells, title)


def _planes(shown: View, level: float) -> Iterator[Exhibit]:
    for value in ("test_error", "generalization_gap"):
        cells = Cells(shown.x, shown.y, value, "optimizer", level)(shown.runs)
        said = error_sentences(cells) if value == "test_error" else []
        caption = f"{_meaning(value)} Mean over seeds in each cell."
        yield Exhibit(f"phase-{value}", label(value).capitalize(), caption, cells, phase_diagram(cells), said)
    yield from _lines(shown, level, ("generalization_gap",))


def _lines(
    shown: View, level: float, values: tuple[str, ...] = ("test_error", "generalization_gap")
) -> Iterator[Exhibit]:
    runs = shown.runs
    if shown.y is not None:
        ys = list(levels(runs, shown.y))
        some = [ys[round(i * (len(ys) - 1) / (PANELS - 1))] for i in range(PANELS)]
        runs = runs[runs[shown.y].isin(some)]
    for value in values:
        cells = Cells(shown.x, shown.y, value, "optimizer", level)(runs)
        said = error_sentences(cells) if shown.y is None and value == "test_error" else []
        title = f"{label(value).capitalize()} against {label(shown.x or '')}"
        few = f" At some values of {label(shown.y)}." if shown.y else ""
        yield Exhibit(f"lines-{value}", title, f"{_meaning(value)}{few}", cells, gap_figure(cells), said)


def _means(runs: pd.DataFrame, level: float) -> Exhibit:
    """Nothing but the seed varies: a table of means instead of a picture."""
    import pandas as pd

    values = [name for name in OBSERVABLES if runs[name].notna().any()]
    columns = {
        str(name): [_told(Cells(None, None, value, level=level)(own)) for value in values]
        for name, own in runs.groupby("optimizer")
    }
    columns |= {
        f"{a} - {b}, paired": [
            _told(Cells(None, None, "difference", level=level)(PairedGap(a, b, value)(runs))) for value in values
        ]
        for a, b in pairs(runs)
    }
    errors = Cells(None, None, "test_error", "optimizer", level)(runs)
    counted = ", ".join(f"{count} of {name}" for name, count in zip(errors["optimizer"], errors["count"], strict=True))
    caption = f"Mean over seeds with its {100 * level:g} % interval. Finite runs: {counted}."
    table = pd.DataFrame({"mean over seeds": values, **columns})
    return Exhibit("means", "Means", caption, table, said=error_sentences(errors))


def _told(cells: pd.DataFrame) -> str:
    return "none" if cells.empty else interval(*cells[["mean", "low", "high"]].iloc[0])


def _curves(folder: Path, shown: View, level: float) -> Iterator[Exhibit]:
    cell, place = telling(shown, level)
    curves = load_curves(folder, trials=cell["trial"].tolist())
    recorded = [name for name in OBSERVABLES if curves.loc[curves[name].notna(), "step"].nunique() > 1]
    values = FIGURE if set(FIGURE) <= set(recorded) else tuple(name for name in OTHERWISE if name in recorded)
    if not values:
        return
    curves.attrs["tuned"] = shown.runs.attrs.get("tuned", ())
    bands = Bands(values, level=level)(curves)
    caption = f"{place}A run that has ended keeps its last value."
    yield Exhibit("curves", " and ".join(map(label, values)).capitalize(), caption, bands, curves_figure(bands))


def telling(shown: View, level: float) -> tuple[pd.DataFrame, str]:
    """The runs of the cell with the largest paired difference, or test error, and its name in words."""
    if not shown.keys:
        return shown.runs, ""
    compared = pairs(shown.runs)
    table = PairedGap(*compared[0], by=shown.by)(shown.runs) if compared else shown.runs
    cells = Cells(shown.x, shown.y, "difference", level=level)(table) if compared else None
    what = (
        f"the largest paired difference, {compared[0][0]} minus {compared[0][1]}"
        if compared
        else "the largest test error"
    )
    if cells is None or cells["mean"].isna().all():
        cells = Cells(shown.x, shown.y, "test_error", "optimizer", level)(shown.runs)
        what = "the largest test error"
    top = largest(cells)
    inside = (shown.runs[shown.keys] == top[shown.keys]).all(axis=1)
    return shown.runs[inside], f"At {where(top, shown.keys)}, the cell with {what}. "


def _meaning(value: str) -> str:
    return f"{label(value).capitalize()}: {OBSERVABLES[value]}."
