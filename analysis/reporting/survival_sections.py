"""Report sections on how runs end: when they fit the training data, and when a feature flips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.figures.phase_diagram import phase_diagram
from analysis.figures.survival import survival_figure
from analysis.reporting.section import Section
from analysis.reporting.view import View
from analysis.stats.survival import FitTime, SignFlips
from analysis.tables.axes import sorted_unique
from analysis.tables.columns import kind_label
from analysis.tables.labels import format_interval, format_number
from sweep.wording import counted, first_upper

FIT_TIME_CAPTION = (
    "Median over seeds of the first recorded step with zero training error (Kaplan-Meier "
    "estimate; a run that reached the cap on steps is censored, one that diverged never fits)."
)

DOTTED = "Dotted: more than half of the runs do not fit."


def fit_time_sections(view: View, confidence: float) -> Iterator[Section]:
    """When the training set is first fitted; nothing where only the last step was recorded."""
    fits = view.runs["fit_step"].dropna()
    # If every fit is at the last step, the error was measured only there and tells no time.
    if fits.empty or (fits == view.runs.loc[fits.index, "steps"]).all():
        return
    fit_time = FitTime(view.x, view.y, "optimizer", confidence)
    table = fit_time(view.runs)
    cells = None if view.y is None else _as_cells(table)
    yield Section(
        "fit-step",
        "Steps until the training data is fitted",
        FIT_TIME_CAPTION if cells is None else f"{FIT_TIME_CAPTION} {DOTTED}",
        table,
        None if cells is None else phase_diagram(cells),
        _unfitted_sentences(table),
        cells,
        headline=False,
    )
    if view.x is None:
        shares = fit_time.shares(view.runs)
        title, caption = "Runs that fit by each step", "Share of the runs that fit by each step."
        yield Section("fit-share", title, caption, shares, survival_figure(shares))


def _as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """A table of FitTime as cells of a phase diagram; medians beyond the cap are left out."""
    cells = table.rename(columns={"median": "mean", "runs": "count", "diverged": "nonfinite"})
    cells["mean"] = cells["mean"].where(np.isfinite(cells["mean"]))
    # Cells counts runs with a finite value only.
    cells["count"] -= cells["nonfinite"]
    cells["incomplete"] = cells["unfinished"] > 0
    cells["expected"] = table["runs"] + cells["unfinished"]
    cells.attrs = {**table.attrs, "of": "fit_step", "column": "mean"}
    return cells


def _unfitted_sentences(table: pd.DataFrame) -> list[str]:
    """How the runs end that do not fit, for each optimizer that has such runs."""
    endings = ("capped", "diverged", "converged", "unfinished")
    sentences = []
    for name in sorted_unique(table, "optimizer"):
        part = table[table["optimizer"] == name]
        counts = {ending: int(part[ending].sum()) for ending in endings}
        listing = ", ".join(f"{count} {ending}" for ending, count in counts.items() if count)
        if listing:
            label = first_upper(kind_label("optimizer", str(name)))
            sentences.append(f"{label}: runs that do not fit their training data: {listing}.")
    return sentences


def sign_flip_sections(
    curves: pd.DataFrame, cell_phrase: str, confidence: float
) -> Iterator[Section]:
    """How many runs unlearn the feature, and when; nothing where no feature was recorded.

    Args:
        curves: Curves of one cell.
        cell_phrase: The cell in words, as the start of a caption; may be empty.
        confidence: Confidence of the intervals.
    """
    if "feature" not in curves or curves["feature"].isna().all():
        return
    table = SignFlips(facet="optimizer", confidence=confidence)(curves)
    caption = (
        f"{cell_phrase}A run flips when feature learning, having been above 0, falls to 0 or "
        "below. The flip happens between two recorded steps, given as `after` and `median` (each "
        "a median over seeds)."
    )
    sentences = [_flip_sentence(table, cell_phrase)]
    title = "Sign flips of feature learning"
    yield Section("flips", title, caption, table, sentences=sentences)


def _flip_sentence(table: pd.DataFrame, cell_phrase: str) -> str:
    """How many runs of each optimizer flip, and when, in one sentence; names the cell if given."""
    clauses = []
    for row in table.to_dict("records"):
        share = format_interval(row["share"], row["share_low"], row["share_high"])
        name = kind_label("optimizer", row["optimizer"])
        count = f"{row['flipped']:.0f} of {counted(int(row['runs']), 'run')} of {name}"
        clause = f"in {count} (a share of {share})"
        if np.isfinite(row["median"]):
            clause += f", at step {format_number(row['median'])} in the median"
        clauses.append(clause)
    sentence = f"feature learning turns negative {'; '.join(clauses)}."
    if cell_phrase:
        return f"{cell_phrase.removesuffix('. ')}: {sentence}"
    return first_upper(sentence)
