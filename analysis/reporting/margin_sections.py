"""What a page says of implicit bias: which margin each linear classifier maximizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from analysis.figures.lines import curves_figure
from analysis.reporting.section import Section
from analysis.stats.bands import Bands
from analysis.stats.margins import Margins, best_margins
from analysis.tables.axes import training_axes
from analysis.tables.labels import format_interval, format_number
from analysis.tables.load import load_curves, part_files
from sweep.schema import CURVES

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"margin_l2": "best_l2", "margin_linf": "best_linf"}
"""Columns of the runs, and of `best_margins` what they are shares of."""


def margin_sections(folder: Path, runs: pd.DataFrame, confidence: float) -> Iterator[Section]:
    """Margins of linear classifiers beside the exact maximum margins of their data; nothing for other sweeps."""
    known = runs[(runs["data"] == "separable") & (runs["coordinates"] != "gram") & runs["margin_l2"].notna()]
    if known.empty:
        return
    axes = training_axes(known)
    named = known.assign(run=_named(known, axes))
    named.attrs = {**runs.attrs, "tuned": [*runs.attrs.get("tuned", ()), "optimizer", *axes]}
    best = best_margins(named)
    table = Margins(facet="run", level=confidence)(named, best)
    order = named.sort_values(["optimizer", *axes])["run"].drop_duplicates().tolist()
    table = _with_attrs(table.set_index("run").loc[order].reset_index(), table)
    curves = _shares(folder, named, best) if part_files(folder, CURVES) else None
    moves = {} if curves is None else _moves(curves)
    caption = "Margins at the end as shares of the largest margins that any linear classifier has on the same points, "
    caption += (
        "found by quadratic and linear programming: mean over seeds. lead: l-infinity share minus l2 share, paired."
    )
    yield Section("margins", "Implicit bias: margins", caption, table, said=margin_sentences(table, moves))
    if curves is not None:
        yield _course(curves, confidence)


def margin_sentences(table: pd.DataFrame, moves: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """For each kind of run the shares of both margins that it reaches, which is larger, and what still `moves`."""
    ahead = {
        "l2": "the l2 share is the larger one",
        "linf": "the l-infinity share is the larger one",
        "none": "neither is larger for sure",
    }
    told = []
    for row in table.to_dict("records"):
        l2, linf = (format_interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in ("l2", "linf"))
        largest = f"{l2} of the largest l2 margin and {linf} of the largest l-infinity margin"
        told.append(f"{row['run']}: {largest}; {ahead[row['bias']]}{moves.get(row['run'], '')}.")
    return told


STILL = 0.01
"""A share that changes by less over the last half of the steps stands still."""


def _moves(curves: pd.DataFrame) -> dict[str, str]:
    """For each kind of run how the mean share of each margin moves over the last half of the steps, and from where."""
    return {str(name): _moving(own.groupby("step")[list(SHARES)].mean()) for name, own in curves.groupby("run")}


def _moving(means: pd.DataFrame) -> str:
    """What is told of the mean shares (steps, margins) of one kind of run."""
    last, before = means.iloc[-1], means[means.index <= means.index.max() / 2].iloc[-1]
    named = dict(zip(SHARES, ("l2", "l-infinity"), strict=True))
    still = [
        f"{name} {last[key] - before[key]:+.2f}" for key, name in named.items() if abs(last[key] - before[key]) >= STILL
    ]
    told = f"; over the last half of the steps still {' and '.join(still)}" if still else "; neither moves any more"
    peaks = [
        f"the {name} share had been {means[key].max():.2f} at step {format_number(means[key].idxmax())}"
        for key, name in named.items()
        if means[key].max() - last[key] >= 2 * STILL
    ]
    return f"{told}; {' and '.join(peaks)}" if peaks else told


def _with_attrs(table: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    table.attrs = dict(like.attrs)
    return table


def _named(runs: pd.DataFrame, axes: list[str]) -> pd.Series:
    """`adam, eps = 1e-8`: the optimizer with what differs between its runs of one problem."""
    import pandas as pd

    def name(row: pd.Series) -> str:
        own = [f"{axis} = {format_number(row[axis])}" for axis in axes if pd.notna(row[axis])]
        return ", ".join([str(row["optimizer"]), *own])

    return runs.apply(name, axis=1)


def _shares(folder: Path, named: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The curves with both margins as shares of the largest ones, 0 where not all points are fitted."""
    curves = load_curves(folder, trials=named["trial"].tolist()).merge(named[["trial", "run"]], on="trial")
    ideal = best.set_index("problem").loc[curves["problem"]].set_index(curves.index)
    curves = curves.assign(**{margin: (curves[margin] / ideal[most]).clip(lower=0) for margin, most in SHARES.items()})
    curves.attrs = dict(named.attrs)
    return curves


def _course(curves: pd.DataFrame, confidence: float) -> Section:
    bands = Bands(tuple(SHARES), "run", confidence)(curves)
    caption = "Both margins over the steps, as shares of the largest ones; 1 is the best classifier, "
    caption += "0 one that does not yet fit all points."
    return Section("margin-curves", "Margins over steps", caption, bands, curves_figure(bands))
