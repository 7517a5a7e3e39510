"""Names, numbers and sentences as people read them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from analysis.tables.axes import largest_cell, sorted_unique
from analysis.tables.columns import column_info

if TYPE_CHECKING:
    import pandas as pd

LABELS = {"fit_step": "steps until the training data is fitted"}
"""Labels of columns that the engine itself makes, where they are not the name."""

FAR, NEAR = 0.4, 0.05
"""A test error that exceeds another one by more than FAR is far worse; one within NEAR of the best one generalizes."""

ROUNDING = 1e-6
"""Half the width of an interval that is none in six digits."""

FEW = 3
"""So many cells are named, more are counted."""


def axis_label(name: str) -> str:
    """The label of a column, with its symbol: from its declaration, else its name in words."""
    info = column_info(name)
    label = info.label or LABELS.get(name) or name.replace("_", " ")
    return f"{label} {info.symbol}".strip()


def format_number(value: Any, digits: int = 3) -> str:
    """A value of a column, short: three significant digits, whole numbers whole."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or math.isnan(value):
        return "none"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    short = re.sub(r"e([+-])0*", r"e\1", f"{float(value):.{digits}g}").replace("e+", "e")
    whole = float(value).is_integer() and abs(value) < 1e6
    return str(int(value)) if whole else short


def ticks(values: list[Any]) -> list[str]:
    """Labels of the values of one axis, with as many digits as it takes to tell them apart."""
    shortest = [[format_number(value, digits) for value in values] for digits in range(2, 8)]
    return next((labels for labels in shortest if len(set(labels)) == len(values)), shortest[-1])


def format_interval(mean: Any, low: Any, high: Any, sign: str = "") -> str:
    """`0.53 [0.49, 0.57]`, with two digits of the half width; the mean alone where there is no interval.

    An interval without width is none: then all seeds are alike.
    """
    half = (high - low) / 2
    if math.isnan(mean):
        return "none"
    alike = half <= ROUNDING
    places = 3 if alike or math.isnan(half) else max(0, min(6, 1 - math.floor(math.log10(half))))
    text = f"{mean:{sign}.{places}f}"
    if alike:
        return f"{text} (all seeds alike)"
    return text if math.isnan(half) else f"{text} [{low:.{places}f}, {high:.{places}f}]"


def cell_sentence(cell: pd.Series, keys: list[str]) -> str:
    """`snr = 0.3, n = 20`: the cell as a condition for people."""
    return ", ".join(f"{key} = {format_number(cell[key])}" for key in keys)


def completeness_sentence(runs: pd.DataFrame) -> str:
    """How many of the trials are there, in a sentence; begins with INCOMPLETE where some are missing."""
    have, expected = len(runs), runs.attrs.get("trials")
    if runs.attrs.get("complete") is False and expected is not None:
        missing = f"{expected - have:,} of {expected:,} trials are missing"
        return f"INCOMPLETE: {missing}. What follows may change when they are there."
    if runs.attrs.get("complete"):
        return f"Complete: all {have:,} trials are there."
    return f"{have:,} trials are there; the store does not say whether these are all."


def gap_sentences(cells: pd.DataFrame) -> list[str]:
    """What the cells of a paired difference say: how many, how sure, and the largest."""
    (a, b), value, m = cells.attrs["pair"], axis_label(cells.attrs["of"]), len(cells)
    known = cells[cells["mean"].notna()]
    if cells.empty:
        return [
            f"{a} and {b} were run on no common problem: their data, model, objective or seeds differ."
        ]
    if known.empty:
        return [f"On no problem are the {value} of {a} and that of {b} both finite."]
    keys = [key for key in (cells.attrs["x"], cells.attrs["y"]) if key is not None]
    above, below = (cells["low"] > 0).sum(), cells[cells["high"] < 0]
    percent = f"{100 * cells.attrs['level']:g} %"
    sides = (
        f"above 0 in {above or 'none'} and below 0 in {len(below) or 'none'}{_named(below, keys)}"
    )
    sure = f"Over all {m} cells the {percent} interval of the paired difference lies {sides}"
    far = cells[cells["mean"] > FAR]
    many = f"{len(far) or 'none'} of {m} cells{_region(far, keys)}"
    top = largest_cell(known)
    size = format_interval(top["mean"], top["low"], top["high"], "+")
    most = f"{size} (over {top['count']:.0f} seeds)" + (
        f", at {cell_sentence(top, keys)}" if keys else ""
    )
    if not keys:
        return [f"{a} minus {b}, paired: the {value} differs by {most}."]
    return [
        f"{a}'s {value} exceeds {b}'s by more than {FAR:g} in {many}.",
        f"{sure}.",
        f"The largest paired difference ({a} minus {b}) is {most}.",
        *_caveats(cells),
    ]


