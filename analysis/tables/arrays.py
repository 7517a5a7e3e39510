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
    """An xarray Dataset of columns of the runs, such that `ds.test_error.mean("seed")` works.

    Args:
        runs: the runs, one a row, as `load` returns them.
        *dims: columns that become dimensions. Together they must identify a run, so include `seed`
            and `optimizer` where they vary.
        values: columns that become arrays with these dimensions.

    Returns:
        The arrays, NaN where there is no run. The `attrs` of an array say what it is, those of the
        dataset whether the sweep is complete.

    Raises:
        SweepError: a column is missing, or two runs have the same coordinates.
    """
    require_columns(runs, [*dims, *values])
    if runs.duplicated(list(dims)).any():
        # The check by cells names the column that is missing from `dims`, unless that is the seed.
        require_one_run_per_seed(runs, [name for name in dims if name != "seed"])
        raise SweepError(f"Several runs share the same {', '.join(dims)}. Add seed to them.")
    dataset = runs.set_index(list(dims))[list(values)].to_xarray()
    for name in values:
        dataset[name].attrs["long_name"] = column_info(name).meaning or name
    # An attribute of value None cannot be written to netCDF.
    dataset.attrs = {key: value for key, value in runs.attrs.items() if value is not None}
    return dataset
