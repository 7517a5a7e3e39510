"""Report sections on implicit bias: which margin each linear classifier maximizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from analysis.figures.lines import curves_figure
from analysis.reporting.section import Section
from analysis.stats.bands import Bands
from analysis.stats.margins import Margins, best_margins
from analysis.tables.axes import training_axes
from analysis.tables.columns import kind_label
from analysis.tables.labels import format_interval, format_number
from analysis.tables.load import load_curves, part_files
from sweep.schema import CURVES
from sweep.wording import first_upper

MAXIMUM_MARGINS = {"margin_l2": "best_l2", "margin_linf": "best_linf"}
"""Columns of margins in the runs, and the columns of `best_margins` that bound them."""

MARGIN_NAMES = {"margin_l2": "l2", "margin_linf": "l-infinity"}
"""The margins in sentences."""

VERDICTS = {
    "l2": "the l2 share is larger",
    "linf": "the l-infinity share is larger",
    "none": "neither share is significantly larger",
}
"""Values of the column `bias` of Margins, in words."""

STATIONARY = 0.01
"""A share counts as stationary if it changes by less over the last half of the steps."""

MARGINS_CAPTION = (
    "Final margins as shares of the largest margins that any linear classifier attains on the "
    "same points, computed by quadratic and linear programming; mean over seeds. lead: "
    "l-infinity share minus l2 share, paired."
)

CURVES_CAPTION = (
    "Both margins over the steps, as shares of the largest ones; 1 is the best classifier, 0 one "
    "that does not yet fit all points."
)


def margin_sections(folder: Path, runs: pd.DataFrame, confidence: float) -> Iterator[Section]:
    """Margins of linear classifiers beside the exact maximum margins of their data.

    Nothing for sweeps without such classifiers, or without separable training sets.

    Args:
        folder: The store, for the curves.
        runs: A table of runs.
        confidence: Confidence of the intervals.
    """
    # Exact maximum margins need the data points themselves, so Gram coordinates are left out.
    usable = (runs["data"] == "separable") & (runs["coordinates"] != "gram")
    linear = runs[usable & runs["margin_l2"].notna()]
    if linear.empty:
        return
    axes = training_axes(linear)
    named = linear.assign(run=_run_names(linear, axes))
    named.attrs = {**runs.attrs}
    # `run` separates these columns already, so nothing is averaged over them.
    named.attrs["tuned"] = [*runs.attrs.get("tuned", ()), "optimizer", *axes]
    best = best_margins(named).dropna()
    named = named[named["problem"].isin(best["problem"])]
    if named.empty:
        return  # no hyperplane separates any of the training sets
    margins = Margins(facet="run", level=confidence)(named, best)
    order = named.sort_values(["optimizer", *axes])["run"].drop_duplicates().tolist()
    table = margins.set_index("run").loc[order].reset_index()
    table.attrs = dict(margins.attrs)
    curves = _share_curves(folder, named, best) if part_files(folder, CURVES) else None
    trends = {} if curves is None else _trends(curves)
    sentences = margin_sentences(table, trends)
    title = "Implicit bias: margins"
    yield Section("margins", title, MARGINS_CAPTION, table, sentences=sentences)
    if curves is not None:
        bands = Bands(tuple(MAXIMUM_MARGINS), "run", confidence)(curves)
        figure = curves_figure(bands)
        yield Section("margin-curves", "Margins over steps", CURVES_CAPTION, bands, figure)


def margin_sentences(
    table: pd.DataFrame, trends: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """For each kind of run the shares of both margins, which is larger, and its trend.

    Args:
        table: A table of Margins with the facet `run`.
        trends: For each run a clause about how its margins still change.
    """
    sentences = []
    for row in table.to_dict("records"):
        l2, linf = (
            format_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
            for name in ("l2", "linf")
        )
        sentences.append(
            f"{first_upper(row['run'])}: {l2} of the largest l2 margin and {linf} of the largest l-infinity "
            f"margin; {VERDICTS[row['bias']]}{trends.get(row['run'], '')}."
        )
    return sentences


def _trends(curves: pd.DataFrame) -> dict[str, str]:
    """For each kind of run a clause about the last half of its steps."""
    shares = list(MAXIMUM_MARGINS)
    return {
        str(name): _trend_clause(part.groupby("step")[shares].mean())
        for name, part in curves.groupby("run")
    }


def _trend_clause(means: pd.DataFrame) -> str:
    """How the mean shares (steps, margins) of one kind of run change at the end."""
    final, halfway = means.iloc[-1], means[means.index <= means.index.max() / 2].iloc[-1]
    changes, peaks = [], []
    for column, name in MARGIN_NAMES.items():
        change, peak = final[column] - halfway[column], means[column].max()
        if abs(change) >= STATIONARY:
            changes.append(f"{name} by {change:+.2f}")
        if peak - final[column] >= 2 * STATIONARY:
            step = format_number(means[column].idxmax())
            peaks.append(f"the {name} share peaked at {peak:.2f} at step {step}")
    clause = "; both are stationary over the last half of the steps"
    if changes:
        clause = f"; over the last half of the steps still changing: {' and '.join(changes)}"
    return "; ".join([clause, " and ".join(peaks)]) if peaks else clause


def _run_names(runs: pd.DataFrame, axes: list[str]) -> pd.Series:
    """`Adam, eps = 1e-8`: the optimizer with what differs between its runs of one problem."""

    def run_name(row: pd.Series) -> str:
        settings = [f"{axis} = {format_number(row[axis])}" for axis in axes if pd.notna(row[axis])]
        return ", ".join([kind_label("optimizer", row["optimizer"]), *settings])

    return runs.apply(run_name, axis=1)


def _share_curves(folder: Path, named: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The curves with both margins as shares of the largest, 0 where not all points are fitted."""
    curves = load_curves(folder, trials=named["trial"].tolist())
    curves = curves.merge(named[["trial", "run"]], on="trial")
    largest = best.set_index("problem").loc[curves["problem"]].set_index(curves.index)
    shares = {
        margin: (curves[margin] / largest[maximum]).clip(lower=0)
        for margin, maximum in MAXIMUM_MARGINS.items()
    }
    curves = curves.assign(**shares)
    curves.attrs = dict(named.attrs)
    return curves