def _region(cells: pd.DataFrame, keys: list[str]) -> str:
    """From where to where some cells lie on each axis."""
    if cells.empty:
        return ""
    ends = [(key, format_number(cells[key].min()), format_number(cells[key].max())) for key in keys]
    told = [
        f"{key} = {low}" if low == high else f"{key} from {low} to {high}"
        for key, low, high in ends
    ]
    return f", all within {' and '.join(told)}"


def _named(cells: pd.DataFrame, keys: list[str]) -> str:
    """The names of some cells, where they are few."""
    names = [cell_sentence(cell, keys) for _, cell in cells.iterrows()]
    return f" ({'; '.join(names)})" if 0 < len(names) <= FEW and keys else ""


def best_possible_error(runs: pd.DataFrame) -> float:
    """The least mean test error of any classifier: the share of test labels that are flipped; 0 where it varies."""
    if not {"flip", "flip_test"} <= set(runs.columns):
        return 0.0
    shares = runs["flip"].where(runs["flip_test"].eq(True), 0.0).fillna(0.0)
    return float(shares.iloc[0]) if shares.nunique() == 1 else 0.0


def error_sentences(cells: pd.DataFrame, best: float = 0.0) -> list[str]:
    """In how many cells each optimizer generalizes, and in how many all do; of cells with the facet `optimizer`.

    Test errors are compared with the `best` that there is.
    """
    keys = [key for key in (cells.attrs["x"], cells.attrs["y"]) if key is not None]
    names = [str(name) for name in sorted_unique(cells, "optimizer")]
    if not keys:
        values = [
            f"{c.optimizer} {format_interval(c.mean, c.low, c.high)}" for c in cells.itertuples()
        ]
        return [f"Mean {axis_label(cells.attrs['of'])}: {'; '.join(values)}."]
    near = cells["mean"] <= best + NEAR
    good = cells.assign(good=near).groupby(keys, dropna=False)["good"]
    each = [f"{name} in {near[cells['optimizer'] == name].sum()}" for name in names]
    every = (good.sum() == len(names)).sum()
    together = f"; {'both' if len(names) == 2 else 'all'} in {every}" if len(names) > 1 else ""
    near_best = f"within {NEAR:g} of the best possible, {best:g} (so many test labels are flipped)"
    what = near_best if best else f"of at most {NEAR:g}"
    return [f"Of {good.ngroups} cells, a mean test error {what}: {', '.join(each)}{together}."]


def fit_sentence(runs: pd.DataFrame, keys: list[str]) -> str:
    """How many runs of each optimizer end with no training error, and in how many cells some do not."""
    told, rest = [], []
    for name, own in runs.groupby("optimizer"):
        bad = own[own["train_error"] != 0]
        told.append(f"{name} in {len(own) - len(bad)} of {len(own)} runs")
        cells = len(bad[keys].drop_duplicates()) if keys else 1
        within = f" in {cells} cell{'s' if cells > 1 else ''}" if keys else ""
        rest += [f"{len(bad)} of {name}{within}"] if len(bad) else []
    others = f" The others ({' and '.join(rest)}) are in the means as they ended: their test error is that of a network "
    others += "that did not learn its training data either."
    return f"Training error 0 at the end: {', '.join(told)}.{others if rest else ''}"


def range_sentence(table: pd.DataFrame) -> str:
    """From where to where the means of a table of Cells or Bands go, for each facet; "" for other tables."""
    if "mean" not in table:
        return ""
    groups = [name for name in ("observable", table.attrs.get("facet")) if name and name in table]
    parts = table.groupby(groups)["mean"] if groups else [((), table["mean"])]
    ranges = [
        (" ".join(axis_label(str(name)) for name in key), part.min(), part.max())
        for key, part in parts
    ]
    told = [
        f"{name} from {format_number(low)} to {format_number(high)}".strip()
        for name, low, high in ranges
    ]
    return f"Means: {'; '.join(told)}."


def _caveats(cells: pd.DataFrame) -> list[str]:
    missing, broken = int(cells["incomplete"].sum()), int((cells["nonfinite"] > 0).sum())
    found = [f"{missing} cells lack runs"] if missing else []
    found += (
        [f"{broken} cells have runs without a finite value, which are in no mean"] if broken else []
    )
    unpaired = cells.attrs.get("unpaired", 0)
    found += [f"{unpaired} problems were run with one of the two only"] if unpaired else []
    return [f"Mind that {'; '.join(found)}."] if found else []
