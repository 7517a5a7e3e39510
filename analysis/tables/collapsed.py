"""Networks whose weights went to zero: all their outputs are ties, and they learned nothing."""

from __future__ import annotations

import pandas as pd

MOSTLY = 0.5
"""A network collapsed where more than this share of fresh points are ties; a cell where more than
this share of its networks did."""


def collapsed(runs: pd.DataFrame) -> pd.Series:
    """Whether the network of each run collapsed.

    By the share of fresh points on which the output is exactly 0, `test_ties`. Runs without it, as
    in stores of earlier versions, collapsed where the norm of all weights is exactly 0.
    """
    none = pd.Series(float("nan"), runs.index)
    ties = runs["test_ties"].astype(float) if "test_ties" in runs else none
    norm = runs["weight_norm"].astype(float) if "weight_norm" in runs else none
    return (ties > MOSTLY).where(ties.notna(), norm == 0)


def pairs_collapsed(paired: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """Whether a network of each pair collapsed.

    Args:
        paired: A table of PairedGap.
        runs: The runs that it was made from.
    """
    gone = runs.loc[collapsed(runs), "trial"]
    return paired["trial_a"].isin(gone) | paired["trial_b"].isin(gone)
