"""The report section on the critical batch size: where the error jumps as the batch grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.lines import gap_figure
from analysis.figures.phase_diagram import phase_diagram
from analysis.figures.style import facet_label
from analysis.reporting.section import Section
from analysis.reporting.view import View, make_view
from analysis.stats.cells import Cells
from analysis.stats.critical_batch import BATCH_SIZE, CriticalBatch
from analysis.tables.axes import finite_values
from analysis.tables.labels import axis_label, format_number
from sweep.wording import first_upper


def batch_sections(view: View, confidence: float, level: float) -> Iterator[Section]:
    """Where the test error crosses a level along the batch size, if that varies.

    Args:
        view: The runs and their axes; the section has axes of its own.
        confidence: Confidence of the intervals.
        level: The test error on the boundary.
    """
    runs = view.all_runs
    if BATCH_SIZE not in runs or runs[BATCH_SIZE].nunique() < 2:
        return
    own = make_view(runs, BATCH_SIZE, facet="optimizer", tuning=view.tuning)
    if own.runs[BATCH_SIZE].nunique() < 2 or finite_values(own.runs, "test_error").isna().all():
        return
    # Such as the numbers of a curriculum that only some runs have.
    if own.runs[own.keys].isna().any(axis=None):
        return
    table = CriticalBatch(own.y, level=level, confidence=confidence)(own.runs)
    cells = _cells(own.runs, table)
    yield Section(
        "critical-batch",
        "Critical batch size",
        " ".join([_caption(level, confidence), *own.notes]),
        table,
        batch_figure(own.runs, table),
        critical_sentences(table),
        cells=cells,
        headline=False,
    )


def batch_figure(runs: pd.DataFrame, table: pd.DataFrame, width: str | None = None) -> Figure:
    """The value over the batch size: lines, or a map with the boundary where there is a y.

    Args:
        runs: The runs that the table was made of.
        table: A table of CriticalBatch.
        width: `single` or `double` column of a paper.
    """
    cells = _cells(runs, table)
    if cells.attrs["y"] is None:
        return gap_figure(cells, width=width)
    return phase_diagram(cells, lines=[table], width=width)


def critical_sentences(table: pd.DataFrame) -> list[str]:
    """Where each optimizer crosses the level, a sentence for each row of a table."""
    return [_sentence(row, table.attrs) for row in table.to_dict("records")]


def _sentence(row: Mapping[Any, Any], attrs: Mapping[Any, Any]) -> str:
    facet, y, value = attrs["facet"], attrs["y"], axis_label(attrs["value"])
    place = facet_label(facet, row[facet]) if facet else "the runs"
    if y:
        place = f"{place} at {y} = {format_number(row[y])}"
    crossing = f"{value} of {attrs['level']:g}"
    if not np.isfinite(row["at"]):
        if row["side"] in ("above", "below"):
            where = f"lies {row['side']} {attrs['level']:g} at every batch size that was run"
            return f"{first_upper(place)}: the mean {value} {where}."
        return f"{first_upper(place)}: a {crossing} is crossed at no batch size within the grid."
    interval = f"[{format_number(row['low'])}, {format_number(row['high'])}]"
    change = "rises" if row["value_above"] > row["value_below"] else "falls"
    sides = ""
    if np.isfinite(row["below"]):
        sizes = [format_number(row[name]) for name in ("below", "above")]
        values = [format_number(row[f"value_{name}"], 2) for name in ("below", "above")]
        sides = (
            f"; between the batch sizes {sizes[0]} and {sizes[1]}, which were run, it {change} from "
            f"{values[0]} to {values[1]}"
        )
    return (
        f"{first_upper(place)}: a {crossing} is crossed at batch size {format_number(row['at'])} "
        f"{interval}{sides}."
    )


def _cells(runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    attrs = table.attrs
    cells = Cells(BATCH_SIZE, attrs["y"], attrs["value"], attrs["facet"], attrs["confidence"])
    return cells(runs)


def _caption(level: float, confidence: float) -> str:
    return (
        f"Mean over seeds along the batch size, and where it crosses {level:g}, with its "
        f"{100 * confidence:g} % interval (a bootstrap over seeds, as for every boundary of this "
        "page). Where the error jumps between two batch sizes that were run, the interval covers "
        "the gap between them. ∞ or -∞: every mean is on one side, and the trend would cross beyond "
        "that end of the axis. A run of a smaller batch makes more updates in as many epochs."
    )
