"""What a page says of implicit bias: which margin each linear classifier maximizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.curves import Bands
from analysis.exhibit import Exhibit
from analysis.load import load_curves, parts
from analysis.margins import Margins, best_margins
from analysis.plot import curves_figure
from analysis.tables import training_axes
from analysis.words import interval, number
from sweep.schema import CURVES

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"margin_l2": "best_l2", "margin_linf": "best_linf"}
"""Columns of the runs, and of `best_margins` what they are shares of."""


def margin_exhibits(folder: Path, runs: pd.DataFrame, confidence: float) -> Iterator[Exhibit]:
    """Margins of linear classifiers beside the exact maximum margins of their data; nothing for other sweeps."""
    known = runs[(runs["data"] == "separable") & (runs["coordinates"] != "gram") & runs["margin_l2"].notna()]
    if known.empty:
        return
    axes = training_axes(known)
    named = known.assign(run=_named(known, axes))
    named.attrs = {**runs.attrs, "tuned": [*runs.attrs.get("tuned", ()), "optimizer", *axes]}
    best = best_margins(named)
    table = Margins(facet="run", level=confidence)(named, best)
    caption = "Margins at the end as shares of the largest margins that any linear classifier has on the same points, "
    caption += (
        "found by quadratic and linear programming: mean over seeds. lead: l-infinity share minus l2 share, paired."
    )
    yield Exhibit("margins", "Implicit bias: margins", caption, table, said=margin_sentences(table))
    if parts(folder, CURVES):
        yield _course(folder, named, best, confidence)


def margin_sentences(table: pd.DataFrame) -> list[str]:
    """For each kind of run the shares of both margins that it reaches, and which of them is ahead."""
    ahead = {
        "l2": "the l2 margin is ahead",
        "linf": "the l-infinity margin is ahead",
        "none": "neither is ahead for sure",
    }
    told = []
    for row in table.to_dict("records"):
        l2, linf = (interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in ("l2", "linf"))
        largest = f"{l2} of the largest l2 margin and {linf} of the largest l-infinity margin"
        told.append(f"{row['run']}: {largest}; {ahead[row['bias']]}.")
    return told


def _named(runs: pd.DataFrame, axes: list[str]) -> pd.Series:
    """`adam, eps = 1e-8`: the optimizer with what differs between its runs of one problem."""
    import pandas as pd

    def name(row: pd.Series) -> str:
        own = [f"{axis} = {number(row[axis])}" for axis in axes if pd.notna(row[axis])]
        return ", ".join([str(row["optimizer"]), *own])

    return runs.apply(name, axis=1)


def _course(folder: Path, named: pd.DataFrame, best: pd.DataFrame, confidence: float) -> Exhibit:
    curves = load_curves(folder, trials=named["trial"].tolist()).merge(named[["trial", "run"]], on="trial")
    ideal = best.set_index("problem").loc[curves["problem"]].set_index(curves.index)
    curves = curves.assign(**{margin: (curves[margin] / ideal[most]).clip(lower=0) for margin, most in SHARES.items()})
    curves.attrs = dict(named.attrs)
    bands = Bands(tuple(SHARES), "run", confidence)(curves)
    caption = "Both margins over the steps, as shares of the largest ones; 1 is the best classifier, "
    caption += "0 one that does not yet fit all points."
    return Exhibit("margin-curves", "Margins over steps", caption, bands, curves_figure(bands))
