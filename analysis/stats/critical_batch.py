"""The batch size at which the error jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.stats.boundary import Boundary
from analysis.tables.axes import finite_values, require_columns
from sweep.errors import SweepError

BATCH_SIZE = "batch_size"


@dataclass(frozen=True)
class CriticalBatch:
    """Where the mean of `value` over seeds crosses `level` as the batch grows.

    The crossing and its interval are those of Boundary along `batch_size`; there is one for each
    `y` and `facet`. Beside it stand the two batch sizes that were run next to it and the means
    there: how far apart they are is what a finer sweep could still change.
    """

    y: str | None = None
    value: str = "test_error"
    level: float = 0.25
    facet: str | None = "optimizer"
    confidence: float = 0.95
    resamples: int = 1000

    def boundary(self) -> Boundary:
        """The boundary that this looks for."""
        fit = {"confidence": self.confidence, "resamples": self.resamples}
        return Boundary(BATCH_SIZE, self.y, self.value, self.level, self.facet, **fit)

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The table of Boundary with `below`, `above`, `value_below` and `value_above`.

        `below` is the largest batch size that was run up to the crossing, `above` the next one;
        both are missing where the value crosses the level nowhere.

        Raises:
            SweepError: There is one batch size, or something other than the seed varies in a cell.
        """
        require_columns(runs, [BATCH_SIZE])
        sizes = runs[BATCH_SIZE].nunique()
        if sizes < 2:
            raise SweepError(
                f"The runs have {sizes} batch size, so nothing can change with it. Give several, "
                "as train: {batch_size: [2, 10, 50]}."
            )
        table = self.boundary()(runs)
        keys = [key for key in (self.facet, self.y) if key is not None]
        values = runs.assign(_value=finite_values(runs, self.value)).dropna(subset=["_value"])
        neighbours = [_neighbours(row, _row_means(values, row, keys)) for row in _records(table)]
        attrs = table.attrs
        table = pd.concat([table, pd.DataFrame(neighbours, index=table.index)], axis=1)
        table.attrs = attrs
        return table


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _row_means(values: pd.DataFrame, row: dict[Any, Any], keys: list[str]) -> pd.Series:
    """Mean over seeds by batch size, ascending, of the runs in a row of the table."""
    inside = np.logical_and.reduce([values[key] == row[key] for key in keys])
    part = values[inside] if keys else values
    return part.groupby(BATCH_SIZE)["_value"].mean()


def _neighbours(row: dict[Any, Any], means: pd.Series) -> dict[str, float]:
    """The batch sizes next to a crossing, and the means there."""
    names = ("below", "above", "value_below", "value_above")
    sizes = means.index.to_numpy(float)
    # A crossing at a size that was run may be a last digit off.
    left = int((sizes <= row["at"] * (1 + 1e-9)).sum()) - 1
    if not np.isfinite(row["at"]) or not 0 <= left < len(sizes) - 1:
        return dict.fromkeys(names, np.nan)
    pair = slice(left, left + 2)
    return dict(zip(names, [*sizes[pair], *means.to_numpy(float)[pair]], strict=True))
