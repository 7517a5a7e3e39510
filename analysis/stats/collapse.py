"""Finite-size scaling: the exponent a that makes curves of several sizes one curve in x size^a, and
how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.cells import Cells
from analysis.stats.collapse_search import (
    candidates_along,
    candidates_in_plane,
    exponent_grid,
    search,
)
from analysis.stats.intervals import percentile_interval
from analysis.stats.master_curve import ScaledCurves
from analysis.stats.seed_cube import SeedCube, cubes_by_facet, runs_with_values
from sweep.errors import SweepError

Floats = NDArray[np.float64]

MAX_SEEDS = 2_000
"""Most seeds of a collapse, whose memory grows with their square."""


@dataclass(frozen=True)
class Collapse:
    """The exponent a for which curves of `value` against x at several sizes are one: value = g(x
    size^a).

    Theory that says n snr^q = const on a boundary (arXiv 2202.06526) says a = 1/q for x = snr and
    size = n; the slope of Boundary.exponent is then -a. With `width`, value = g((log x + a log size
    - c) size^b): the transition moves by the shift exponent a and sharpens by the rounding exponent
    b (Fisher and Barber, Physical Review Letters 28 (1972), 1516-1519; b is 1/nu of Privman, Finite
    Size Scaling, 1990, up to the logarithm). c is arbitrary where b is 0, so c is not fitted: it is
    where the curves that were collapsed without b are halfway between the extremes of the means.
    That requires a value that rises or falls, and several x within a transition, else it looks
    wider than it is. The search for both ends in the least of many minima, or one a few percent
    above it.

    The fit minimises the quality of Houdayer and Hartmann (Physical Review B 70 (2004), 014418,
    Section IV): the mean squared distance of points from the master curve, a weighted line through
    the two points next to each in every other size. All runs are given the same error, since cells
    of few seeds may show none. Where x are so far apart that curves bend between them by more than
    their errors, the quality of a perfect collapse exceeds 1.

    Intervals are percentile intervals at `confidence` over `resamples` of the seeds, drawn together
    in all cells and expanded for few seeds, as in Boundary.
    """

    x: str
    size: str
    value: str = "test_error"
    facet: str | None = None
    width: bool = False
    confidence: float = 0.95
    resamples: int = 300

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: `exponent`, `low`, `high`, `quality`, `quality_unscaled`, `sizes`,
        `seeds`.

        `quality` is the mean squared distance from the master curve over its expectation from seeds
        alone: about 1 where the curves collapse within errors; `quality_unscaled` is that of a = 0.
        With `width` also `width` (b), `width_low`, `width_high` and `middle`, e^c.

        All but the counts and `quality_unscaled` are NaN where fewer than two sizes leave their
        plateau, or the quality still falls where sizes next to each other have hardly half of their
        x in common; an end of an interval is infinite where that of resamples does. Qualities are
        NaN without overlap or where seeds do not differ, intervals with one seed. `attrs` hold x,
        size, facet, value, confidence.

        Raises:
            SweepError: x or size is not positive, something other than the seed varies within a
                cell, or there are more than MAX_SEEDS seeds.
        """
        rows = []
        for name, cube in self._cubes(runs):
            key = {} if self.facet is None else {self.facet: name}
            counts = {"sizes": len(cube.ys), "seeds": cube.seeds}
            rows.append({**key, **self._row(ScaledCurves.of(cube)), **counts})
        table = pd.DataFrame(rows)
        table.attrs = {
            **runs.attrs,
            "x": self.x,
            "size": self.size,
            "facet": self.facet,
            "value": self.value,
        }
        table.attrs |= {"confidence": self.confidence}
        return table

    def collapsed(self, runs: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
        """The cells of the curves, as Cells makes them, with `scaled`, x in units in which they
        should be one.

        The `exponent`, `quality`, `middle` and `width` of the facet are in each row. `scaled` is x
        size^a, or (log x + a log size - c) size^b with `width`; NaN where there is no exponent.

        Args:
            runs: One row a run.
            found: The table of this Collapse for these runs.
        """
        cells = Cells(self.x, self.size, self.value, self.facet, self.confidence)(runs)
        names = [name for name in ("exponent", "quality", "middle", "width") if name in found]
        keys = [] if self.facet is None else [self.facet]
        table = cells.merge(
            found[[*keys, *names]], how="left" if keys else "cross", on=keys or None
        )
        size = table[self.size].astype(float)
        table["scaled"] = table[self.x] * size ** table["exponent"]
        if "width" in found:
            table["scaled"] = np.log(table["scaled"] / table["middle"]) * size ** table["width"]
        table.attrs = {**cells.attrs, "size": self.size}
        return table

    def _cubes(self, runs: pd.DataFrame) -> list[tuple[object, SeedCube]]:
        keys = [key for key in (self.facet, self.size, self.x) if key is not None]
        table = runs_with_values(runs, keys, self.value)
        for name in (self.x, self.size):
            if table[name].dtype.kind not in "iuf" or not (table[name] > 0).all():
                raise SweepError(
                    f"A collapse requires {name} above 0. Select such runs with a condition, or take another axis."
                )
        if table["seed"].nunique() > MAX_SEEDS:
            raise SweepError(
                f"A collapse takes at most {MAX_SEEDS:,} seeds, because it compares each with each. "
                "Select some with --where, such as 'seed < 100'."
            )
        return cubes_by_facet(table, self.x, self.size, self.facet)

    def _row(self, points: ScaledCurves) -> dict[str, float]:
        names = ["exponent", "low", "high"]
        if self.width:
            names += ["width", "width_low", "width_high", "middle"]
        row = dict.fromkeys([*names, "quality"], np.nan)
        row["quality_unscaled"] = points.quality(np.zeros(3))
        theta = self._fit(points)
        if not np.isfinite(theta[0, 0]):
            return row
        row["exponent"] = theta[0, 0]
        row["low"], row["high"] = self._interval(theta[1:, 0], points.seeds)
        row["quality"] = points.quality(theta[0])
        if self.width:
            row["width"] = theta[0, 1]
            row["width_low"], row["width_high"] = self._interval(theta[1:, 1], points.seeds)
            row["middle"] = np.exp(theta[0, 2] + theta[0, 0] * points.centre)
        return row

    def _interval(self, resampled: Floats, seeds: int) -> tuple[float, float]:
        low, high = percentile_interval(resampled, seeds, self.confidence)
        return float(low), float(high)

    def _fit(self, points: ScaledCurves) -> Floats:
        """The best (a, b, c) of the runs and of each resample (resamples + 1, 3)."""
        random, seeds = np.random.default_rng(0), points.seeds
        draws = random.multinomial(seeds, np.full(seeds, 1 / seeds), self.resamples).astype(float)
        # The first row is the runs themselves, the first column the weight of the mean curve.
        weights: Floats = np.insert(np.concatenate([np.ones((1, seeds)), draws]), 0, 1.0, axis=1)
        theta = np.zeros((len(weights), 3))
        if points.moving < 2:
            return np.full_like(theta, np.nan)
        grid, margin = exponent_grid(points)
        candidates, steps = candidates_along(points, grid)
        values = points.along(candidates, weights)
        allowed = candidates[np.isfinite(values[0]), 0]
        if not len(allowed):
            return np.full_like(theta, np.nan)
        curves = weights @ points.curves
        theta = search(points, candidates, steps, values, curves, theta[:, 2])
        if self.width:
            middle = points.middle(theta[0, 0], curves)
            candidates, steps = candidates_in_plane(points, grid, middle[0])
            values = points.along(candidates, weights)
            theta = search(points, candidates, steps, values, curves, middle)
        # A best exponent next to the end of the grid may lie anywhere beyond it.
        theta[theta[:, 0] < allowed.min() + margin] = -np.inf
        theta[theta[:, 0] > allowed.max() - margin] = np.inf
        return theta
