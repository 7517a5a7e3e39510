"""What theory says of a sweep: control parameters made of its columns whose level sets are the
boundaries of phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.tables.axes import finite_values, require_columns, require_one_run_per_seed
from sweep.errors import SweepError


@dataclass(frozen=True)
class Theory:
    """A control parameter, and the claim that a boundary is where it is constant; or that no run
    exceeds a `bound`.

    `index` computes the parameter, a positive column, from a table of runs. `columns` are what it
    and
    `scope` read, and `scope` is the pandas query that holds for the runs that the claim is about
    ("" for any). `title` says the claim in a few words, `source` who proved it where.
    """

    name: str
    title: str
    source: str
    columns: tuple[str, ...]
    index: Callable[[pd.DataFrame], pd.Series]
    scope: str = ""
    bound: float | None = None

    def applies(self, runs: pd.DataFrame) -> bool:
        """Whether the claim is about all of these runs."""
        complete = set(self.columns) <= set(runs.columns)
        return complete and (not self.scope or len(runs.query(self.scope)) == len(runs))


@dataclass(frozen=True)
class Within:
    """How far runs keep to the bound of a theory, in each cell of x, y and facet, any of which may
    be None."""

    theory: Theory
    x: str | None = None
    y: str | None = None
    facet: str | None = "optimizer"

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a cell: `share` of runs within the bound, `largest` ratio of index to bound,
        `count`, `nonfinite`.

        A ratio of 1 is within. `nonfinite` runs are in neither share nor count. Cells that the
        theory is not about are left out. Raises SweepError where it is about none or has no bound,
        or something other than the seed varies within a cell.
        """
        if self.theory.bound is None:
            raise SweepError(
                f"{self.theory.title} bounds nothing. Look for its boundary with Overlay."
            )
        keys = [key for key in (self.facet, self.x, self.y) if key is not None]
        subset = applicable_rows(self.theory, runs, self.facet)
        require_columns(subset, keys)
        require_one_run_per_seed(subset, keys)
        ratio = finite_values(
            subset.assign(_ratio=self.theory.index(subset) / self.theory.bound), "_ratio"
        )
        within = (ratio <= 1).where(ratio.notna()).astype(float)
        groups = subset.assign(_ratio=ratio, _within=within).groupby(
            keys or (lambda _: 0), dropna=False
        )
        cells = groups.agg(
            share=("_within", "mean"),
            largest=("_ratio", "max"),
            count=("_ratio", "count"),
            _rows=("_ratio", "size"),
        )
        cells["nonfinite"] = cells.pop("_rows") - cells["count"]
        cells = cells.reset_index()[[*keys, *cells.columns]]
        cells.attrs = {
            **runs.attrs,
            "x": self.x,
            "y": self.y,
            "facet": self.facet,
            "theory": self.theory.title,
        }
        return cells


def applicable_rows(theory: Theory, runs: pd.DataFrame, facet: str | None = None) -> pd.DataFrame:
    """The runs of the values of `facet` that a theory is about, all runs without a facet.

    Raises SweepError where it is about none.
    """
    require_columns(runs, [] if facet is None else [facet])
    parts = [(None, runs)] if facet is None else list(runs.groupby(facet))
    names = [name for name, part in parts if theory.applies(part)]
    if not names:
        requirements = [f"the columns {', '.join(theory.columns)}"] + (
            [f"runs with {theory.scope}"] if theory.scope else []
        )
        which = f"any {facet} here" if facet else "all of these runs"
        raise SweepError(
            f"{theory.title} is no claim about {which}. It requires {' and '.join(requirements)}; keep only such."
        )
    return runs if facet is None else runs[runs[facet].isin(names)]


CNN = ("data", "model", "optimizer", "power")

THEORIES = {
    theory.name: theory
    for theory in (
        Theory(
            "gd_feature_noise",
            "n snr^q = const",
            "Zou, Cao, Li, Gu (arXiv 2108.11371), the growth of feature and noise in the proof of Theorem 4.1 for GD",
            (*CNN, "n", "snr"),
            lambda runs: runs["n"] * runs["snr"] ** runs["power"],
            "data == 'feature_noise' and model == 'cnn' and optimizer == 'gd' and power >= 2",
        ),
        Theory(
            "adam_feature_noise",
            "sparsity × noise = const",
            "Zou, Cao, Li, Gu (arXiv 2108.11371), the growth of feature and noise in the proof of Theorem 4.1 for Adam",
            (*CNN, "sparsity", "noise"),
            lambda runs: runs["sparsity"] * runs["noise"],
            "data == 'feature_noise' and model == 'cnn' and optimizer == 'adam' and power >= 2",
        ),
        Theory(
            "benign_power",
            "n snr^q = const",
            "Cao, Chen, Belkin, Gu (arXiv 2202.06526), Theorems 4.3 and 4.4, for q > 2",
            (*CNN, "n", "snr"),
            lambda runs: runs["n"] * runs["snr"] ** runs["power"],
            "data == 'signal_noise' and model == 'cnn' and optimizer == 'gd' and power > 2",
        ),
        Theory(
            "benign_relu",
            "n signal^4 / (noise^4 d) = const",
            "Kou, Chen, Chen, Gu (arXiv 2303.04145), Theorem 4.2",
            (*CNN, "n", "d", "signal", "noise"),
            lambda runs: runs["n"] * runs["signal"] ** 4 / (runs["noise"] ** 4 * runs["d"]),
            "data == 'signal_noise' and model == 'cnn' and optimizer == 'gd' and power == 1",
        ),
        Theory(
            "adamw_bound",
            "weight_max <= 1 / weight_decay",
            "Xie, Li (arXiv 2404.04454), Theorem 1.1: where AdamW converges, with b1 <= b2",
            ("optimizer", "weight_max", "weight_decay", "b1", "b2"),
            lambda runs: runs["weight_max"] * runs["weight_decay"],
            "optimizer == 'adamw' and weight_decay > 0 and b1 <= b2",
            bound=1.0,
        ),
    )
}
"""What the papers say, by name. None of it depends on how patches are summed, on biases or on
balanced classes."""
