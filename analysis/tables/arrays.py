"""Runs as labelled arrays."""

from __future__ import annotations

import pandas as pd
import xarray

from analysis.tables.axes import require_columns, require_one_run_per_seed
from analysis.tables.columns import column_info
from sweep.errors import SweepError


def labelled(
    runs: pd.DataFrame, *dims: str, values: tuple[str, ...] = ("test_error",)
) -> xarray.Dataset:
    """An xarray Dataset of `values` over the columns `dims`, NaN where there is no run: `ds.test_error.mean("seed")`.

    `dims` have to tell all runs apart, so `seed` and `optimizer` belong to them where they vary. `attrs` of an array
    say what it is, those of the set whether the sweep is complete. Raises SweepError where a column is missing or
    two runs share a place.
    """
    require_columns(runs, [*dims, *values])
    if runs.duplicated(list(dims)).any():
        require_one_run_per_seed(runs, [name for name in dims if name != "seed"])
        raise SweepError(
            f"Several runs share one place of {', '.join(dims)}. Name seed among them."
        )
    made = runs.set_index(list(dims))[list(values)].to_xarray()
    for name in values:
        made[name].attrs["long_name"] = column_info(name).meaning or name
    made.attrs = {key: value for key, value in runs.attrs.items() if value is not None}
    return made
