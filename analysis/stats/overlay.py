"""A theory laid over a measured boundary: its constant fitted, its line predicted, and where and how far it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.boundary import Boundary
from analysis.stats.cells import Cells
from analysis.stats.theories import Theory, applicable_rows
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import format_number
from sweep.errors import SweepError

Floats = NDArray[np.float64]

COLUMNS = ("index", "constant", "predicted", "residual", "residual_low", "residual_high", "apart", "fails")
"""What Overlay adds to a table of Boundary."""

EXACT = 1e-6
"""How far a logarithm may be off by rounding: of an index from a power law, of a prediction from an interval."""


@dataclass(frozen=True)
class Overlay:
    """Where a theory expects the boundary that was measured, and whether it lies there.

    A theory says that its index is constant along the boundary, not which constant: in each facet that is the median
    of the index at the measured boundary, which rows near the edge of the grid hardly move. The index has to be a power
    of x within each row, whatever columns it is made of; then its level set is known exactly.
    """

    theory: Theory
    boundary: Boundary

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The rows of Boundary in the facets that the theory is about, and what it expects of them.

        `index` is that of the theory at the measured boundary, `constant` the median of the facet, `predicted` the x at
        which the index is that constant, and `residual` log(at / predicted) with the ends of its interval,
        `residual_low` and `residual_high`. `apart` counts the values of x that were run between the two: with none the
        grid is too coarse to tell them apart, whatever the interval says, which knows of seeds only.

        `fails` is true where the interval of the boundary excludes `predicted`, false where it does not, and missing
        where nothing can be said: where the boundary lies outside of the grid (unless the prediction lies inside and
        the interval excludes it: that fails), without an interval, and where the constant was fitted to that row alone.
        The constant is taken as known: it is fitted to the same rows, and a true theory fails in about as many of them
        as the confidence says. `attrs` say the `theory`.

        Raises SweepError where the theory is about no facet, is a bound, or its index is no power of x.
        """
        own = self._own(runs)
        found = self.boundary(own)
        table = _join(found, self._laws(own), self._rows)
        inside = table["at"].between(0, np.inf, inclusive="neither")
        log_index = table["_start"] + table["_power"] * np.log(table["at"].where(inside))
        facets = log_index.groupby(_facets(table))
        constant, fitted = facets.transform("median"), facets.transform("count")
        table = table.assign(index=np.exp(log_index), constant=np.exp(constant))
        table["predicted"] = np.exp((constant - table["_start"]) / table["_power"])
        with np.errstate(divide="ignore"):
            for name, end in (("residual", "at"), ("residual_low", "low"), ("residual_high", "high")):
                table[name] = np.log((table[end] / table["predicted"]).clip(lower=0).where(inside))
        table["apart"] = [_apart(*row) for row in table[["at", "predicted", "_xs"]].to_numpy()]
        table["fails"] = _fails(table, inside & (fitted > 1), ~inside)
        table = table[[*found.columns, *COLUMNS]]
        table.attrs = {**found.attrs, "theory": self.theory.title}
        return table

    def exponent(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The rows of Boundary.exponent, the slope that the `theory` says, and whether the interval excludes it.

        `theory` is NaN where the index is no power law of x and y together. `fails` is missing where either is unknown.
        """
        own = self._own(runs)
        table = self.boundary.exponent(own)
        points = self._points(own)
        facet = self.boundary.facet
        parts = [points] if facet is None else [points[points[facet] == name] for name in table[facet]]
        table["theory"] = [_slope(part[self.boundary.x], part[self.boundary.y], part["index"]) for part in parts]
        excluded = (table["theory"] < table["low"] - EXACT) | (table["theory"] > table["high"] + EXACT)
        known = table[["low", "high", "theory"]].notna().all(axis=1)
        table["fails"] = excluded.astype("boolean").where(known)
        table.attrs = {**runs.attrs, "x": self.boundary.x, "y": self.boundary.y, "facet": facet}
        table.attrs |= {"theory": self.theory.title, "confidence": self.boundary.confidence}
        return table

    def cells(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Cells of the value, with the theory's `index`, the side it `expects`, and where that `fails`.

        `expects` is "above" or "below" the level of the boundary, `fails` whether the interval of the mean lies wholly
        on the other side; both are missing where the theory or the interval says nothing. Draws as a phase diagram.
        """
        own = self._own(runs)
        x, facet, level = self.boundary.x, self.boundary.facet, self.boundary.level
        cells = Cells(x, self.boundary.y, self.boundary.value, facet, self.boundary.confidence)(own)
        table = _join(cells, self._points(own), [*self._rows, x])
        predicted = _join(cells, self(runs)[[*self._rows, "predicted"]], self._rows)["predicted"]
        rising = [self._rises(part) for _, part in cells.groupby(_facets(cells))]
        above = (cells[x] > predicted) == np.array(rising)[cells.groupby(_facets(cells)).ngroup()]
        known = predicted.notna() & ((cells["low"] > level) | (cells["high"] < level))
        table["expects"] = pd.Series(np.where(above, "above", "below"), cells.index).where(predicted.notna())
        table["fails"] = (cells["high"] < level).where(above, cells["low"] > level).astype("boolean").where(known)
        table.attrs = {**cells.attrs, "theory": self.theory.title}
        return table

    def _own(self, runs: pd.DataFrame) -> pd.DataFrame:
        if self.theory.bound is not None:
            raise SweepError(
                f"{self.theory.title} is a bound, not a boundary. Count the runs that keep it with Within."
            )
        return applicable_rows(self.theory, runs, self.boundary.facet)

    @property
    def _rows(self) -> list[str]:
        """The columns that make a row of the boundary."""
        return [key for key in (self.boundary.facet, self.boundary.y) if key is not None]

    def _points(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The `index` of each cell."""
        keys = [*self._rows, self.boundary.x]
        points = runs[keys].assign(_index=self.theory.index(runs).astype(float)).groupby(keys)["_index"]
        least, most = points.min(), points.max()
        if (most > least * (1 + EXACT)).any():
            other = f"something else than {', '.join(keys)}"
            raise SweepError(f"{self.theory.title}: the left side depends on {other}. Keep one value of each.")
        return least.rename("index").reset_index()

    def _laws(self, runs: pd.DataFrame) -> pd.DataFrame:
        """log index = _start + _power log x in each row, and the positive `_xs` that were run there."""
        x, points = self.boundary.x, self._points(runs)
        usable = points[(points[x] > 0) & (points["index"] > 0) & np.isfinite(points["index"])]
        laws = []
        for names, part in usable.groupby(self._rows) if self._rows else [((), usable)]:
            start, power = self._law(np.log(part[x].to_numpy(float)), np.log(part["index"].to_numpy(float)))
            laws.append((*names, start, power, part[x].to_numpy(float)))
        return pd.DataFrame(laws, columns=[*self._rows, "_start", "_power", "_xs"])

    def _rises(self, cells: pd.DataFrame) -> bool:
        """Does the mean rise along x, on the whole? Of the cells of one facet."""
        ordered = cells.sort_values(self.boundary.x)
        y = self.boundary.y
        return float((ordered.groupby(y) if y else ordered)["mean"].diff().sum()) > 0

    def _law(self, x: Floats, index: Floats) -> tuple[float, float]:
        """Intercept and slope of a straight line, NaN where there is one point only."""
        if len(x) < 2:
            return np.nan, np.nan
        design = np.stack([np.ones_like(x), x], axis=1)
        found = np.linalg.lstsq(design, index)[0]
        if np.abs(design @ found - index).max() > EXACT:
            what = f"{self.theory.title}: the left side is no power of {self.boundary.x}, so its level set is not known"
            raise SweepError(f"{what}. Take another axis for x.")
        if abs(found[1]) <= EXACT:
            what = f"{self.theory.title} does not depend on {self.boundary.x}, so it says nothing of a boundary there"
            raise SweepError(f"{what}. Take an axis for x of which {', '.join(self.theory.columns)} are made.")
        return float(found[0]), float(found[1])


def overlay_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None = None) -> list[str]:
    """What an Overlay says, one sentence a facet: what its slope says of the theory if given, then its rows."""
    facet = table.attrs["facet"]
    names = list(sorted_unique(table, facet)) if facet else [None]
    told = []
    for name in names:
        part = table if name is None else table[table[facet] == name]
        who = "" if name is None else f" for {format_number(name)}"
        own = None if slopes is None else slopes if name is None else slopes[slopes[facet] == name]
        told.append(
            f"Theory{who}, {table.attrs['theory']}: {_slope_told(own)}{_rows_told(part, table.attrs['confidence'])}."
        )
    return told


def _fails(table: pd.DataFrame, compared: pd.Series, outside: pd.Series) -> pd.Series:
    """Whether the interval excludes the prediction, missing where nothing can be said."""
    predicted, xs = table["predicted"], table["_xs"]
    excluded = (predicted < table["low"] * (1 - EXACT)) | (predicted > table["high"] * (1 + EXACT))
    missed = outside & excluded & predicted.between(xs.map(np.min), xs.map(np.max))
    known = (compared | missed) & table[["low", "high", "predicted"]].notna().all(axis=1)
    return excluded.astype("boolean").where(known)


def _apart(at: float, predicted: float, xs: Floats) -> float:
    """How many of the xs lie between two points, NaN where one of them is none."""
    low, high = min(at, predicted), max(at, predicted)
    return np.nan if np.isnan(at) or np.isnan(predicted) else float(((xs > low) & (xs < high)).sum())


def _slope(x: pd.Series, y: pd.Series, index: pd.Series) -> float:
    """Slope of log x against log y along a level set of an index that is a power law of both, else NaN."""
    usable = (x > 0) & (y > 0) & (index > 0)
    design = np.log(np.stack([np.full(usable.sum(), np.e), x[usable], y[usable]], axis=1))
    target = np.log(index[usable].to_numpy(float))
    found, _, rank, _ = np.linalg.lstsq(design, target)
    exact = rank == 3 and np.abs(design @ found - target).max() <= EXACT
    return round(float(-found[2] / found[1]), 9) + 0.0 if exact else np.nan


def _facets(table: pd.DataFrame) -> pd.Series:
    """The facet of each row, one and the same where there is none."""
    facet = table.attrs["facet"]
    return table[facet] if facet else pd.Series(0, table.index)


def _join(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Columns of `right` beside the rows of `left`."""
    joined = left.merge(right, on=keys, how="left") if keys else left.merge(right, how="cross")
    joined.attrs = dict(left.attrs)
    return joined


def _rows_told(part: pd.DataFrame, confidence: float) -> str:
    known = part[part["fails"].notna()]
    if known.empty:
        return "cannot be compared with any row of the boundary"
    failed = known[known["fails"].astype(bool)]
    chance = f"about {(1 - confidence) * len(known):.2g} would by chance; rows share seeds, so they err together"
    percent = f"{100 * confidence:g} %"
    said = [
        f"its line lies outside of the boundary's {percent} interval in {len(failed)} of {len(known)} rows ({chance})"
    ]
    close = int((failed["apart"] == 0).sum())
    said += [f"{close} of these by less than a step of the grid"] if close else []
    outside = int((~part["at"].between(0, np.inf, inclusive="neither")).sum())
    return "; ".join(said + ([f"{outside} of {len(part)} rows have no crossing within the grid"] if outside else []))


def _slope_told(slopes: pd.DataFrame | None) -> str:
    if slopes is None or slopes[["slope", "theory"]].isna().any(axis=None):
        return ""
    x, y, own = slopes.attrs["x"], slopes.attrs["y"], slopes.iloc[0]
    ends = "without an interval" if np.isnan(own["low"]) else f"[{own['low']:.3g}, {own['high']:.3g}]"
    if np.isnan(own["low"]):
        verdict = "cannot be judged by the slope"
    else:
        verdict = f"{'contradicted' if slopes['fails'].eq(True).any() else 'not contradicted'} by the slope"
    measured = f"measured {own['slope']:.3g} {ends}, theory {own['theory']:.3g}"
    return f"{verdict} of log {x} against log {y} ({measured}); "
