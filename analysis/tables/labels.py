"""Names, numbers and sentences as people read them."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from analysis.tables.axes import largest_cell, sorted_unique
from analysis.tables.collapsed import MOSTLY
from analysis.tables.columns import column_info, kind_label
from sweep.wording import counted as counted
from sweep.wording import first_upper

LABELS = {"fit_step": "steps until the training data is fitted"}
"""Labels of columns that the engine itself adds, where the name alone is not clear."""

LARGE_GAP = 0.4
"""A test error that exceeds another one by more than this is far worse."""

NEAR_BEST = 0.05
"""A network generalizes if its test error is within this of the best possible one."""

ZERO_WIDTH = 1e-6
"""Half the width below which an interval has none in six digits."""

MAX_TICK = 16
"""Most characters of a label in a terminal."""

MAX_NAMED_CELLS = 3
"""Up to this number, cells are listed by name; more are only counted."""


def axis_label(name: str) -> str:
    """The label of a column with its symbol: as declared, else its name in words."""
    info = column_info(name)
    label = info.label or LABELS.get(name) or name.replace("_", " ")
    return f"{label} {info.symbol}".strip()


def format_number(value: Any, digits: int = 3) -> str:
    """A value of a column in short: rounded to significant digits, whole numbers in full."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or math.isnan(value):
        return "none"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    # Python pads exponents to two digits: 1e-05 becomes 1e-5.
    short = re.sub(r"e([+-])0*", r"e\1", f"{float(value):.{digits}g}").replace("e+", "e")
    whole = float(value).is_integer() and abs(value) < 1e6
    return str(int(value)) if whole else short


def ticks(values: list[Any]) -> list[str]:
    """Labels of the values of one axis, with as few digits as distinguish them."""
    candidates = [[format_number(value, digits) for value in values] for digits in range(2, 8)]
    distinct = (labels for labels in candidates if len(set(labels)) == len(values))
    return next(distinct, candidates[-1])


def narrow_ticks(values: list[Any]) -> list[str]:
    """Labels as `ticks` gives them, in whichever notation is shorter: `1.5e-4`, not `0.00015`.

    Words are cut where there is no room.
    """
    labels = [_narrow(label) for label in ticks(values)]
    return [label if len(label) <= MAX_TICK else f"{label[: MAX_TICK - 1]}…" for label in labels]


def _narrow(label: str) -> str:
    """A small number with an exponent, if that is shorter."""
    match = re.fullmatch(r"(-?)0\.(0+)([1-9]\d*)", label)
    if match is None:
        return label
    sign, zeros, digits = match.groups()
    mantissa = f"{digits[0]}.{digits[1:]}" if digits[1:] else digits
    return min(label, f"{sign}{mantissa}e-{len(zeros) + 1}", key=len)


def format_interval(mean: Any, low: Any, high: Any, sign: str = "") -> str:
    """A mean with its interval: `0.53 [0.49, 0.57]`.

    Args:
        mean: the mean; "none" is returned if it is NaN.
        low: lower end of the interval, NaN if there is none.
        high: upper end of the interval, NaN if there is none.
        sign: "+" to show the sign of a positive mean.

    Returns:
        The mean with as many decimals as give the half width two digits; without an interval the
        mean alone. An interval of zero width means that all seeds agree, and the text says so.
    """
    half = (high - low) / 2
    if math.isnan(mean):
        return "none"
    agree = half <= ZERO_WIDTH
    decimals = 3
    if not agree and not math.isnan(half):
        decimals = max(0, min(6, 1 - math.floor(math.log10(half))))
    text = f"{mean:{sign}.{decimals}f}"
    if agree:
        return f"{text} (all seeds alike)"
    return text if math.isnan(half) else f"{text} [{low:.{decimals}f}, {high:.{decimals}f}]"


def cell_sentence(cell: pd.Series, keys: list[str]) -> str:
    """A cell as a condition: `snr = 0.3, n = 20`."""
    return ", ".join(f"{key} = {format_number(cell[key])}" for key in keys)


