"""Where rows of values that fall along x cross a level, many rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def monotone_crossing(x: Floats, sums: Floats, counts: Floats, level: float) -> Floats:
    """Where the falling isotonic regression of the means crosses `level`, between its neighbours on
    a straight line.

    `sums` and `counts` are (..., len(x)). The regression is at least `level` up to the point at
    which the partial sums of value minus level are largest (Robertson, Wright and Dykstra, Order
    Restricted Statistical Inference, 1988, Section 1.4), so it is never made. -+inf (by the
    direction of x) where no point or every point is above the level.
    """
    before = np.concatenate(
        [np.zeros((*sums.shape[:-1], 1)), np.cumsum(sums - level * counts, axis=-1)], axis=-1
    )
    cut = before.shape[-1] - 1 - np.argmax(before[..., ::-1], axis=-1)  # the last of equal ones
    cut = _on_points(cut, counts)
    above = _mean_to(cut, sums, counts, np.minimum)
    below = _mean_to(sums.shape[-1] - cut, sums[..., ::-1], counts[..., ::-1], np.maximum)
    left, right = _neighbours(x, cut, counts)
    share = np.divide(above - level, above - below, out=np.zeros_like(above), where=above > below)
    inside = np.isfinite(left) & np.isfinite(right)
    between = np.where(inside, left, 0.0) + share * np.where(inside, right - left, 0.0)
    end = np.inf * np.sign(x[-1] - x[0]) if len(x) > 1 else np.inf
    found = np.where(inside, between, np.where(np.isfinite(left), end, -end))
    return np.where(counts.sum(axis=-1) > 0, found, np.nan)


def _on_points(cut: NDArray[np.intp], counts: Floats) -> NDArray[np.intp]:
    """The same cut with no empty point right before it."""
    steps = np.arange(1, counts.shape[-1] + 1)
    occupied = np.where((counts > 0) & (steps <= cut[..., None]), steps, 0)
    return occupied.max(axis=-1)


def _mean_to(cut: NDArray[np.intp], sums: Floats, counts: Floats, choose: np.ufunc) -> Floats:
    """The value of the regression at the last of the first `cut` points: the least (largest) mean
    of a run to it."""
    S, N = (
        np.concatenate([np.zeros((*each.shape[:-1], 1)), np.cumsum(each, axis=-1)], axis=-1)
        for each in (sums, counts)
    )
    S_end, N_end = (np.take_along_axis(each, cut[..., None], axis=-1) for each in (S, N))
    weight = N_end - N
    usable = (np.arange(N.shape[-1]) < cut[..., None]) & (weight > 0)
    worst = np.inf if choose is np.minimum else -np.inf
    means = np.divide(S_end - S, weight, out=np.full(S.shape, worst), where=usable)
    found = choose.reduce(means, axis=-1)
    return np.where(np.isfinite(found), found, 0.0)


def _neighbours(x: Floats, cut: NDArray[np.intp], counts: Floats) -> tuple[Floats, Floats]:
    """The last point with runs before a cut and the first one after it, NaN where occupied is none."""
    steps = np.arange(len(x))
    occupied = counts > 0
    left = np.where(occupied & (steps < cut[..., None]), steps, -1).max(axis=-1)
    right = np.where(occupied & (steps >= cut[..., None]), steps, len(x)).min(axis=-1)
    return np.where(left >= 0, x[left], np.nan), np.where(
        right < len(x), x[np.minimum(right, len(x) - 1)], np.nan
    )


def logistic_crossing(
    x: Floats, sums: Floats, counts: Floats, level: float, steps: int = 50
) -> Floats:
    """Where a logistic curve through the shares sums / counts is at `level`, fitted by Firth's
    penalised likelihood.

    Jeffreys' prior as a penalty (Firth, Biometrika 80 (1993), 27-38) keeps the fit finite where all
    successes lie on one side (Heinze and Schemper, Statistics in Medicine 21 (2002), 2409-2419).
    -+inf (by the direction of x) where the crossing lies outside of the points, NaN where a row has
    no runs.
    """
    scale = np.ptp(x) or 1.0
    z = (x - x.mean()) / scale
    beta = np.zeros((*sums.shape[:-1], 2))
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(beta[..., :1] + beta[..., 1:] * z, -30, 30)))
        w = counts * p * (1 - p)
        a, b, c = w.sum(-1), (w * z).sum(-1), (w * z * z).sum(-1)
        determinant = np.maximum(a * c - b * b, 1e-12)
        leverage = (
            w
            * (c[..., None] - 2 * b[..., None] * z + a[..., None] * z * z)
            / determinant[..., None]
        )
        score = sums - counts * p + leverage * (0.5 - p)
        u, v = score.sum(-1), (score * z).sum(-1)
        step = np.stack([c * u - b * v, a * v - b * u], axis=-1) / determinant[..., None]
        beta += step / np.maximum(1.0, np.abs(step).max(axis=-1, keepdims=True))  # at most 1 a step
        if np.abs(step).max() < 1e-8:
            break
    target = np.log(level / (1 - level))
    slope = np.where(beta[..., 1] == 0, -1e-12, beta[..., 1])
    found = (target - beta[..., 0]) / slope * scale + x.mean()
    end = np.inf * np.sign(x[-1] - x[0]) if len(x) > 1 else np.inf
    inside = (found >= x.min()) & (found <= x.max())
    high = sums.sum(-1) > level * counts.sum(-1)
    found = np.where(inside, found, np.where(high, end, -end))
    return np.where(counts.sum(axis=-1) > 0, found, np.nan)
