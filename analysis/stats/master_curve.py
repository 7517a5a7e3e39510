"""Curves of several sizes as points, and how far they are from one master curve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.stats.crossing import monotone_crossing
from analysis.stats.seed_cube import SeedCube

Floats = NDArray[np.float64]

MIN_OVERLAP = 0.5
"""Smallest share of its scaled x that a size must share with the next for a collapse to count."""

MIN_VARIATION = 2.0
"""A curve leaves its plateau where its means vary along x by more than this many variances of
seeds."""

BATCH_SIZE = 2_000
"""How many means are compared with the master curve at once, times the number of exponents: it
limits memory."""


@dataclass(frozen=True)
class ScaledCurves:
    """The N cells of a facet that have runs as points, over S seeds, and how well exponents
    collapse them.

    `log_size` is relative to its mean over sizes, `centre`. `curves` (S + 1, N) are the means, and
    for each seed what it adds to them: a resample in which seed s is drawn w_s times has the means
    curves[0] + sum_s w_s curves[s], exactly where no cell lacks a run, else to first order.
    Parameters are `theta` (T, 3): a, b and c, for sizes relative to the centre.
    """

    log_x: Floats
    log_size: Floats
    centre: float
    count: Floats
    curves: Floats

    @classmethod
    def of(cls, cube: SeedCube) -> ScaledCurves:
        """From a cube with sizes for its rows."""
        size, x = np.nonzero(cube.present.any(axis=0))
        present = cube.present[:, size, x]
        values = np.where(present, cube.values[:, size, x], 0.0)
        count = present.sum(axis=0).astype(float)
        mean = values.sum(axis=0) / count
        curves = np.concatenate([mean[None], present * (values - mean) / count])
        log_x, log_sizes = np.log(np.asarray(cube.xs, float)), np.log(np.asarray(cube.ys, float))
        centre = log_sizes.mean()
        return cls(log_x[x], (log_sizes - centre)[size], float(centre), count, curves)

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.curves) - 1

    @cached_property
    def sizes(self) -> list[NDArray[np.intp]]:
        """The points of each size, ascending in x."""
        return [np.flatnonzero(self.log_size == size) for size in np.unique(self.log_size)]

    @property
    def moving(self) -> int:
        """How many sizes leave their plateau."""
        rounding = 1e-20 * (self.curves[0] ** 2).sum()
        count = 0
        for points in self.sizes:
            curves = self.curves[:, points]
            deviations = curves - curves.mean(axis=1, keepdims=True)
            seed_variance = MIN_VARIATION * _variance_by_seeds((deviations[1:] ** 2).sum(axis=1))
            count += bool((deviations[0] ** 2).sum() > max(seed_variance, rounding))
        return count

    def along(self, theta: Floats, weights: Floats) -> Floats:
        """The mean squared distance (R, T) at theta (T, 3) for weights (R, S + 1) of the curves."""
        values = []
        for batch in _batches(theta, BATCH_SIZE // len(self.curves)):
            distances, count = self.distances(batch, self.curves[:, None])
            resampled = np.tensordot(weights, distances, axes=1)
            mean = (resampled**2).sum(axis=2) / np.maximum(count, 1.0)
            values.append(np.where(count > 0, mean, np.inf))
        return np.concatenate(values, axis=1)

    def quality(self, theta: Floats) -> float:
        """The mean squared distance of the means over its expectation from seeds alone.

        That holds for any correlation between the cells of a seed.
        """
        (gram,), (count,) = self.gram(theta[None])
        seed_variance = _variance_by_seeds(np.diagonal(gram)[1:])
        if count <= 0 or seed_variance <= 1e-20 * gram[0, 0]:
            return np.nan
        return float(gram[0, 0] / seed_variance)

    def gram(self, theta: Floats) -> tuple[Floats, Floats]:
        """Mean products of the distances of any two curves (T, S + 1, S + 1), and how many
        distances (T,)."""
        distances, count = self.distances(theta, self.curves[:, None])
        distances = distances.transpose(1, 0, 2)
        products = distances @ distances.transpose(0, 2, 1)
        return products / np.maximum(count, 1.0)[:, None, None], count

    def middle(self, exponent: float, curves: Floats) -> Floats:
        """log x size^a (T,) at which each of several curves (T, N) is halfway, clipped to the
        points."""
        scaled = self.log_x + exponent * self.log_size
        order = np.argsort(scaled, kind="stable")
        # monotone_crossing expects falling values, so rising curves are read from right to left.
        if np.polyfit(scaled, curves[0], 1)[0] >= 0:
            order = order[::-1]
        halfway = (curves.min(axis=1, keepdims=True) + curves.max(axis=1, keepdims=True)) / 2
        above = curves - halfway
        count = np.tile(self.count[order], (len(curves), 1))
        crossing = monotone_crossing(scaled[order], above[:, order] * count, count, 0.0)
        return np.clip(crossing, scaled.min(), scaled.max())

    def distances(self, theta: Floats, curves: Floats) -> tuple[Floats, Floats]:
        """Distances from the master curve in standard errors of one run.

        Weights are counts, and the variance of the master curve is that of the line at the point.

        Args:
            theta: (T, 3) parameters.
            curves: (C, T or 1, N) curves.

        Returns:
            The distances (C, T, N), 0 where there is no master curve, and how many points have one
            (T,), 0 where
            sizes hardly overlap.
        """
        a, b, c = (theta[:, i, None] for i in range(3))
        u = (self.log_x + a * self.log_size - c) * np.exp(b * self.log_size)
        neighbours = self._neighbours(u, a, b, c)
        # Moments of the weighted line through the neighbours, in the notation of Houdayer and Hartmann.
        k, kx, kxx = (
            sum((weight * gap**power for _, weight, gap in neighbours), 0.0 * u)
            for power in range(3)
        )
        covered = k > 0
        spread = np.where(covered, k * kxx - kx**2, 1.0)
        error = np.sqrt(1 / self.count + kxx / spread)
        distances = covered * curves / error
        for index, weight, gap in neighbours:
            values = np.take_along_axis(curves, index[None], axis=2)
            distances -= weight * (kxx - kx * gap) / (spread * error) * values
        return distances, covered.sum(axis=1) * self._overlap(u)

    def distance(self, theta: Floats, curves: Floats) -> Floats:
        """Mean squared distance of curve t at theta[t] (T,), inf where too few points overlap."""
        means = []
        batches = zip(_batches(theta, BATCH_SIZE), _batches(curves, BATCH_SIZE), strict=True)
        for theta_batch, curve_batch in batches:
            distances, count = self.distances(theta_batch, curve_batch[None])
            mean = (distances[0] ** 2).sum(axis=1) / np.maximum(count, 1.0)
            means.append(np.where(count > 0, mean, np.inf))
        return np.concatenate(means)

    def _neighbours(
        self, u: Floats, a: Floats, b: Floats, c: Floats
    ) -> list[tuple[NDArray[np.intp], Floats, Floats]]:
        """The points of each size on both sides of all points: their index, weight and distance in
        u (T, N)."""
        neighbours: list[tuple[NDArray[np.intp], Floats, Floats]] = []
        for points in self.sizes:
            if len(points) < 2:
                continue
            size, xs, count = self.log_size[points[0]], self.log_x[points], self.count[points]
            at = u * np.exp(-b * size) - a * size + c
            right = np.clip(np.searchsorted(xs, at, side="right"), 1, len(points) - 1)
            inside = (at >= xs[0]) & (at <= xs[-1]) & (self.log_size != size)
            for index in (right - 1, right):
                gap = (xs[index] - at) * np.exp(b * size)
                neighbours.append((points[index], inside * count[index], gap))
        return neighbours

    def _overlap(self, u: Floats) -> NDArray[np.bool_]:
        """Whether neighbouring sizes have enough scaled x (T, N) in common: (T,)."""
        low = np.stack([u[:, points[0]] for points in self.sizes])
        high = np.stack([u[:, points[-1]] for points in self.sizes])
        shared = np.minimum(high[1:], high[:-1]) - np.maximum(low[1:], low[:-1])
        span = high - low
        return np.all(shared >= MIN_OVERLAP * np.minimum(span[1:], span[:-1]), axis=0)


def _variance_by_seeds(squares: Floats) -> float:
    """Variance of a mean over seeds from the squares of what each seed adds to it."""
    return float(squares.sum()) * len(squares) / max(len(squares) - 1, 1)


def _batches(rows: Floats, size: int) -> list[Floats]:
    return np.array_split(rows, -(-len(rows) // max(size, 1)))