def completeness_sentence(runs: pd.DataFrame) -> str:
    """How many of the trials have finished; begins with INCOMPLETE where some are missing.

    Then what `load` left out, if anything.
    """
    return f"{_completeness(runs)} {runs.attrs.get('note', '')}".strip()


def _completeness(runs: pd.DataFrame) -> str:
    """How many trials have finished, and of how many."""
    count, expected = len(runs), runs.attrs.get("trials")
    if runs.attrs.get("complete") is False and expected is not None:
        missing = expected - count
        verb, pronoun = ("is", "it has") if missing == 1 else ("are", "they have")
        missing_text = f"{missing:,} of {expected:,} trials {verb} missing"
        return f"INCOMPLETE: {missing_text}. The results below may change once {pronoun} finished."
    if runs.attrs.get("complete"):
        return f"Complete: {_all_finished(count)}."
    verb = "has" if count == 1 else "have"
    return (
        f"{counted(count, 'trial')} {verb} finished; the store does not record how many there "
        "should be."
    )


def _all_finished(count: int) -> str:
    return "the only trial has finished" if count == 1 else f"all {count:,} trials have finished"


def gap_sentences(cells: pd.DataFrame) -> list[str]:
    """What the cells of a paired difference say: how many are large, how certain, and the largest.

    `cells` come from `Cells` applied to the table of a `PairedGap`.
    """
    (a, b), value = cells.attrs["pair"], axis_label(cells.attrs["of"])
    first = first_upper(a)
    finite = cells[cells["mean"].notna()]
    if cells.empty:
        reason = "their data, model, objective or seeds differ"
        return [f"{first} and {b} were not run on any common problem: {reason}."]
    if finite.empty:
        return [f"On no problem are the {value} of {a} and that of {b} both finite."]
    keys = _axis_keys(cells)
    peak = largest_cell(finite)
    interval = format_interval(peak["mean"], peak["low"], peak["high"], "+")
    size = f"{interval} (over {counted(int(peak['count']), 'seed')})"
    if not keys:
        told = f"{first} minus {b}, paired: the {value} differs by {size}."
        return [told, *_collapse_sentences(cells, keys)]
    large = cells[cells["mean"] > LARGE_GAP]
    share = f"{len(large) or 'none'} of {counted(len(cells), 'cell')}{_region(large, keys)}"
    return [
        f"{first}'s {value} exceeds {b}'s by more than {LARGE_GAP:g} in {share}.",
        _sign_sentence(cells, keys),
        f"The largest paired difference ({a} minus {b}) is {size}, at {cell_sentence(peak, keys)}.",
        *_collapse_sentences(cells, keys),
        *_caveats(cells),
    ]


def best_possible_error(runs: pd.DataFrame) -> float:
    """The smallest expected test error of any classifier: the share of flipped test labels.

    0 where the share varies between the runs.
    """
    if not {"flip", "flip_test"} <= set(runs.columns):
        return 0.0
    shares = runs["flip"].where(runs["flip_test"].eq(True), 0.0).fillna(0.0)
    return float(shares.iloc[0]) if shares.nunique() == 1 else 0.0


