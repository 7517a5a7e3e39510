"""Where values that fall along x cross a level, for all rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def monotone_crossing(x: Floats, sums: Floats, counts: Floats, level: float) -> Floats:
    """Where the falling isotonic regression of the means crosses `level`, by linear interpolation.

    The regression is at least `level` up to the point at which the partial sums of value minus
    level are largest (Robertson, Wright and Dykstra, Order Restricted Statistical Inference, 1988,
    Section 1.4), so it is never computed.

    Args:
        x: (X,) positions, ascending or descending.
        sums: (..., X) sums of the values at each position.
        counts: (..., X) numbers of values at each position.
        level: The level to cross.

    Returns:
        The crossings (...), -inf or inf (by the direction of x) where no point or every point is
        above the level, NaN where there are no values.
    """
    partial_sums = _partial_sums(sums - level * counts)
    # Reversed, because argmax returns the first of equal maxima and the cut is after the last.
    cut = partial_sums.shape[-1] - 1 - np.argmax(partial_sums[..., ::-1], axis=-1)
    cut = _skip_empty(cut, counts)
    above = _mean_to(cut, sums, counts, np.minimum)
    below = _mean_to(sums.shape[-1] - cut, sums[..., ::-1], counts[..., ::-1], np.maximum)
    left, right = _neighbours(x, cut, counts)
    share = np.divide(above - level, above - below, out=np.zeros_like(above), where=above > below)
    inside = np.isfinite(left) & np.isfinite(right)
    between = np.where(inside, left, 0.0) + share * np.where(inside, right - left, 0.0)
    end = _far_end(x)
    crossing = np.where(inside, between, np.where(np.isfinite(left), end, -end))
    return np.where(counts.sum(axis=-1) > 0, crossing, np.nan)


def logistic_crossing(
    x: Floats, sums: Floats, counts: Floats, level: float, steps: int = 50
) -> Floats:
    """Where a logistic curve through the shares is at `level`, by Firth's penalised likelihood.

    Jeffreys' prior as a penalty (Firth, Biometrika 80 (1993), 27-38) keeps the fit finite where all
    successes lie on one side (Heinze and Schemper, Statistics in Medicine 21 (2002), 2409-2419).

    Args:
        x: (X,) positions, ascending or descending.
        sums: (..., X) numbers of successes at each position.
        counts: (..., X) numbers of runs at each position.
        level: The share to cross.
        steps: The most Newton steps.

    Returns:
        The crossings (...), -inf or inf (by the direction of x) where they lie outside of the
        points, NaN where a row has no runs.
    """
    scale = np.ptp(x) or 1.0
    beta = _firth_fit((x - x.mean()) / scale, sums, counts, steps)
    logit = np.log(level / (1 - level))
    slope = np.where(beta[..., 1] == 0, -1e-12, beta[..., 1])
    crossing = (logit - beta[..., 0]) / slope * scale + x.mean()
    end = _far_end(x)
    inside = (crossing >= x.min()) & (crossing <= x.max())
    mostly_above = sums.sum(-1) > level * counts.sum(-1)
    crossing = np.where(inside, crossing, np.where(mostly_above, end, -end))
    return np.where(counts.sum(axis=-1) > 0, crossing, np.nan)


def _firth_fit(z: Floats, sums: Floats, counts: Floats, steps: int) -> Floats:
    """Intercept and slope (..., 2) of the penalised fit, by Newton's method for all rows at once."""
    beta = np.zeros((*sums.shape[:-1], 2))
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(beta[..., :1] + beta[..., 1:] * z, -30, 30)))
        w = counts * p * (1 - p)
        a, b, c = w.sum(-1), (w * z).sum(-1), (w * z * z).sum(-1)
        determinant = np.maximum(a * c - b * b, 1e-12)
        curvature = c[..., None] - 2 * b[..., None] * z + a[..., None] * z * z
        leverage = w * curvature / determinant[..., None]
        score = sums - counts * p + leverage * (0.5 - p)
        u, v = score.sum(-1), (score * z).sum(-1)
        step = np.stack([c * u - b * v, a * v - b * u], axis=-1) / determinant[..., None]
        # Steps are limited to 1, since Newton's method overshoots far from the optimum.
        beta += step / np.maximum(1.0, np.abs(step).max(axis=-1, keepdims=True))
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _partial_sums(values: Floats) -> Floats:
    """Sums over the first 0, 1, ... values (..., X + 1)."""
    zero = np.zeros((*values.shape[:-1], 1))
    return np.concatenate([zero, np.cumsum(values, axis=-1)], axis=-1)


def _far_end(x: Floats) -> float:
    """The infinity beyond the last position."""
    return np.inf * np.sign(x[-1] - x[0]) if len(x) > 1 else np.inf


def _skip_empty(cut: NDArray[np.intp], counts: Floats) -> NDArray[np.intp]:
    """The cut moved left until there is no empty point right before it."""
    ends = np.arange(1, counts.shape[-1] + 1)
    usable = (counts > 0) & (ends <= cut[..., None])
    return np.where(usable, ends, 0).max(axis=-1)


def _mean_to(cut: NDArray[np.intp], sums: Floats, counts: Floats, choose: np.ufunc) -> Floats:
    """The regression at the last point before a cut: the extreme mean of the runs of points to it.

    `choose` is np.minimum on the left of the crossing, np.maximum on the reversed right.
    """
    totals, numbers = _partial_sums(sums), _partial_sums(counts)
    total_end = np.take_along_axis(totals, cut[..., None], axis=-1)
    number_end = np.take_along_axis(numbers, cut[..., None], axis=-1)
    weight = number_end - numbers
    usable = (np.arange(numbers.shape[-1]) < cut[..., None]) & (weight > 0)
    # Unusable starts must not affect the extreme.
    neutral = np.inf if choose is np.minimum else -np.inf
    means = np.full(totals.shape, neutral)
    means = np.divide(total_end - totals, weight, out=means, where=usable)
    extreme = choose.reduce(means, axis=-1)
    return np.where(np.isfinite(extreme), extreme, 0.0)


def _neighbours(x: Floats, cut: NDArray[np.intp], counts: Floats) -> tuple[Floats, Floats]:
    """The last point with runs before a cut and the first after it, NaN where there is none."""
    indices = np.arange(len(x))
    occupied = counts > 0
    left = np.where(occupied & (indices < cut[..., None]), indices, -1).max(axis=-1)
    right = np.where(occupied & (indices >= cut[..., None]), indices, len(x)).min(axis=-1)
    left_x = np.where(left >= 0, x[left], np.nan)
    right_x = np.where(right < len(x), x[np.minimum(right, len(x) - 1)], np.nan)
    return left_x, right_x
