"""Where the distance from a master curve is least: it has kinks, jumps and many minima."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.stats.master_curve import ScaledCurves

Floats = NDArray[np.float64]

HALVINGS = 10
"""How often a search halves its step."""

STARTS = (3, 8)
"""From how many of the best candidates a search goes downhill: for an exponent, and with a width."""

PLANE = (100, 31)
"""Exponents and widths from which a search of both begins."""

MAX_WIDTH = 3.0
"""The largest width of these, times the range of the log of the size."""

MAX_PIECES = 1_000
"""Most intervals of exponents within which a search looks for the best one."""


def exponent_grid(points: ScaledCurves) -> tuple[Floats, float]:
    """Exponents at which all neighbouring sizes overlap, and the change that moves one x out.

    A step of the grid shifts the largest size against the smallest by a quarter of the spacing of
    x.
    """
    gaps = np.diff([points.log_size[own[0]] for own in points.sizes])
    spacing = np.median(np.concatenate([np.diff(points.log_x[own]) for own in points.sizes]))
    end = np.ptp(points.log_x) / gaps.max()
    half = int(np.ceil(4 * end / spacing * gaps.sum()))
    return np.linspace(-end, end, 2 * half + 1), float(spacing / gaps.max())


def candidates_along(points: ScaledCurves, grid: Floats) -> tuple[Floats, Floats]:
    """Parameters (K, 3) with b and c 0 from which to search, and the first steps from each.

    Where a point passes one of another size the distance has a kink, or jumps as a point loses
    its master curve. The middle and both ends of each interval between such exponents are
    candidates, and not these exponents themselves, at which the distance of neither side holds.

    Args:
        points: The cells of the curves.
        grid: Exponents that divide longer intervals.
    """
    # Every k-th point of many, since pairs of points need memory and most would be left out.
    every = slice(None, None, -(-len(points.log_x) // MAX_PIECES))
    log_x, log_size = points.log_x[every], points.log_size[every]
    first, second = np.triu_indices(len(log_x), 1)
    ratio = log_size[first] - log_size[second]
    shift = log_x[second] - log_x[first]
    passing = shift[ratio != 0] / ratio[ratio != 0]
    passing = passing[(passing > grid[0]) & (passing < grid[-1])]
    # Rounded, since exponents of a regular grid coincide but for their last digits.
    ends = np.unique(np.round(np.concatenate([grid, passing]), 9))
    ends = ends[np.linspace(0, len(ends) - 1, min(len(ends), MAX_PIECES)).astype(int)]
    width = np.diff(ends)
    exponents = np.concatenate([ends[:-1] + place * width for place in (0.05, 0.5, 0.95)])
    return _parameters(exponents), _parameters(np.tile(width, 3) / 4)


def candidates_in_plane(points: ScaledCurves, grid: Floats, middle: float) -> tuple[Floats, Floats]:
    """Parameters (K, 3) with a along `grid` and b on both sides of 0, and the first steps from each.

    At the last b a transition is e^MAX_WIDTH times as sharp at the largest size as at the
    smallest.

    Args:
        points: The cells of the curves.
        grid: Exponents that cover the range.
        middle: c.
    """
    width = np.linspace(-1, 1, PLANE[1]) * MAX_WIDTH / np.ptp(points.log_size)
    # Between the middles of steps, where no point of a regular grid lies on another.
    exponent = np.linspace(grid[0], grid[-1], PLANE[0] + 1)
    exponent = (exponent[1:] + exponent[:-1]) / 2
    a, b = (each.ravel() for each in np.meshgrid(exponent, width))
    step = np.array([exponent[1] - exponent[0], width[1] - width[0], 0.0]) / 2
    return _parameters(a, b, middle), np.tile(step, (len(a), 1))


def search(
    points: ScaledCurves,
    theta: Floats,
    steps: Floats,
    values: Floats,
    curves: Floats,
    middle: Floats,
) -> Floats:
    """The parameters (R, 3) of least distance, downhill from the best STARTS candidates.

    Args:
        points: The cells of the curves.
        theta: (K, 3) candidates.
        steps: (K, 3) first steps from them.
        values: (R, K) the distances there.
        curves: (R, N) the curves.
        middle: (R,) c of each curve.
    """
    count = STARTS[bool(theta[:, 1].any())]
    start = np.argsort(values, axis=1)[:, :count].T.ravel()
    own, repeated = theta[start], np.tile(curves, (count, 1))
    own[:, 2] = np.tile(middle, count)
    found = descend(points, own, repeated, steps[start])
    best = points.distance(found, repeated).reshape(count, -1).argmin(axis=0)
    return found.reshape(count, -1, 3)[best, np.arange(len(curves))]


def descend(points: ScaledCurves, theta: Floats, curves: Floats, step: Floats) -> Floats:
    """The parameters downhill from each theta, in the distance of curve t from its master curve.

    A compass search: where no step helps, it is halved. The distance has kinks where points
    pass each other, so gradients would not do.

    Args:
        points: The cells of the curves.
        theta: (T, 3) parameters to start from.
        curves: (T, N) one curve for each theta.
        step: (T, 3) the first steps along each axis, 0 for parameters that stay fixed.

    Returns:
        The best parameters (T, 3).
    """
    best, value = theta.copy(), points.distance(theta, curves)
    halvings, live = np.zeros(len(theta), int), np.arange(len(theta))
    axes = np.eye(3)[step.any(axis=0)]
    moves = [sign * axis * step for axis in axes for sign in (1, -1)]
    while len(live):
        stuck = np.ones(len(live), bool)
        for move in moves:
            trial = best[live] + move[live] * 0.5 ** halvings[live, None]
            trial_value = points.distance(trial, curves[live])
            better = trial_value < value[live]
            best[live[better]], value[live[better]] = trial[better], trial_value[better]
            stuck &= ~better
        halvings[live[stuck]] += 1
        live = live[halvings[live] < HALVINGS]
    return best


def _parameters(a: Floats, b: Floats | float = 0.0, c: float = 0.0) -> Floats:
    """Parameters (T, 3) from those of each kind."""
    return np.stack(np.broadcast_arrays(a, b, c), axis=1)