def error_sentences(cells: pd.DataFrame, best: float = 0.0) -> list[str]:
    """In how many cells each optimizer generalizes, and in how many all of them do.

    `cells` have the facet `optimizer`; `best` is the best possible test error.
    """
    keys = _axis_keys(cells)
    if not keys:
        means = [
            f"{kind_label('optimizer', str(cell.optimizer))} "
            f"{format_interval(cell.mean, cell.low, cell.high)}"
            for cell in cells.itertuples()
        ]
        mean = f"Mean {axis_label(cells.attrs['of'])}: {'; '.join(means)}."
        return [mean, *_collapse_sentences(cells, keys)]
    names = [str(name) for name in sorted_unique(cells, "optimizer")]
    near = cells["mean"] <= best + NEAR_BEST
    by_cell = cells.assign(near=near).groupby(keys, dropna=False)["near"]
    counts = [
        f"{kind_label('optimizer', name)} in {near[cells['optimizer'] == name].sum()}"
        for name in names
    ]
    text = ", ".join(counts)
    shared = (by_cell.size() == len(names)).all()
    if not shared:
        sizes = cells.groupby("optimizer").size()
        parts = [f"{count} of {sizes[name]}" for name, count in zip(names, counts, strict=True)]
        text = ", ".join(parts)
    if len(names) > 1 and shared:
        joint = (by_cell.sum() == len(names)).sum()
        text = f"{text}; {'both' if len(names) == 2 else 'all'} in {joint}"
    bound = f"of at most {NEAR_BEST:g}"
    if best:
        source = "the share of flipped test labels"
        bound = f"within {NEAR_BEST:g} of the best possible, {best:g} ({source})"
    near_best = f"Of {counted(by_cell.ngroups, 'cell')}, a mean test error {bound}: {text}."
    return [near_best, *_collapse_sentences(cells, keys)]


def fit_sentence(runs: pd.DataFrame, keys: list[str]) -> str:
    """How many runs of each optimizer end at training error 0, and in how many cells some do not.

    `keys` are the columns that identify a cell.
    """
    fitted, unfitted = [], []
    for name, optimizer_runs in runs.groupby("optimizer"):
        misfits = optimizer_runs[optimizer_runs["train_error"] != 0]
        total, label = len(optimizer_runs), kind_label("optimizer", str(name))
        fitted.append(f"{label} in {total - len(misfits)} of {total} runs")
        if misfits.empty:
            continue
        within = f" in {counted(len(misfits[keys].drop_duplicates()), 'cell')}" if keys else ""
        unfitted.append(f"{len(misfits)} of {label}{within}")
    sentence = f"Training error 0 at the end: {', '.join(fitted)}."
    if not unfitted:
        return sentence
    return (
        f"{sentence} The remaining runs ({' and '.join(unfitted)}) count in the means with their "
        "final test error, that of a network that did not fit its training data either."
    )


def range_sentence(table: pd.DataFrame) -> str:
    """Lowest and highest mean of each facet, for a table of Cells or Bands; "" for any other."""
    if "mean" not in table:
        return ""
    groups = [name for name in ("observable", table.attrs.get("facet")) if name and name in table]
    parts = table.groupby(groups)["mean"] if groups else [((), table["mean"])]
    ranges = []
    for key, means in parts:
        label = " ".join(axis_label(str(name)) for name in key)
        low, high = format_number(means.min()), format_number(means.max())
        ranges.append(f"{label} from {low} to {high}".strip())
    return f"Means: {'; '.join(ranges)}."


def _axis_keys(cells: pd.DataFrame) -> list[str]:
    """The columns that identify a cell."""
    return [key for key in (cells.attrs["x"], cells.attrs["y"]) if key is not None]


def marked_signs(cells: pd.DataFrame) -> pd.Series:
    """1 and -1 in cells that differ from 0 with a family-wise error of 1 - level, else 0."""
    means = cells["mean"].fillna(0)
    # 1 - level is a little off: 1 - 0.9375 and 2^-4 must be equal
    certain = cells["p_map"] <= 1 - cells.attrs["level"] + 1e-9
    return certain * ((means > 0).astype(int) - (means < 0))


