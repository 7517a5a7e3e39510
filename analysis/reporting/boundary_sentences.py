"""Sentences about a boundary: where it runs, and its exponent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.axes import sorted_unique
from analysis.tables.labels import format_number


def boundary_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None) -> list[str]:
    """For each facet where the boundary runs, how precisely it is known, and its exponent."""
    return list(_boundary_sentences(table, slopes))


def _boundary_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None) -> Iterator[str]:
    facet = table.attrs["facet"]
    for name in sorted_unique(table, facet):
        part = table[table[facet] == name]
        facet_slopes = None if slopes is None else slopes[slopes[facet] == name]
        yield f"{name}: {_course_clause(part)}{_exponent_clause(facet_slopes, part)}."


def _course_clause(part: pd.DataFrame) -> str:
    """Where the boundary of one facet runs, by its first and last row."""
    crossing = f"the test error crosses {part.attrs['level']:g}"
    inside = part[np.isfinite(part["at"])]
    if inside.empty:
        return f"{crossing} nowhere within the grid"
    ends = [inside.iloc[0]] if len(inside) == 1 else [inside.iloc[0], inside.iloc[-1]]
    points = " and at ".join(_crossing_text(row, part.attrs["x"], part.attrs["y"]) for row in ends)
    outside = len(part) - len(inside)
    if outside:
        return f"{crossing} at {points}, and outside the grid in {outside} of {len(part)} rows"
    return f"{crossing} at {points}"


def _crossing_text(row: pd.Series, x: str, y: str) -> str:
    """`snr = 0.3 [0.2, 0.4] at n = 20`."""
    return (
        f"{x} = {format_number(row['at'])} {_interval_text(row)} at {y} = {format_number(row[y])}"
    )


def _exponent_clause(slopes: pd.DataFrame | None, part: pd.DataFrame) -> str:
    """The exponent of one facet, or why there is none."""
    if slopes is None or slopes["slope"].isna().all():
        return ""
    inside = part[np.isfinite(part["at"])]
    unbounded = int(np.isinf(inside[["low", "high"]]).any(axis=1).sum())
    # A slope through places that are mostly known to one side would look more precise than it is.
    if 2 * unbounded > len(inside):
        rows = f"{unbounded} of {len(inside)} rows"
        return f"; no exponent, because the interval extends beyond the grid in {rows}"
    row = slopes[slopes["slope"].notna()].iloc[0]
    return f"; exponent {exponent_text(row.to_dict())}"


def exponent_text(row: Mapping[Any, Any]) -> str:
    """A slope with its interval, and the slope of the theory if there is one."""
    text = format_number(row["slope"])
    if not np.isnan(row["low"]):
        text += f" {_interval_text(row)}"
    theory = row.get("theory", np.nan)
    return text if np.isnan(theory) else f"{text}, theory {format_number(theory)}"


def _interval_text(row: Mapping[Any, Any] | pd.Series) -> str:
    return f"[{format_number(row['low'])}, {format_number(row['high'])}]"
