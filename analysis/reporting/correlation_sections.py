"""Report sections on what the test error goes with: sharpness, effective rank and the like."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.figures.correlation import correlation_figure
from analysis.figures.style import facet_label
from analysis.reporting.section import Section
from analysis.reporting.view import View
from analysis.stats.correlation import Correlation
from analysis.tables.axes import finite_values
from analysis.tables.labels import axis_label, format_interval, format_number
from sweep.wording import counted, first_upper

GENERALIZATION_MEASURES = ("sharpness", "hessian_trace", "stable_rank", "effective_rank")
"""Observables that are proposed to tell how well a network generalizes, where they are measured."""

CAPTION = (
    "One point a run. Spearman's rank correlation is taken over the seeds of each cell, where "
    "nothing but the seed differs, and averaged over cells; over all runs it mixes in what the "
    "axes of the grid do to both. A correlation is no cause."
)


def correlation_sections(view: View, confidence: float) -> Iterator[Section]:
    """A section for each measure of generalization that the runs have."""
    for other in GENERALIZATION_MEASURES:
        if other not in view.runs or finite_values(view.runs, other).isna().all():
            continue
        if finite_values(view.runs, "test_error").isna().all():
            return
        relation = Correlation(other, "test_error", view.x, view.y, confidence=confidence)
        table, points = relation(view.runs), relation.points(view.runs)
        yield Section(
            f"relation-{other}",
            f"Test error and {axis_label(other)}",
            CAPTION,
            table,
            correlation_figure(points),
            correlation_sentences(table),
            cells=points,
            headline=False,
        )


def correlation_sentences(table: pd.DataFrame) -> list[str]:
    """What a table of Correlation says, a sentence for each facet."""
    value, other = axis_label(table.attrs["value"]), axis_label(table.attrs["other"])
    facet = table.attrs["facet"]
    sentences = []
    for row in table.to_dict("records"):
        start = f"{first_upper(facet_label(facet, row[facet]))}: " if facet else ""
        sentences.append(first_upper(f"{start}{_relation(row, value, other)}"))
    return sentences


def _relation(row: dict, value: str, other: str) -> str:
    """The clause on one facet."""
    if not np.isfinite(row["correlation"]):
        return f"in no cell do both {value} and {other} differ between three or more seeds."
    number = format_interval(row["correlation"], row["low"], row["high"], "+")
    skipped = ""
    if row["constant"]:
        verb = "is" if row["constant"] == 1 else "are"
        skipped = f" ({counted(row['constant'], 'other cell')} without variation {verb} left out)"
    verdict = "the seeds do not determine whether they rise together"
    if row["low"] > 0:
        verdict = f"within a cell, seeds with a larger {other} have a larger {value}"
    elif row["high"] < 0:
        verdict = f"within a cell, seeds with a larger {other} have a smaller {value}"
    return (
        f"{verdict}; mean rank correlation {number} over {counted(row['cells'], 'cell')}{skipped}. "
        f"Over all {counted(row['runs'], 'run')} it is {format_number(row['over_all_runs'], 2)}."
    )