def _sign_sentence(cells: pd.DataFrame, keys: list[str]) -> str:
    """In how many cells the difference is not 0: on the whole map, and cell by cell."""
    above, below = (cells["low"] > 0).sum(), (cells["high"] < 0).sum()
    percent = f"{100 * cells.attrs['level']:g} %"
    single = (
        f"the {percent} interval of a cell on its own{_hidden_modes(cells)} lies above 0 in "
        f"{above or 'none'} and below 0 in {below or 'none'}"
    )
    if "p_map" not in cells:
        return f"Over {_all_cells(len(cells))}, {single}."
    error = f"a family-wise error of {100 - 100 * cells.attrs['level']:.3g} %"
    seeds, fewest = cells.attrs["map_seeds"], cells.attrs["fewest_seeds"]
    if seeds < fewest:
        return (
            f"With {counted(seeds, 'seed')} no cell can be marked at {error} over the map, which "
            f"takes {fewest}. Of {counted(len(cells), 'cell')}, {single}."
        )
    signs = marked_signs(cells)
    lower = cells[signs < 0]
    if not (signs != 0).any():
        return (
            f"With {error} over {_all_cells(cells.attrs['map_cells'])}, a difference can be shown in "
            f"none; {single}."
        )
    return (
        f"With {error} over {_all_cells(cells.attrs['map_cells'])}, the two differ in "
        f"{(signs != 0).sum()}: above 0 in {(signs > 0).sum() or 'none'} and below 0 in "
        f"{len(lower) or 'none'}"
        f"{_listed(lower, keys)}; {single}."
    )


def _all_cells(count: int) -> str:
    return {1: "the only cell", 2: "both cells"}.get(count, f"all {count} cells")


def _hidden_modes(cells: pd.DataFrame) -> str:
    """Why intervals may be wide although seeds agree."""
    wide = "interval" in cells and (cells["interval"] == "mid-p").any()
    return ", which allows for modes that none of its seeds showed," if wide else ""


def _collapse_sentences(cells: pd.DataFrame, keys: list[str]) -> list[str]:
    """In which cells most networks of an optimizer went to zero; none where nothing did."""
    if "collapsed" not in cells:
        return []
    mostly = cells[cells["collapsed"] > MOSTLY]
    facet = cells.attrs["facet"]
    parts = mostly.groupby(facet) if facet else [(" or ".join(cells.attrs["pair"]), mostly)]
    sentences = []
    for name, part in parts:
        if part.empty:
            continue
        where = f" in {counted(len(part), 'cell')}{_listed(part, keys)}" if keys else ""
        if not facet:
            sentences.append(
                f"In most pairs a network of {name} collapsed{where}: its outputs are exactly 0 on "
                "most points, and ties count as errors, so the difference there says nothing of what "
                "was learned."
            )
            continue
        label = kind_label(facet, str(name))
        sentences.append(
            f"Most networks of {label} collapsed{where}: their outputs are exactly 0 on most points, "
            "and ties count as errors, so an error near 1 there says nothing of what was learned."
        )
    return sentences


def _region(cells: pd.DataFrame, keys: list[str]) -> str:
    """The range of some cells on each axis, as a clause."""
    if cells.empty:
        return ""
    ranges = []
    for key in keys:
        low, high = format_number(cells[key].min()), format_number(cells[key].max())
        ranges.append(f"{key} = {low}" if low == high else f"{key} from {low} to {high}")
    return f", all within {' and '.join(ranges)}"


def _listed(cells: pd.DataFrame, keys: list[str]) -> str:
    """The cells in parentheses, where they are few."""
    names = [cell_sentence(cell, keys) for _, cell in cells.iterrows()]
    return f" ({'; '.join(names)})" if 0 < len(names) <= MAX_NAMED_CELLS and keys else ""


def _caveats(cells: pd.DataFrame) -> list[str]:
    """What is missing in the cells, as one sentence; none where nothing is."""
    incomplete, nonfinite = int(cells["incomplete"].sum()), int((cells["nonfinite"] > 0).sum())
    unpaired = cells.attrs.get("unpaired", 0)
    caveats = []
    if incomplete:
        caveats.append(f"runs are missing in {counted(incomplete, 'cell')}")
    if nonfinite:
        cells_text = counted(nonfinite, "cell")
        caveats.append(f"runs without a finite value in {cells_text} are excluded from the means")
    if unpaired:
        verb = "was" if unpaired == 1 else "were"
        caveats.append(f"{counted(unpaired, 'problem')} {verb} run with only one of the two")
    return [f"Note: {'; '.join(caveats)}."] if caveats else []
