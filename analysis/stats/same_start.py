"""Which runs have the same data and the same initial weights."""

from __future__ import annotations

import pandas as pd

from analysis.tables.axes import is_determined_by
from analysis.tables.columns import column_info, observable_names
from sweep.schema import FIXED, KINDS

PARTS = ("objective", "optimizer", "schedule", "train", "curriculum")
"""Parts of a trial that touch neither data nor initial weights, which the other parts decide."""


def same_start(runs: pd.DataFrame, of: str = "optimizer") -> pd.Series:
    """A number for each run, equal for runs of the same data and initial weights.

    The column `problem` is one: it stands for data, network, objective and seed. Runs of several
    objectives are told apart by the columns of data and network and the seed instead.

    Args:
        runs: A table of runs.
        of: A column whose values are compared, so that runs differ in it on purpose.
    """
    names = [str(name) for name in runs if name not in FIXED and name not in observable_names()]
    objectives = ["objective", *(name for name in names if _part(name) == "objective")]
    compared = [name for name in objectives if name in runs and _varies(runs, name)]
    if not compared and _part(of) not in ("data", "model"):
        return runs["problem"]
    # Fields of the kinds that are compared cannot agree; nor can what follows from `of`.
    apart = (*PARTS, of)
    deciding = [name for name in names if _part(name) not in apart and name != of]
    # A column of an unknown part counts where it belongs to the problem.
    varying = [name for name in deciding if _varies(runs, name)]
    starts = [name for name in varying if is_determined_by(runs, name, ["problem"])]
    starts = [name for name in starts if not is_determined_by(runs, name, [of])]
    kinds = [name for name in ("data", "model") if name in runs and name != of]
    # Coordinates draw alike, except `gram`.
    gram = runs["coordinates"] == "gram" if "coordinates" in runs else False
    keys = runs[[*kinds, "seed", *starts]].assign(_gram=gram)
    return keys.groupby(list(keys.columns), dropna=False, observed=True).ngroup()


def curves_by_start(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Curves whose `problem` numbers the runs that have the same data and initial weights.

    Runs of another objective have another problem, although they begin alike.

    Args:
        curves: Records over steps.
        runs: The runs that they belong to, and those that these are compared with.
    """
    starts = pd.Series(same_start(runs).to_numpy(), index=runs["trial"])
    numbered = curves.assign(problem=curves["trial"].map(starts))
    numbered.attrs = dict(curves.attrs)
    return numbered


def _part(name: str) -> str:
    """The part of a trial that a column belongs to; kinds of parts, nested ones too, name their own."""
    described = column_info(name).part
    return described or next((part for part in KINDS if f"{name}_".startswith(f"{part}_")), "")


def _varies(runs: pd.DataFrame, name: str) -> bool:
    return runs[name].nunique(dropna=False) > 1
