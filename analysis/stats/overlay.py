"""A theory laid over a measured boundary: its fitted constant, its line, and where it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.boundary import Boundary, followed_rows
from analysis.stats.branches import NONE, RISING
from analysis.stats.cells import Cells
from analysis.stats.power_law import TOLERANCE, level_set_slope, log_line
from analysis.stats.theories import Theory, applicable_rows
from sweep.errors import SweepError

Floats = NDArray[np.float64]

COLUMNS = (
    "index",
    "constant",
    "predicted",
    "residual",
    "residual_low",
    "residual_high",
    "apart",
    "fails",
)
"""What Overlay adds to a table of Boundary."""

RESIDUALS = (("residual", "at"), ("residual_low", "low"), ("residual_high", "high"))
"""The residuals, and the columns of Boundary that they compare with the prediction."""


@dataclass(frozen=True)
class Overlay:
    """Where a theory expects the boundary that was measured, and whether it lies there.

    A theory says that its index is constant along the boundary, not which constant: in each facet
    that is the median of the index at the measured boundary, which rows near the edge of the grid
    hardly move. The index has to be a power of x within each row, whatever columns it is computed
    from; then its level set is known exactly. Where rows cross the level several times, the theory
    is about the branch that the boundary follows.
    """

    theory: Theory
    boundary: Boundary

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The rows of Boundary.follow in the facets that the theory is about, with its prediction.

        `index` is that of the theory at the measured boundary, `constant` the median of the facet,
        `predicted` the x at which the index is that constant, and `residual` log(at / predicted)
        with the ends of its interval, `residual_low` and `residual_high`. `apart` counts the values
        of x that were run between the two: with none the grid is too coarse to distinguish them,
        whatever the interval says, which accounts for seeds only.

        `fails` is true where the interval of the boundary excludes `predicted`, false where it does
        not, and missing where nothing can be said: without an interval, where the constant was
        fitted to that row alone, where a row crosses on other branches only, and where the boundary
        lies outside of the grid, unless the prediction lies inside and the interval excludes it,
        which is a failure. The constant is taken as known although it is fitted to the same rows,
        and a true theory fails in about as many of them as the confidence says. `attrs` name the
        `theory`.

        Raises:
            SweepError: The theory is about no facet, is a bound, or its index is no power of x.
        """
        subset = self._applicable(runs)
        boundary = self.boundary.follow(subset)
        table = _join(boundary, self._lines(subset), self._row_keys)
        inside = table["at"].between(0, np.inf, inclusive="neither")
        log_index = table["_start"] + table["_power"] * np.log(table["at"].where(inside))
        facets = log_index.groupby(_facet_column(table))
        log_constant, fitted_rows = facets.transform("median"), facets.transform("count")
        table = table.assign(index=np.exp(log_index), constant=np.exp(log_constant))
        table["predicted"] = np.exp((log_constant - table["_start"]) / table["_power"])
        with np.errstate(divide="ignore"):
            for residual, column in RESIDUALS:
                ratio = (table[column] / table["predicted"]).clip(lower=0)
                table[residual] = np.log(ratio.where(inside))
        points = table[["at", "predicted", "_xs"]].to_numpy()
        table["apart"] = [_count_between(*point) for point in points]
        table["fails"] = _failures(table, inside & (fitted_rows > 1), ~inside)
        table = table[[*boundary.columns, *COLUMNS]]
        table.attrs = {**boundary.attrs, "theory": self.theory.title}
        return table

    def exponent(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The rows of Boundary.exponent, with the slope in `theory` and whether it `fails`.

        `theory` is NaN where the index is no power law of x and y together. `fails` says whether
        the interval excludes it, and is missing where either is unknown.
        """
        subset = self._applicable(runs)
        table = self.boundary.exponent(subset)
        points = self._indices(subset)
        x, y, facet = self.boundary.x, self.boundary.y, self.boundary.facet
        parts = [points]
        if facet is not None:
            parts = [points[points[facet] == name] for name in table[facet]]
        table["theory"] = [level_set_slope(part[x], part[y], part["index"]) for part in parts]
        below = table["theory"] < table["low"] - TOLERANCE
        above = table["theory"] > table["high"] + TOLERANCE
        comparable = table[["low", "high", "theory"]].notna().all(axis=1)
        table["fails"] = (below | above).astype("boolean").where(comparable)
        table.attrs = {**runs.attrs, "x": x, "y": y, "facet": facet}
        table.attrs |= {"theory": self.theory.title, "confidence": self.boundary.confidence}
        return table

    def cells(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Cells of the value, with the theory's `index`, the side it `expects`, and where it
        `fails`.

        `expects` is "above" or "below" the level of the boundary, `fails` whether the interval of
        the mean lies wholly on the opposite side; both are missing where the theory or the interval
        says nothing, as beyond the next crossing of a row. Draws as a phase diagram.
        """
        subset = self._applicable(runs)
        x, facet, level = self.boundary.x, self.boundary.facet, self.boundary.level
        measure = Cells(x, self.boundary.y, self.boundary.value, facet, self.boundary.confidence)
        cells = measure(subset)
        table = _join(cells, self._indices(subset), [*self._row_keys, x])
        predictions = self(runs)[[*self._row_keys, "branch", "predicted"]]
        rows = _join(cells, predictions, self._row_keys)
        limits = _join(cells, self._neighbours(subset), self._row_keys)
        near = cells[x].between(limits["_previous"], limits["_next"])
        predicted = rows["predicted"].where(near & rows["branch"].notna())
        facets = cells.groupby(_facet_column(cells))
        trends = np.array([self._rises(part) for _, part in facets])[facets.ngroup()]
        rising = np.where(rows["branch"].eq(NONE), trends, rows["branch"].str.startswith(RISING))
        above = (cells[x] > predicted) == rising
        decided = predicted.notna() & ((cells["low"] > level) | (cells["high"] < level))
        sides = pd.Series(np.where(above, "above", "below"), cells.index)
        table["expects"] = sides.where(predicted.notna())
        fails = (cells["high"] < level).where(above, cells["low"] > level)
        table["fails"] = fails.astype("boolean").where(decided)
        table.attrs = {**cells.attrs, "theory": self.theory.title}
        return table

    def _applicable(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs that the theory is about. Raises SweepError where it is a bound."""
        if self.theory.bound is not None:
            raise SweepError(
                f"{self.theory.title} is a bound, not a boundary. "
                "Count the runs that keep it with Within."
            )
        return applicable_rows(self.theory, runs, self.boundary.facet)

    @property
    def _row_keys(self) -> list[str]:
        """The columns that identify a row of the boundary."""
        return [key for key in (self.boundary.facet, self.boundary.y) if key is not None]

    def _indices(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The `index` of each cell."""
        keys = [*self._row_keys, self.boundary.x]
        index = self.theory.index(runs).astype(float)
        groups = runs[keys].assign(_index=index).groupby(keys)["_index"]
        low, high = groups.min(), groups.max()
        if (high > low * (1 + TOLERANCE)).any():
            cause = f"the left side depends on something else than {', '.join(keys)}"
            raise SweepError(f"{self.theory.title}: {cause}. Keep one value of each.")
        return low.rename("index").reset_index()

    def _lines(self, runs: pd.DataFrame) -> pd.DataFrame:
        """log index = _start + _power log x in each row, and the positive `_xs` that were run."""
        x, points = self.boundary.x, self._indices(runs)
        positive = (points[x] > 0) & (points["index"] > 0)
        usable = points[positive & np.isfinite(points["index"])]
        groups = usable.groupby(self._row_keys) if self._row_keys else [((), usable)]
        lines = []
        for names, part in groups:
            xs, index = part[x].to_numpy(float), part["index"].to_numpy(float)
            lines.append((*names, *log_line(self.theory, x, np.log(xs), np.log(index)), xs))
        table = pd.DataFrame(lines, columns=[*self._row_keys, "_start", "_power", "_xs"])
        # Without lines the columns would have no type.
        return table.astype({"_start": float, "_power": float})

    def _neighbours(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The crossings of each row before and after the one on the branch that is followed."""
        table = self.boundary(runs)
        keys = [table[key] for key in self._row_keys] or [pd.Series(0, table.index)]
        places = table["at"].groupby(keys)
        previous, following = places.shift(1), places.shift(-1)
        limits = table.assign(_previous=previous.fillna(-np.inf), _next=following.fillna(np.inf))
        return followed_rows(limits)[[*self._row_keys, "_previous", "_next"]]

    def _rises(self, cells: pd.DataFrame) -> bool:
        """Whether the mean of one facet rises along x, on the whole."""
        ordered = cells.sort_values(self.boundary.x)
        y = self.boundary.y
        return float((ordered.groupby(y) if y else ordered)["mean"].diff().sum()) > 0


def _failures(table: pd.DataFrame, compared: pd.Series, outside: pd.Series) -> pd.Series:
    """Whether the interval excludes the prediction, missing where nothing can be said."""
    predicted, xs = table["predicted"], table["_xs"]
    below = predicted < table["low"] * (1 - TOLERANCE)
    excluded = below | (predicted > table["high"] * (1 + TOLERANCE))
    # The boundary is outside of the grid although the theory puts it inside.
    missed = outside & excluded & predicted.between(xs.map(np.min), xs.map(np.max))
    complete = table[["low", "high", "predicted"]].notna().all(axis=1)
    return excluded.astype("boolean").where((compared | missed) & complete)


def _count_between(at: float, predicted: float, xs: Floats) -> float:
    """How many of the xs lie between two points, NaN where one of them is missing."""
    if np.isnan(at) or np.isnan(predicted):
        return np.nan
    low, high = min(at, predicted), max(at, predicted)
    return float(((xs > low) & (xs < high)).sum())


def _facet_column(table: pd.DataFrame) -> pd.Series:
    """The facet of each row, 0 for all where there is none."""
    facet = table.attrs["facet"]
    return table[facet] if facet else pd.Series(0, table.index)


def _join(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Left join on `keys`; without keys, every row of `left` with every row of `right`."""
    if keys:
        joined = left.merge(right, on=keys, how="left")
    else:
        joined = left.merge(right, how="cross")
    joined.attrs = dict(left.attrs)
    return joined
