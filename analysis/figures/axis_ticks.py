"""Ticks of axes: round numbers, written out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import Locator, NullFormatter

from analysis.tables.labels import format_number, ticks

MOST_TICKS = 7
"""Most labels of an axis as wide as a column of a paper."""

SPANS_DECADES = 30.0
"""Positive numbers whose largest is this many times the smallest have a logarithmic axis."""


def is_logarithmic(values: pd.Series) -> bool:
    """Whether numbers belong on a logarithmic axis: all positive, with SPANS_DECADES in between."""
    return bool((values > 0).all() and values.max() >= SPANS_DECADES * values.min())


def round_numbers(
    low: float, high: float, logarithmic: bool = False, most: int = MOST_TICKS
) -> list[float]:
    """Numbers from low to high that people count in: 0.5, 1, 2 or 0.1, 1, 10, at most `most`.

    Args:
        low: The smallest number, positive if `logarithmic`.
        high: The largest number.
        logarithmic: Whether they are to be spaced evenly in the logarithm.
        most: How many there may be.
    """
    # Within half a decade numbers of even distances are as good, and there are more of them.
    decades = _logarithmic_numbers(low, high) if logarithmic and high >= 3 * low else ()
    candidates = [numbers for numbers in (*decades, *_multiples(low, high)) if len(numbers) > 1]
    fitting = (numbers for numbers in candidates if len(numbers) <= most)
    coarsest = candidates[-1] if candidates else [low]
    return next(fitting, coarsest[:: -(-len(coarsest) // most)])


def _multiples(low: float, high: float) -> Iterator[list[float]]:
    """The multiples of 1, 2, 5, 10, ... between two numbers, in growing steps."""
    largest = max(abs(low), abs(high)) or 1.0
    # A step below the last digits of the numbers would tell none from the next.
    first = math.floor(math.log10(max(high - low, 1e-9 * largest))) - 1
    for exponent in range(first, first + 5):
        for digit in (1, 2, 5):
            step = digit * 10.0**exponent
            indices = range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)
            yield [float(f"{index * step:.12g}") for index in indices]


def _logarithmic_numbers(low: float, high: float) -> Iterator[list[float]]:
    """The numbers 1, 2, 5 or 1, 3 or 1 of each decade, or of every second, third, ... one."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [[k * 10.0**e for e in decades for k in digits] for digits in ((1, 2, 5), (1, 3))]
    strides = range(1, len(decades) + 1)
    numbers += [[10.0**e for e in decades if e % stride == 0] for stride in strides]
    for candidates in numbers:
        inside = [number for number in candidates if 0.999999 * low <= number <= 1.000001 * high]
        yield [float(f"{number:.12g}") for number in inside]


class _RoundNumbers(Locator):
    """Ticks at the round numbers of the range that an axis shows."""

    def __call__(self) -> list[float]:
        low, high = sorted(self.axis.get_view_interval())  # type: ignore[union-attr]
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        is_log = self.axis.get_scale() == "log"  # type: ignore[union-attr]
        return round_numbers(vmin, vmax, is_log)


def number_ticks(axis: Axis) -> None:
    """Label an axis with round numbers written out (0.5, 1, 2), linear or logarithmic."""
    axis.set_major_locator(_RoundNumbers())
    axis.set_major_formatter(lambda value, _: format_number(value))
    axis.set_minor_formatter(NullFormatter())


def value_ticks(axis: Axis, values: Sequence[Any]) -> None:
    """Label an axis at the values of a sweep where they are few, else at round numbers.

    Args:
        axis: The axis, whose scale is set.
        values: The values, ascending numbers.
    """
    number_ticks(axis)
    if len(values) <= MOST_TICKS:
        axis.set_ticks(list(values), ticks(list(values)))


def sparse_log_ticks(ax: Axes) -> None:
    """Make x logarithmic, with plain round numbers so that none overlap."""
    ax.set_xscale("log")
    number_ticks(ax.xaxis)
