"""Finite-size scaling: the exponent a that makes curves of several sizes one curve in x size^a, and how well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.boundary import Cube
from analysis.canvas import counts, finish, new_figure, sparse_log_ticks, styled, value_label
from analysis.crossing import monotone_crossing
from analysis.intervals import percentile
from analysis.phase import Cells
from analysis.tables import finite, levels, refuse_mixture, require
from analysis.words import label, number
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OVERLAP = 0.5
"""Least share of its x that a size has in common with the next one, in scaled x, for a collapse to be judged."""

MOVES = 2.0
"""A curve leaves its plateau where its means vary along x by more than this, in variances that seeds alone make."""

HALVINGS, PIECE = 10, 64
"""How often a search halves its step, and how many exponents are tried at once."""


@dataclass(frozen=True)
class Collapse:
    """The exponent a for which curves of `value` against x at several sizes are one: value = g(x size^a).

    Theory that says n snr^q = const on a boundary (arXiv 2202.06526) says a = 1/q for x = snr and size = n; the slope
    of Boundary.exponent is then -a. With `width`, value = g((log x + a log size - c) size^b): the transition moves by
    the shift exponent a and sharpens by the rounding exponent b (Fisher and Barber, Physical Review Letters 28 (1972),
    1516-1519; b is 1/nu of Privman, Finite Size Scaling, 1990, up to the logarithm). Any c would do where b is 0, so
    c is not fitted: it is where the curves that were collapsed without b are halfway between the extremes of the means.
    That wants a value that rises or falls, and several x within a transition, else it looks wider than it is.

    The fit minimises the quality of Houdayer and Hartmann (Physical Review B 70 (2004), 014418, Section IV): the mean
    squared distance of points from the master curve, which the two points around each in all other sizes tell by a
    weighted line. All runs have the same error there, since cells of few seeds may show none. Where x are so far apart
    that curves bend between them by more than their errors, the quality of a perfect collapse exceeds 1.

    Intervals are percentile intervals at `confidence` over `resamples` of the seeds, drawn together in all cells and
    expanded for few seeds, as in Boundary.
    """

    x: str
    size: str
    value: str = "test_error"
    facet: str | None = None
    width: bool = False
    confidence: float = 0.95
    resamples: int = 300

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: `exponent`, `low`, `high`, `quality`, `quality_unscaled`, `sizes`, `seeds`.

        `quality` is the mean squared distance from the master curve over what seeds alone make of it: about 1 where the
        curves collapse within errors; `quality_unscaled` is that of a = 0. With `width` also `width` (b), `width_low`,
        `width_high` and `middle`, e^c.

        All but the counts and `quality_unscaled` are NaN where fewer than two sizes leave their plateau, or the quality
        still falls where sizes next to each other have hardly half of their x in common; an end of an interval is
        infinite where that of resamples does. Qualities are NaN without overlap or where seeds do not differ, intervals
        with one seed. `attrs` say x, size, facet, value, confidence. Raises SweepError where x or size is not positive
        or something else than the seed varies within a cell.
        """
        import pandas as pd

        rows = []
        for name, cube in self._cubes(runs):
            key = {} if self.facet is None else {self.facet: name}
            rows.append({**key, **self._row(Points.of(cube)), "sizes": len(cube.ys), "seeds": cube.seeds})
        table = pd.DataFrame(rows)
        table.attrs = {**runs.attrs, "x": self.x, "size": self.size, "facet": self.facet, "value": self.value}
        table.attrs |= {"confidence": self.confidence}
        return table

    def collapsed(self, runs: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
        """The cells of the curves, as Cells makes them, with `scaled`, x in units in which they should be one.

        `found` is what this Collapse says of the runs; its `exponent`, `quality`, `middle` and `width` stand in each
        row. `scaled` is x size^a, or (log x + a log size - c) size^b with `width`; NaN where there is no exponent.
        """
        cells = Cells(self.x, self.size, self.value, self.facet, self.confidence)(runs)
        names = [name for name in ("exponent", "quality", "middle", "width") if name in found]
        keys = [] if self.facet is None else [self.facet]
        table = cells.merge(found[[*keys, *names]], how="left" if keys else "cross", on=keys or None)
        size = table[self.size].astype(float)
        table["scaled"] = table[self.x] * size ** table["exponent"]
        if "width" in found:
            table["scaled"] = np.log(table["scaled"] / table["middle"]) * size ** table["width"]
        table.attrs = {**cells.attrs, "size": self.size}
        return table

    def _cubes(self, runs: pd.DataFrame) -> list[tuple[object, Cube]]:
        keys = [key for key in (self.facet, self.size, self.x) if key is not None]
        require(runs, [*keys, self.value, "seed"])
        refuse_mixture(runs, keys)
        table = runs.assign(_value=finite(runs, self.value)).dropna(subset=["_value"])
        if table.empty:
            raise SweepError(f"No run has a finite {self.value}.")
        for name in (self.x, self.size):
            if table[name].dtype.kind not in "iuf" or not (table[name] > 0).all():
                raise SweepError(
                    f"A collapse wants {name} above 0. Keep such runs with a condition, or take another axis."
                )
        names = list(levels(table, self.facet)) if self.facet else [None]
        parts = [table if name is None else table[table[self.facet] == name] for name in names]
        return [(name, Cube.of(part, self.x, self.size)) for name, part in zip(names, parts, strict=True)]

    def _row(self, points: Points) -> dict[str, float]:
        names = ["exponent", "low", "high", *(("width", "width_low", "width_high", "middle") if self.width else ())]
        row = {**dict.fromkeys(names, np.nan), "quality": np.nan, "quality_unscaled": points.quality(np.zeros(3))}
        theta = self._fit(points)
        if np.isfinite(theta[0, 0]):
            row["exponent"] = theta[0, 0]
            row["low"], row["high"] = map(float, percentile(theta[1:, 0], points.seeds, self.confidence))
            row["quality"] = points.quality(theta[0])
            if self.width:
                row["width"] = theta[0, 1]
                row["width_low"], row["width_high"] = map(
                    float, percentile(theta[1:, 1], points.seeds, self.confidence)
                )
                row["middle"] = np.exp(theta[0, 2] + theta[0, 0] * points.centre)
        return row

    def _fit(self, points: Points) -> Floats:
        """The best (a, b, c) of the runs and of each resample (resamples + 1, 3)."""
        random, seeds = np.random.default_rng(0), points.seeds
        drawn = random.multinomial(seeds, np.full(seeds, 1 / seeds), self.resamples).astype(float)
        weights: Floats = np.insert(np.concatenate([np.ones((1, seeds)), drawn]), 0, 1.0, axis=1)
        theta = np.zeros((len(weights), 3))
        if points.moving < 2:
            return np.full_like(theta, np.nan)
        grid, margin = points.grid()
        step = grid[1] - grid[0]
        values = points.along(grid, weights)
        allowed = grid[np.isfinite(values[0])]
        if not len(allowed):
            return np.full_like(theta, np.nan)
        theta[:, 0] = grid[values.argmin(axis=1)]
        curves = weights @ points.curves
        theta = points.descend(theta, curves, np.array([step / 2, 0.0, 0.0]))
        if self.width:
            theta[:, 2] = points.middle(theta[0, 0], curves)
            theta = points.descend(theta, curves, np.array([step / 2, 0.25 / np.ptp(points.log_size), 0.0]))
        theta[theta[:, 0] < allowed[0] + margin] = -np.inf
        theta[theta[:, 0] > allowed[-1] - margin] = np.inf
        return theta


@dataclass(frozen=True)
class Points:
    """The cells of a facet that have runs as points, N of them over `seeds` S, with what an exponent makes of them.

    `log_size` is relative to its mean over sizes, `centre`. `curves` (S + 1, N) are the means, and for each seed what
    it adds to them: a resample in which seed s is drawn w_s times has the means curves[0] + sum_s w_s curves[s], where
    cells lack no run exactly, else to first order. Parameters are `theta` (T, 3): a, b, c, the last for such sizes.
    """

    log_x: Floats
    log_size: Floats
    centre: float
    count: Floats
    curves: Floats

    @classmethod
    def of(cls, cube: Cube) -> Points:
        """From a cube with sizes for its rows."""
        size, x = np.nonzero(cube.there.any(axis=0))
        there = cube.there[:, size, x]
        values = np.where(there, cube.values[:, size, x], 0.0)
        count = there.sum(axis=0).astype(float)
        mean = values.sum(axis=0) / count
        curves = np.concatenate([mean[None], there * (values - mean) / count])
        logs = np.log(np.asarray(cube.ys, float))
        return cls(np.log(np.asarray(cube.xs, float))[x], (logs - logs.mean())[size], float(logs.mean()), count, curves)

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.curves) - 1

    @property
    def sizes(self) -> list[NDArray[np.intp]]:
        """The points of each size, ascending in x."""
        return [np.flatnonzero(self.log_size == size) for size in np.unique(self.log_size)]

    @property
    def moving(self) -> int:
        """How many sizes leave their plateau."""
        parts = [self.curves[:, own] - self.curves[:, own].mean(axis=1, keepdims=True) for own in self.sizes]
        rounding = 1e-20 * (self.curves[0] ** 2).sum()
        chance = [MOVES * _by_seeds((part[1:] ** 2).sum(axis=1)) for part in parts]
        return sum((part[0] ** 2).sum() > max(by, rounding) for part, by in zip(parts, chance, strict=True))

    def grid(self) -> tuple[Floats, float]:
        """Exponents that let all sizes next to each other overlap, and by how much of it one x leaves the overlap.

        A step of the grid moves the largest size along the smallest by as much as two x are apart.
        """
        gaps = np.diff([self.log_size[own[0]] for own in self.sizes])
        apart = np.median(np.concatenate([np.diff(self.log_x[own]) for own in self.sizes]))
        end = np.ptp(self.log_x) / gaps.max()
        half = int(np.ceil(end / apart * gaps.sum()))
        return np.linspace(-end, end, 2 * half + 1), float(apart / gaps.max())

    def along(self, grid: Floats, weights: Floats) -> Floats:
        """The mean squared distance (R, len(grid)) for each exponent of a grid and weights (R, S + 1) of the curves."""
        theta = np.stack([grid, 0 * grid, 0 * grid], axis=1)
        grams, known = zip(*map(self.gram, _pieces(theta)), strict=True)
        values = np.einsum("ri,tij,rj->rt", weights, np.concatenate(grams), weights, optimize=True)
        return np.where(np.concatenate(known) > 0, values, np.inf)

    def quality(self, theta: Floats) -> float:
        """The mean squared distance of the means over what seeds alone make of it, whatever a seed's cells share."""
        (gram,), (known,) = self.gram(theta[None])
        chance = _by_seeds(np.diagonal(gram)[1:])
        return float(gram[0, 0] / chance) if known > 0 and chance > 1e-20 * gram[0, 0] else np.nan

    def gram(self, theta: Floats) -> tuple[Floats, Floats]:
        """Mean products of the distances of any two curves (T, S + 1, S + 1), and the number of distances (T,)."""
        off, known = self.distances(theta, self.curves[:, None])
        off = off.transpose(1, 0, 2)
        return off @ off.transpose(0, 2, 1) / np.maximum(known, 1.0)[:, None, None], known

    def descend(self, theta: Floats, curves: Floats, step: Floats) -> Floats:
        """From each theta downhill in the distance of its own curve (T, N), by steps (3,) along the axes.

        A compass search: where no step helps, it is halved. The distance has kinks where points pass each other.
        """
        best, value = theta.copy(), self._distance(theta, curves)
        halved, live = np.zeros(len(theta), int), np.arange(len(theta))
        moves = [sign * way for way in np.diag(step)[step > 0] for sign in (1, -1)]
        while len(live):
            stuck = np.ones(len(live), bool)
            for move in moves:
                trial = best[live] + move * 0.5 ** halved[live, None]
                found = self._distance(trial, curves[live])
                better = found < value[live]
                best[live[better]], value[live[better]] = trial[better], found[better]
                stuck &= ~better
            halved[live[stuck]] += 1
            live = live[halved[live] < HALVINGS]
        return best

    def middle(self, exponent: float, curves: Floats) -> Floats:
        """log x size^a at which each of many curves (T, N), collapsed by one exponent, is halfway, or an end."""
        at = self.log_x + exponent * self.log_size
        order = np.argsort(at, kind="stable")
        order = order if np.polyfit(at, curves[0], 1)[0] < 0 else order[::-1]  # crossings are looked for on a fall
        above = curves - (curves.min(axis=1, keepdims=True) + curves.max(axis=1, keepdims=True)) / 2
        count = np.tile(self.count[order], (len(curves), 1))
        return np.clip(monotone_crossing(at[order], above[:, order] * count, count, 0.0), at.min(), at.max())

    def distances(self, theta: Floats, curves: Floats) -> tuple[Floats, Floats]:
        """Distances from the master curve in standard errors of one run, 0 where it is not known; how many are known.

        For `curves` (C, T or 1, N): (C, T, N) and (T,), 0 where sizes hardly overlap. Weights are counts, and the
        variance of the master curve is that of the line at the point.
        """
        a, b, c = (theta[:, i, None] for i in range(3))
        u = (self.log_x + a * self.log_size - c) * np.exp(b * self.log_size)
        near: list[tuple[NDArray[np.intp], Floats, Floats]] = []
        for own in self.sizes:
            size, xs, count = self.log_size[own[0]], self.log_x[own], self.count[own]
            at = u * np.exp(-b * size) - a * size + c
            right = np.clip(np.searchsorted(xs, at, side="right"), 1, len(own) - 1)
            inside = (at >= xs[0]) & (at <= xs[-1]) & (self.log_size != size)
            ends = (right - 1, right) if len(own) > 1 else ()
            near += [(own[each], inside * count[each], (xs[each] - at) * np.exp(b * size)) for each in ends]
        k, kx, kxx = (sum((w * gap**power for _, w, gap in near), 0.0 * u) for power in range(3))
        known = k > 0
        spread = np.where(known, k * kxx - kx**2, 1.0)
        error = np.sqrt(1 / self.count + kxx / spread)
        off = known * curves / error
        for each, w, gap in near:
            off -= w * (kxx - kx * gap) / (spread * error) * np.take_along_axis(curves, each[None], axis=2)
        return off, known.sum(axis=1) * self._overlap(u)

    def _distance(self, theta: Floats, curves: Floats) -> Floats:
        """Mean squared distance of curve t at theta[t] (T,), inf where too few points overlap."""
        found = []
        for piece, own in zip(_pieces(theta), _pieces(curves), strict=True):
            off, known = self.distances(piece, own[None])
            found.append(np.where(known > 0, (off[0] ** 2).sum(axis=1) / np.maximum(known, 1.0), np.inf))
        return np.concatenate(found)

    def _overlap(self, u: Floats) -> NDArray[np.bool_]:
        """Whether sizes next to each other have enough scaled x (T, N) in common: (T,)."""
        low, high = (np.stack([u[:, own[end]] for own in self.sizes]) for end in (0, -1))
        shared = np.minimum(high[1:], high[:-1]) - np.maximum(low[1:], low[:-1])
        return np.all(shared >= OVERLAP * np.minimum((high - low)[1:], (high - low)[:-1]), axis=0)


