"""The numbers of tooltips, digit for digit those that `format_interval` prints."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.tables.labels import format_interval

Floats = NDArray[np.float64]


def tooltip_numbers(matrices: dict[str, Floats]) -> dict[str, Any]:
    """The numbers of all cells, row after row.

    `mean`, `below` and `above` (the distances to the ends of the interval) are in units of
    10^-`digits`; `count`, `nonfinite` and `missing` count runs, `modes` those of the seeds. A
    single number stands for a list of equal ones, None for a missing number; where only one end is
    None, it is infinite.

    Args:
        matrices: Arrays (rows, columns) of `mean`, `low`, `high`, `count`, `nonfinite`,
            `expected` and perhaps `modes`.
    """
    ends = zip(*(matrices[name].ravel() for name in ("mean", "low", "high")), strict=True)
    columns = zip(*(_interval_digits(*interval) for interval in ends), strict=True)
    keys = ("digits", "mean", "below", "above")
    numbers = {key: list(column) for key, column in zip(keys, columns, strict=True)}
    count, nonfinite = matrices["count"].ravel(), matrices["nonfinite"].ravel()
    numbers["count"], numbers["nonfinite"] = json_numbers(count), json_numbers(nonfinite)
    numbers["missing"] = json_numbers(matrices["expected"].ravel() - count - nonfinite)
    if "modes" in matrices:
        numbers["modes"] = json_numbers(matrices["modes"].ravel())
    return {key: _collapse_constant(values) for key, values in numbers.items()}


def _collapse_constant(values: list[Any]) -> Any:
    """The value that all of them equal, else all of them: the page is shorter."""
    return values[0] if len(set(values)) == 1 else values


def _interval_digits(mean: float, low: float, high: float) -> tuple[int | None, ...]:
    """Number of decimals, the mean as an integer, and the distances to both ends.

    Read back from the formatted text, so that the rounding cannot differ from it.
    """
    reach = np.array([mean - low, high - mean])
    infinite = np.isinf(reach)
    if infinite.any():
        # as many digits as the finite end has
        finite_reach = np.nan if infinite.all() else reach.min()
        low, high = mean - finite_reach, mean + finite_reach
    matches = re.findall(r"(-?\d+)\.?(\d*)", format_interval(mean, low, high))
    numbers = [int(whole + decimals) for whole, decimals in matches]
    if not numbers:
        return (None,) * 4
    # the mean alone: all seeds agree, or there is no interval
    below = above = None if np.isnan(reach).any() else 0
    if len(numbers) == 3:
        below, above = numbers[0] - numbers[1], numbers[2] - numbers[0]
    digits = len(matches[0][1])
    return digits, numbers[0], None if infinite[0] else below, None if infinite[1] else above


def json_numbers(values: Floats) -> list[Any]:
    """Floats for JSON: whole ones as integers, NaN as None."""
    return [None if np.isnan(value) else _shortest(float(value)) for value in values]


def _shortest(value: float) -> int | float:
    """A whole number as an integer, which JSON writes without `.0`."""
    return int(value) if value.is_integer() else value
