"""Logistic curves by Firth's penalised likelihood, for many rows at once.

Jeffreys' prior as a penalty (Firth, Biometrika 80 (1993), 27-38) keeps the fit finite where all
successes lie on one side (Heinze and Schemper, Statistics in Medicine 21 (2002), 2409-2419).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

Floats = NDArray[np.float64]

MAX_STEPS = 200
"""Newton steps after which a fit counts as not converged. Five to thirty are usual."""

TOLERANCE = 1e-8
"""A fit has converged where a step changes no logit among its points by more than this."""

HALVINGS = 40
"""How often a step that lowers the likelihood is halved."""


class _Point(NamedTuple):
    """The penalised log-likelihood at some parameters, and the curve there.

    `centre` (R, 1) is the mean position by weight; parameters in steps are the logit there and the
    slope, in which the information is diagonal.
    """

    value: Floats
    share: Floats
    weight: Floats
    centre: Floats


def firth_fit(z: Floats, successes: Floats, counts: Floats, *starts: Floats) -> Floats:
    """Intercept and slope (R, 2) that maximise the penalised likelihood of each row.

    Newton's method with halved steps; where the likelihood is not concave, Fisher scoring. The
    likelihood of few runs may have several maxima, so the best of several fits is taken.

    Args:
        z: (X,) positions, of about unit range.
        successes: (R, X) numbers of successes.
        counts: (R, X) numbers of runs.
        *starts: (R, 2) initial parameters of further fits; the first begins with a flat curve.

    Returns:
        The parameters, NaN where a row has fewer than two positions with runs, or where no fit
        converged in MAX_STEPS.
    """
    usable = (counts > 0).sum(axis=1) > 1
    best, best_value = np.full((len(counts), 2), np.nan), np.full(len(counts), -np.inf)
    for start in (np.zeros((len(counts), 2)), *starts):
        beta = _fit_from(np.where(usable[:, None], start, np.nan), z, successes, counts)
        value = _point(z, successes, counts, beta).value
        better = value > best_value
        best[better], best_value[better] = beta[better], value[better]
    return best


def _fit_from(beta: Floats, z: Floats, successes: Floats, counts: Floats) -> Floats:
    """The fits from these parameters (R, 2), NaN where they are or where they do not converge."""
    live = np.flatnonzero(np.isfinite(beta[:, 0]))
    for _ in range(MAX_STEPS):
        if not len(live):
            return beta
        rows = successes[live], counts[live]
        step = _newton_step(z, *rows, beta[live])
        beta[live], change = _climb(z, *rows, beta[live], step)
        # A change that is not finite goes on until the steps are used up, and counts as failed.
        live = live[~(change <= TOLERANCE)]
    beta[live] = np.nan
    return beta


def _point(z: Floats, successes: Floats, counts: Floats, beta: Floats) -> _Point:
    """The likelihood and the curve at these parameters (R, 2)."""
    logit = beta[:, :1] + beta[:, 1:] * z
    share = expit(logit)
    weight = counts * share * expit(-logit)
    total = weight.sum(axis=1, keepdims=True)
    # Where all weights vanish there is no centre, and the likelihood is -inf.
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (weight * z).sum(axis=1, keepdims=True) / total
        spread = (weight * (z - centre) ** 2).sum(axis=1)
        penalty = (np.log(total[:, 0]) + np.log(spread)) / 2
    terms = successes * log_expit(logit) + (counts - successes) * log_expit(-logit)
    value = terms.sum(axis=1) + penalty
    return _Point(np.where(np.isnan(value), -np.inf, value), share, weight, centre)


@np.errstate(divide="ignore", invalid="ignore")
def _newton_step(z: Floats, successes: Floats, counts: Floats, beta: Floats) -> Floats:
    """The step (R, 2) in intercept and slope."""
    _, share, weight, centre = _point(z, successes, counts, beta)
    u = z - centre
    slant = 1 - 2 * share
    first, second = weight * slant, weight * (slant**2 - 2 * share * (1 - share))
    # Moments of the weights and of their first two derivatives by the logit. The determinant of
    # the information is a c - b^2 with a, b, c = w[0], w[1], w[2], and b = 0 by the choice of u.
    powers = [np.ones_like(u), u, u**2, u**3, u**4]
    w, d, e = ([(part * power).sum(axis=1) for power in powers] for part in (weight, first, second))
    determinant = w[0] * w[2]
    gradient = [d[i] * w[2] + w[0] * d[i + 2] for i in (0, 1)]
    residual = successes - counts * share
    score = [(residual * powers[i]).sum(axis=1) + gradient[i] / determinant / 2 for i in (0, 1)]

    def curvature(i: int, j: int) -> Floats:
        bend = e[i + j] * w[2] + d[i] * d[j + 2] + d[j] * d[i + 2] + w[0] * e[i + j + 2]
        bend = bend - 2 * d[i + 1] * d[j + 1]
        prior = bend / determinant - gradient[i] / determinant * (gradient[j] / determinant)
        return w[i + j] - prior / 2

    a, b, c = curvature(0, 0), curvature(0, 1), curvature(1, 1)
    concave = (a > 0) & (a * c > b**2)
    a, b, c = np.where(concave, (a, b, c), (w[0], 0 * b, w[2]))
    steps = np.stack([c * score[0] - b * score[1], a * score[1] - b * score[0]], axis=1)
    steps /= (a * c - b**2)[:, None]
    # From the logit at the centre back to that at 0.
    steps[:, 0] -= steps[:, 1] * centre[:, 0]
    return steps


def _climb(
    z: Floats, successes: Floats, counts: Floats, beta: Floats, step: Floats
) -> tuple[Floats, Floats]:
    """The parameters after the longest halving of a step that helps, and the change of a logit."""
    start = _point(z, successes, counts, beta).value
    best, factor = beta.copy(), np.ones(len(beta))
    open_rows = np.arange(len(beta))
    for _ in range(HALVINGS):
        trial = beta[open_rows] + factor[open_rows, None] * step[open_rows]
        value = _point(z, successes[open_rows], counts[open_rows], trial).value
        better = value >= start[open_rows]
        best[open_rows[better]] = trial[better]
        open_rows = open_rows[~better]
        if not len(open_rows):
            break
        factor[open_rows] /= 2
    moved = np.where(np.isfinite(step), best - beta, np.nan)
    ends = np.array([z.min(), z.max()])
    return best, np.abs(moved[:, :1] + moved[:, 1:] * ends).max(axis=1)
