"""What a page says of how runs end: when they fit the training data, how many never do, and when a feature flips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from analysis.figures.phase_diagram import phase_diagram
from analysis.figures.survival import survival_figure
from analysis.reporting.section import Section
from analysis.stats.survival import FitTime, SignFlips
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import format_interval, format_number

if TYPE_CHECKING:
    import pandas as pd

    from analysis.reporting.view import View


def fit_time_sections(shown: View, confidence: float) -> Iterator[Section]:
    """When the training set is first fitted, with what is censored; nothing where only the last step was looked at."""
    fits = shown.runs["fit_step"].dropna()
    if fits.empty or (fits == shown.runs.loc[fits.index, "steps"]).all():
        return
    fit = FitTime(shown.x, shown.y, "optimizer", confidence)
    table = fit(shown.runs)
    caption = (
        "Median over seeds of the first recorded step without a training error (Kaplan and Meier; a run that the cap "
    )
    caption += (
        "of steps ended is censored, one that diverged never fits). Dotted: more than half of the runs do not fit."
    )
    title, cells = "Steps until the training data is fitted", None if shown.y is None else _cells(table)
    figure = None if cells is None else phase_diagram(cells)
    yield Section("fit-step", title, caption, table, figure, _fits_told(table), cells, headline=False)
    if shown.x is None:
        shares = fit.shares(shown.runs)
        caption = "Share of the runs that fit their training data by each step."
        yield Section("fit-share", "Runs that fit by each step", caption, shares, survival_figure(shares))


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """A table of FitTime as cells of a phase diagram: medians that the cap hides are left out and dotted."""
    cells = table.rename(columns={"median": "mean", "runs": "count", "diverged": "nonfinite"})
    cells["mean"] = cells["mean"].where(np.isfinite(cells["mean"]))
    cells["count"] -= cells["nonfinite"]
    cells["incomplete"], cells["expected"] = cells["unfinished"] > 0, table["runs"] + cells["unfinished"]
    cells.attrs = {**table.attrs, "of": "fit_step", "column": "mean"}
    return cells


def sign_flip_sections(curves: pd.DataFrame, place: str, confidence: float) -> Iterator[Section]:
    """How many runs unlearn the feature, and when; nothing without a feature."""
    if "feature" not in curves or curves["feature"].isna().all():
        return
    table = SignFlips(facet="optimizer", confidence=confidence)(curves)
    caption = (
        f"{place}A run flips where feature learning, once above 0, falls to 0 or below: between the steps after and "
    )
    caption += "median, the recorded ones before and at the flip (medians over seeds)."
    yield Section("flips", "Sign flips of feature learning", caption, table, said=[_flips_told(table, place)])


def _fits_told(table: pd.DataFrame) -> list[str]:
    """For each optimizer of which some runs do not fit, how those end."""
    homes = ("capped", "diverged", "converged", "unfinished")
    told = []
    for name in sorted_unique(table, "optimizer"):
        own = table[table["optimizer"] == name]
        rest = [f"{count} {home}" for home in homes if (count := int(own[home].sum()))]
        if rest:
            told.append(f"{name}: runs without a fit of their training data: {', '.join(rest)}.")
    return told


def _flips_told(table: pd.DataFrame, place: str) -> str:
    """For all optimizers in one sentence, which says where."""
    told = []
    for row in table.to_dict("records"):
        share = format_interval(row["share"], row["share_low"], row["share_high"])
        when = f", at step {format_number(row['median'])} in the median" if np.isfinite(row["median"]) else ""
        many = f"{row['flipped']:.0f} of {row['runs']:.0f} runs of {row['optimizer']}"
        told.append(f"in {many} (a share of {share}){when}")
    what = f"feature learning turns negative {'; '.join(told)}."
    return f"{place.removesuffix('. ')}: {what}" if place else what[0].upper() + what[1:]
