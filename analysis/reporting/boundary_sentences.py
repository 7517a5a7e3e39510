"""Sentences about a boundary: where it runs, and its exponent."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.stats.boundary import followed_rows
from analysis.tables.axes import sorted_unique
from analysis.tables.columns import kind_label
from analysis.tables.labels import counted, format_number
from sweep.wording import first_upper


def boundary_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None) -> list[str]:
    """For each facet where the boundary runs, how precisely it is known, and its exponent."""
    return list(_boundary_sentences(table, slopes))


def _boundary_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None) -> Iterator[str]:
    facet = table.attrs["facet"]
    for name in sorted_unique(table, facet):
        part = table[table[facet] == name]
        facet_slopes = None if slopes is None else slopes[slopes[facet] == name]
        exponent = _exponent_clause(facet_slopes, followed_rows(part))
        notes = "".join(f" {note}" for note in row_notes(part))
        label = first_upper(kind_label(facet, str(name))) if facet == "optimizer" else name
        yield f"{label}: {_course_clause(part)}{exponent}.{notes}"


def row_notes(part: pd.DataFrame) -> Iterator[str]:
    """Sentences on rows that do not cross exactly once, or whose crossings are in doubt.

    Args:
        part: Rows of a table of Boundary.
    """
    keys = [key for key in (part.attrs["facet"], part.attrs["y"]) if key is not None]
    rows = part.drop_duplicates(keys) if keys else part.head(1)
    level = format_number(part.attrs["level"])
    several = rows["crossings"][rows["crossings"] > 1]
    if len(several):
        how_often = "twice" if several.max() == 2 else f"up to {several.max()} times"
        verb = "crosses" if len(several) == 1 else "cross"
        yield f"{len(several)} of {counted(len(rows), 'row')} {verb} {level} {how_often}."
    bent = int((~rows["monotone"]).sum())
    if bent:
        verb = "is" if bent == 1 else "are"
        yield (
            f"{bent} of {counted(len(rows), 'row')} {verb} not monotone, by more than the seeds differ."
        )
    for side in ("above", "below"):
        count = int((rows["side"] == side).sum())
        if count:
            verb = "lies" if count == 1 else "lie"
            yield f"{count} of {counted(len(rows), 'row')} {verb} {side} {level} everywhere."
    doubtful = int((rows["unsettled"] > 0).sum())
    if doubtful:
        yield (
            f"In {doubtful} of {counted(len(rows), 'row')} single means lie on the other side of "
            f"{level} by no more than the seeds differ; they count as no crossings."
        )


def _course_clause(part: pd.DataFrame) -> str:
    """Where the boundary of one facet runs: the branch that is followed, then the others."""
    level = format_number(part.attrs["level"])
    inside = part[np.isfinite(part["at"])]
    if inside.empty:
        return f"the test error crosses {level} nowhere within the grid"
    followed = inside[inside["followed"]]
    others = inside[~inside["followed"]]
    total = len(followed_rows(part))
    clauses = [_branch_text(name, rows, total) for name, rows in followed.groupby("branch")]
    clauses += [_branch_text(name, rows, total) for name, rows in others.groupby("branch")]
    first, *rest = clauses
    text = f"the test error crosses {level} {first}"
    if rest:
        led = "the first branch is" if len(followed) else "none of them is"
        text += f"; and {'; and '.join(rest)} ({led} the one that exponents and theories follow)"
    return text


def _branch_text(branch: Hashable, rows: pd.DataFrame, total: int) -> str:
    """Where one branch runs, by its first and last row: `falling at snr = 3 [2, 4] at n = 20`."""
    x, y = rows.attrs["x"], rows.attrs["y"]
    ends = [rows.iloc[0]] if len(rows) == 1 else [rows.iloc[0], rows.iloc[-1]]
    points = " and at ".join(_crossing_text(row, x, y) for row in ends)
    where = "" if len(rows) == total else f", in {len(rows)} of {counted(total, 'row')}"
    return f"{branch} at {points}{where}"


def _crossing_text(row: pd.Series, x: str, y: str) -> str:
    """`snr = 0.3 [0.2, 0.4] at n = 20`."""
    return (
        f"{x} = {format_number(row['at'])} {_interval_text(row)} at {y} = {format_number(row[y])}"
    )


def _exponent_clause(slopes: pd.DataFrame | None, part: pd.DataFrame) -> str:
    """The exponent of one facet, given the rows of its branch, or why there is none."""
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
