"""What a theory laid over a boundary says, in sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.tables.axes import sorted_unique
from analysis.tables.labels import format_number


def overlay_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None = None) -> list[str]:
    """One sentence a facet on a table of Overlay: the verdict of its slope if given, then its rows."""
    facet = table.attrs["facet"]
    names = list(sorted_unique(table, facet)) if facet else [None]
    return [_facet_sentence(table, slopes, facet, name) for name in names]


def _facet_sentence(
    table: pd.DataFrame, slopes: pd.DataFrame | None, facet: str | None, name: object
) -> str:
    subject = ""
    if name is not None:
        table = table[table[facet] == name]
        slopes = None if slopes is None else slopes[slopes[facet] == name]
        subject = f" for {format_number(name)}"
    verdicts = _slope_verdict(slopes) + _rows_verdict(table, table.attrs["confidence"])
    return f"Theory{subject}, {table.attrs['theory']}: {verdicts}."


def _rows_verdict(table: pd.DataFrame, confidence: float) -> str:
    """How many rows of the boundary contradict the theory, and how many would by chance."""
    comparable = table[table["fails"].notna()]
    if comparable.empty:
        return "cannot be compared with any row of the boundary"
    failed = comparable[comparable["fails"].astype(bool)]
    by_chance = f"about {(1 - confidence) * len(comparable):.2g} would by chance"
    clauses = [
        f"its line lies outside of the boundary's {100 * confidence:g} % interval in "
        f"{len(failed)} of {len(comparable)} rows ({by_chance}; rows share seeds, so they err "
        "together)"
    ]
    close = int((failed["apart"] == 0).sum())
    if close:
        clauses.append(f"{close} of these by less than a step of the grid")
    outside = int((~table["at"].between(0, np.inf, inclusive="neither")).sum())
    if outside:
        elsewhere = int((table["crossings"] > 0).where(table["at"].isna()).sum())
        which = f" on its branch, {elsewhere} of them on others" if elsewhere else ""
        clauses.append(f"{outside} of {len(table)} rows have no crossing within the grid{which}")
    return "; ".join(clauses)


def _slope_verdict(slopes: pd.DataFrame | None) -> str:
    """Whether the exponent contradicts the theory; "" where either is unknown."""
    if slopes is None or slopes[["slope", "theory"]].isna().any(axis=None):
        return ""
    x, y, row = slopes.attrs["x"], slopes.attrs["y"], slopes.iloc[0]
    if np.isnan(row["low"]):
        interval, verdict = "without an interval", "cannot be judged by the slope"
    else:
        interval = f"[{row['low']:.3g}, {row['high']:.3g}]"
        contradicted = slopes["fails"].eq(True).any()
        verdict = f"{'contradicted' if contradicted else 'not contradicted'} by the slope"
    measured = f"measured {row['slope']:.3g} {interval}, theory {row['theory']:.3g}"
    return f"{verdict} of log {x} against log {y} ({measured}); "