@styled
def collapse_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Curves of a table of Collapse.collapsed, raw on the left, against scaled x on the right, one line a size.

    Two panels a facet. Raises SweepError where there are more than two facets.
    """
    facet, size = table.attrs["facet"], table.attrs["size"]
    names = list(levels(table, facet)) if facet else [None]
    if len(names) > 2:
        raise SweepError(f"{len(names)} values of {facet} are too many for one figure of collapses. Keep one or two.")
    figure, axes = new_figure(2 * len(names), sharey=True)
    for name, raw, scaled in zip(names, axes[::2], axes[1::2], strict=True):
        part = table if name is None else table[table[facet] == name]
        for ax, column in ((raw, table.attrs["x"]), (scaled, "scaled")):
            _curves(ax, part, column, size)
        who, first = "" if name is None else f"{label(facet)} = {number(name)}", part.iloc[0]
        raw.set(title=who, xlabel=label(table.attrs["x"]), ylabel=value_label(table))
        scaled.set(
            title=f"rescaled, quality {number(first['quality'], 2)} (1: a collapse)", xlabel=_scaled_label(table, first)
        )
    handles, sizes = axes[0].get_legend_handles_labels()
    figure.legend(handles, sizes, title=label(size), loc="outside right center")
    return finish(figure, title, f"{counts(table)}; bars: {100 * table.attrs['level']:g} % intervals of the mean.")


def _curves(ax: Axes, part: pd.DataFrame, column: str, size: str) -> None:
    import seaborn as sns

    sizes = list(levels(part, size))
    if not (column == "scaled" and "width" in part):
        sparse_log_ticks(ax)
    for i, (each, colour) in enumerate(zip(sizes, sns.color_palette("viridis", len(sizes)), strict=True)):
        own = part[part[size] == each].dropna(subset=[column, "mean"]).sort_values(column)
        style = {"color": colour, "linestyle": ("-", "--", "-.", ":")[i % 4], "marker": "osD^vP"[i % 6]}
        bars = [(own["mean"] - own["low"]).fillna(0.0), (own["high"] - own["mean"]).fillna(0.0)]
        ax.errorbar(own[column], own["mean"], bars, ms=3.5, linewidth=1.0, elinewidth=0.8, label=number(each), **style)


def _scaled_label(table: pd.DataFrame, first: pd.Series) -> str:
    """What the scaled axis is, in words and numbers."""
    x, size, exponent = table.attrs["x"], table.attrs["size"], number(first["exponent"])
    if exponent == "none":
        return "no exponent"
    if "width" not in first:
        return f"{x} × {size}^{exponent}"
    return f"log({x} × {size}^{exponent} / {number(first['middle'])}) × {size}^{number(first['width'])}"


def _by_seeds(squares: Floats) -> float:
    """Variance of a mean over seeds from the squares of what each seed adds to it."""
    return float(squares.sum()) * len(squares) / max(len(squares) - 1, 1)


def _pieces(rows: Floats) -> list[Floats]:
    return np.array_split(rows, -(-len(rows) // PIECE))
