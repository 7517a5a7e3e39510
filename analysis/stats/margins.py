"""Exact maximum margins of separable data, and how much of them each optimizer reaches: its
implicit bias."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls

from analysis.stats.cells import Cells
from analysis.tables.axes import require_columns
from analysis.tables.load import stored_manifest
from sweep.errors import SweepError

Floats = NDArray[np.floating[Any]]

GAP = 1e-9
"""Largest relative distance between a margin that is attained and an upper bound of all margins."""


class NotSeparable(SweepError):
    """No hyperplane through the origin has all points on one side."""


class Margin(NamedTuple):
    """A maximum margin: `value` is attained by the unit vector `direction` (d,), and none exceeds
    value (1 + gap)."""

    value: float
    direction: Floats
    gap: float


def max_margin_l2(z: Floats) -> Margin:
    """The largest min_i <z_i, w> over ||w||_2 <= 1, for points times labels z (n, d).

    It is the distance of their convex hull from 0. Nonnegative least squares finds which points
    hold its nearest point (Lawson and Hanson, Solving Least Squares Problems, 1974, Chapter 23);
    their weights are the dual solution. Raises NotSeparable, and SweepError where the gap exceeds
    1e-9.
    """
    z = np.asarray(z, float)
    lifted = np.vstack([z.T / (np.abs(z).max() or 1.0), np.ones(len(z))])
    try:
        weights = nnls(lifted, np.eye(len(lifted))[-1], maxiter=100 * len(z))[0]
    except RuntimeError as error:
        raise SweepError(f"The largest l2 margin was not found: {error}.") from error
    support = weights > 0
    direction, refined = np.linalg.lstsq(z[support], np.ones(support.sum()))[0], np.zeros(len(z))
    refined[support] = np.linalg.lstsq(z[support].T, direction)[0]
    return _certified(z, [weights @ z, direction], [weights, refined], 2)


def max_margin_linf(z: Floats) -> Margin:
    """The largest min_i <z_i, w> over ||w||_inf <= 1, for points times labels z (n, d): a linear
    program.

    The solver finds which points and coordinates hold the solution, which is then that of linear
    equations. Raises as `max_margin_l2` does.
    """
    z = np.asarray(z, float)
    (n, d), scaled = z.shape, z / (np.abs(z).max() or 1.0)
    cost = np.concatenate([np.zeros(d), [-1.0]])
    rows, bounds = np.hstack([-scaled, np.ones((n, 1))]), [(-1, 1)] * d + [(None, None)]
    solution = linprog(cost, rows, np.zeros(n), bounds=bounds)
    if solution.status:
        raise SweepError(f"The largest l-infinity margin was not found: {solution.message}.")
    direction, weights = solution.x[:-1], -solution.ineqlin.marginals
    support, free = weights > 0, np.abs(direction) < 1 - 1e-9
    system = np.vstack([scaled[support][:, free].T, np.ones(support.sum())])
    refined, better = np.zeros(n), np.where(free, 0.0, np.sign(direction))
    refined[support] = np.linalg.lstsq(system, np.eye(len(system))[-1])[0]
    # The margin is the last unknown of the transposed system.
    system[-1] = -1
    better[free] = np.linalg.lstsq(system.T, -scaled[support] @ better)[0][:-1]
    return _certified(z, [direction, better], [weights, refined], np.inf)


def best_margins(runs: pd.DataFrame, dtype: str | None = None) -> pd.DataFrame:
    """The maximum margins of the training points of each problem of kind `separable`.

    One row a problem: `problem`, `seed`, `best_l2`, `best_linf`; NaN where the points are not
    separable. They are drawn again as the sweep drew them, in its `dtype`: that of the manifest of
    the folder that the runs were loaded from. Raises SweepError where there is no such problem, the
    dtype is not known, or points were drawn by their law alone.
    """
    require_columns(runs, ["problem", "seed", "data", "coordinates"])
    separable = runs[runs["data"] == "separable"].drop_duplicates("problem")
    if separable.empty:
        raise SweepError(
            "No run has the data separable. Margins are those of linearly separable data."
        )
    if (separable["coordinates"] == "gram").any():
        what = "In gram coordinates only inner products of the points were drawn, so there are no points to separate"
        raise SweepError(f"{what}. Keep the rest with where=\"coordinates != 'gram'\".")
    rows = []
    points = _signed_points(separable, dtype or _sweep_dtype(runs))
    for row, z in zip(separable.to_dict("records"), points, strict=True):
        best = [_margin_or_nan(solve, z) for solve in (max_margin_l2, max_margin_linf)]
        rows.append((row["problem"], row["seed"], *best))
    return pd.DataFrame(rows, columns=["problem", "seed", "best_l2", "best_linf"])


@dataclass(frozen=True)
class Margins:
    """Margins of linear classifiers as shares of the best ones, mean over seeds, in each cell of x,
    y and facet.

    Gradient descent and momentum are to maximize the l2 margin, Adam the l-infinity margin (Zhang,
    Zou, Cao, arXiv 2406.10650; Wang et al., arXiv 2110.03891).
    """

    x: str | None = None
    y: str | None = None
    facet: str | None = "optimizer"
    level: float = 0.95

    def __call__(self, runs: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
        """One row a cell: its keys, `l2`, `linf`, `lead` with `_low` and `_high` of each, `bias`,
        `count`, `nonfinite`.

        `l2` is the mean of margin_l2 / best_l2, `linf` that of margin_linf / best_linf, `lead` that
        of the second minus the first, paired; `bias` is "linf" where its interval lies above 0,
        "l2" where it lies below, else "none". `best` is a table of `best_margins`. Raises
        SweepError where something other than the seed varies within a cell.
        """
        require_columns(runs, ["problem", "margin_l2", "margin_linf"])
        subset = runs[runs["problem"].isin(best["problem"])]
        ideal = best.set_index("problem").loc[subset["problem"]].set_index(subset.index)
        l2, linf = (
            subset["margin_l2"] / ideal["best_l2"],
            subset["margin_linf"] / ideal["best_linf"],
        )
        shares = subset.assign(margin_l2=l2, margin_linf=linf, difference=linf - l2)
        columns = {"l2": "margin_l2", "linf": "margin_linf", "lead": "difference"}
        cells = {
            name: Cells(self.x, self.y, value, self.facet, self.level)(shares)
            for name, value in columns.items()
        }
        keys = [key for key in (self.facet, self.x, self.y) if key is not None]
        table = cells["lead"][[*keys, "count", "nonfinite"]]
        for name, value_cells in cells.items():
            table[[name, f"{name}_low", f"{name}_high"]] = value_cells[["mean", "low", "high"]]
        table["bias"] = np.select(
            [table["lead_low"] > 0, table["lead_high"] < 0], ["linf", "l2"], "none"
        )
        table.attrs = {
            **runs.attrs,
            "x": self.x,
            "y": self.y,
            "facet": self.facet,
            "level": self.level,
        }
        return table


def _signed_points(rows: pd.DataFrame, dtype: str) -> Iterator[Floats]:
    """For each row, its training points times their labels (n, d), drawn as the sweep drew them."""
    # Imported here, since nothing else in analysis needs jax, which takes seconds to import.
    import jax

    from sweep.data import Separable
    from sweep.data.base import feature_directions, training_points
    from sweep.jax_settings import pinned_settings

    @jax.jit
    def draw(data: Separable, seed: Any) -> Any:
        points = training_points(data, seed, feature_directions(data, seed))
        return points.label[:, None] * points.noise.dense(int(data.d))[:, 0]

    names = [field.name for field in dataclasses.fields(Separable)]
    require_columns(rows, names)
    with pinned_settings(dtype):
        for row in rows.to_dict("records"):
            data = Separable(**{name: row[name] for name in names})
            yield np.asarray(draw(data, row["seed"]), float)


def _sweep_dtype(runs: pd.DataFrame) -> str:
    """The dtype of the sweep that the runs were loaded from."""
    folders = [folder for folder in str(runs.attrs.get("folder", "")).split(", ") if folder]
    dtypes = {stored_manifest(folder).get("dtype") for folder in folders}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if dtype:
        return dtype
    raise SweepError(
        "The dtype in which the sweep drew its points is not known. Give best_margins the dtype."
    )


def _margin_or_nan(solve: Any, z: Floats) -> float:
    """The maximum margin that `solve` finds, NaN where the points are not separable."""
    try:
        return solve(z).value
    except NotSeparable:
        return np.nan


def _certified(z: Floats, directions: list[Floats], weights: list[Floats], norm: float) -> Margin:
    """The best of some directions. No margin exceeds the dual norm of an average of the points,
    whatever its weights.

    Raises NotSeparable where no margin is above 0, SweepError where the gap is too large.
    """
    units = [vector / (np.linalg.norm(vector, norm) or 1.0) for vector in directions]
    direction = max(units, key=lambda unit: (z @ unit).min())
    value = float((z @ direction).min())
    if value <= 0:
        raise NotSeparable(
            f"These {len(z)} points are not linearly separable. Take fewer points than dimensions."
        )
    averages = [
        np.average(z, axis=0, weights=np.maximum(weight, 0))
        for weight in weights
        if (weight > 0).any()
    ]
    dual_norm = 2 if norm == 2 else 1
    bound = min(float(np.linalg.norm(average, dual_norm)) for average in averages)
    gap = bound / value - 1
    if gap > GAP:
        raise SweepError(
            f"The maximum margin is only known up to {gap:.1g} of it. Rescale the points."
        )
    return Margin(value, direction, gap)
