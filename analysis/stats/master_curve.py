"""Curves of several sizes as points, and how far they are from one master curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.stats.boundary import SeedCube
from analysis.stats.crossing import monotone_crossing

Floats = NDArray[np.float64]

OVERLAP = 0.5
"""Least share of its x that a size has in common with the next one, in scaled x, for a collapse to be judged."""

MOVES = 2.0
"""A curve leaves its plateau where its means vary along x by more than this, in variances that seeds alone make."""

HALVINGS, PIECE = 10, 64
"""How often a search halves its step, and how many exponents are tried at once."""


@dataclass(frozen=True)
class ScaledCurves:
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
    def of(cls, cube: SeedCube) -> ScaledCurves:
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


def _by_seeds(squares: Floats) -> float:
    """Variance of a mean over seeds from the squares of what each seed adds to it."""
    return float(squares.sum()) * len(squares) / max(len(squares) - 1, 1)


def _pieces(rows: Floats) -> list[Floats]:
    return np.array_split(rows, -(-len(rows) // PIECE))
