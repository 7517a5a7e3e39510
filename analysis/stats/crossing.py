"""Where values that fall along x cross a level, for all rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.stats.firth import firth_fit

Floats = NDArray[np.float64]

STEEP = 4.0
"""Change of the logit between the two points next to a step, in the curve a fit begins with."""


def monotone_crossing(x: Floats, sums: Floats, counts: Floats, level: float) -> Floats:
    """Where the falling isotonic regression of the means crosses `level`, by linear interpolation.

    Where the regression is at the level over several points, the middle of these.

    Args:
        x: (X,) positions, ascending or descending.
        sums: (..., X) sums of the values at each position.
        counts: (..., X) numbers of values at each position.
        level: The level to cross.

    Returns:
        The crossings (...), -inf or inf (by the direction of x) where no point or every point is
        above the level, NaN where there are no values.
    """
    first, last = monotone_crossings(x, sums, counts, level)
    return np.where(np.isfinite(last), (first + last) / 2, last)


def monotone_crossings(
    x: Floats, sums: Floats, counts: Floats, level: float
) -> tuple[Floats, Floats]:
    """The first and the last place at which the falling isotonic regression crosses `level`.

    The regression is at least `level` up to the point at which the partial sums of value minus
    level are largest (Robertson, Wright and Dykstra, Order Restricted Statistical Inference, 1988,
    Section 1.4), so it is never computed. It is at the level between equal largest ones.

    Arguments are those of `monotone_crossing`, and so are both results, which are the same where
    the level lies beyond the points.
    """
    partial_sums = _partial_sums(sums - level * counts)
    # Reversed, because argmax returns the first of equal maxima and the last cut comes first here.
    end = partial_sums.shape[-1] - 1
    cut = _skip_empty(end - np.argmax(partial_sums[..., ::-1], axis=-1), counts)
    last = _crossing_at(cut, x, sums, counts, level)
    first_cut = _skip_empty(np.argmax(partial_sums, axis=-1), counts)
    # At the level up to an end of the row there is no other side.
    level_over_points = (first_cut < cut) & (first_cut > 0) & np.isfinite(last)
    _, right = _neighbours(x, first_cut, counts)
    return np.where(level_over_points, right, last), last


def _crossing_at(
    cut: NDArray[np.intp], x: Floats, sums: Floats, counts: Floats, level: float
) -> Floats:
    """The crossing (...) between the points before a cut and those after it."""
    above = _mean_to(cut, sums, counts, np.minimum)
    below = _mean_to(sums.shape[-1] - cut, sums[..., ::-1], counts[..., ::-1], np.maximum)
    left, right = _neighbours(x, cut, counts)
    share = np.divide(above - level, above - below, out=np.zeros_like(above), where=above > below)
    inside = np.isfinite(left) & np.isfinite(right)
    between = np.where(inside, left, 0.0) + share * np.where(inside, right - left, 0.0)
    end = _far_end(x)
    crossing = np.where(inside, between, np.where(np.isfinite(left), end, -end))
    return np.where(counts.sum(axis=-1) > 0, crossing, np.nan)


def logistic_crossing(x: Floats, sums: Floats, counts: Floats, level: float) -> Floats:
    """Where a logistic curve through the shares is at `level`, by Firth's penalised likelihood.

    Args:
        x: (X,) positions, ascending or descending.
        sums: (R, X) numbers of successes at each position.
        counts: (R, X) numbers of runs at each position.
        level: The share to cross.

    Returns:
        The crossings (R,), -inf or inf (by the direction of x) where they lie outside of the
        points, NaN where a row has no runs or its fit did not converge.
    """
    scale = np.ptp(x) or 1.0
    intercept, slope = logistic_fit((x - x.mean()) / scale, sums, counts, level).T
    logit = np.log(level / (1 - level))
    # Of rows in which only one position has runs there is no curve.
    lone = (counts > 0).sum(axis=-1) == 1
    level_curve = lone | (slope == 0)
    position = (logit - intercept) / np.where(level_curve, 1.0, slope) * scale + x.mean()
    inside = ~level_curve & (position >= x.min()) & (position <= x.max())
    end = _far_end(x)
    mostly_above = sums.sum(axis=-1) > level * counts.sum(axis=-1)
    crossing = np.where(inside, position, np.where(mostly_above, end, -end))
    return np.where(lone | np.isfinite(intercept), crossing, np.nan)


def logistic_fit(z: Floats, sums: Floats, counts: Floats, level: float) -> Floats:
    """Intercept and slope (R, 2) of the logistic curve of each row, NaN where `firth_fit` fails.

    Args:
        z: (X,) positions of range 1.
        sums: (R, X) numbers of successes at each position.
        counts: (R, X) numbers of runs at each position.
        level: The share whose crossing by a step function gives one of the initial curves.
    """
    # The likelihood may have a second maximum, at a steep curve near the best step function.
    step = np.nan_to_num(monotone_crossing(z, sums, counts, level))[:, None]
    left = np.where((counts > 0) & (z <= step), z, -1.0).max(axis=1)
    right = np.where((counts > 0) & (z > step), z, 1.0).min(axis=1)
    slope = STEEP / (right - left) * np.sign(z[0] - z[-1])
    steep = np.stack([-slope * (left + right) / 2, slope], axis=1)
    return firth_fit(z, sums, counts, steep)


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
