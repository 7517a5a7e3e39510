"""Products of axes whose points are never listed.

The mixed-radix digits of a row number are the point. A field, an expression or a condition depends
on few axes and is a small table over these axes alone, indexed by digits; so the cost of counting,
checking and numbering grows with the tables and not with the points.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

MAX_POINTS, MAX_TABLE = 2**62, 2**24

Axes = tuple[int, ...]
"""Numbers of axes of a product, ascending."""


class TooManyPoints(Exception):
    """A table over these axes would not fit into memory."""


@dataclass(frozen=True)
class Space:
    """A product of axes of the given sizes. The last axis runs fastest."""

    sizes: tuple[int, ...]

    @functools.cached_property
    def points(self) -> int:
        """Number of points."""
        return math.prod(self.sizes)

    def shape(self, axes: Axes) -> tuple[int, ...]:
        """Sizes of some axes. Raises TooManyPoints where a table over them would be too large."""
        shape = tuple(self.sizes[axis] for axis in axes)
        if math.prod(shape) > MAX_TABLE:
            raise TooManyPoints
        return shape

    def stride(self, axis: int) -> int:
        """Rows between neighbours on an axis."""
        return math.prod(self.sizes[axis + 1 :])

    def index(self, axes: Axes, rows: np.ndarray) -> np.ndarray:
        """The index of each row number (of any shape) in a flat table over some axes."""
        index = np.zeros(rows.shape, np.int64)
        for first, last in _runs(axes):
            size, stride = math.prod(self.sizes[first : last + 1]), self.stride(last)
            digits = rows if stride == 1 else rows // stride
            index = index * size + (digits if first == 0 else digits % size)
        return index

    def lines(self, table: Table, axis: int) -> np.ndarray:
        """The values of a table, a row for each line along one of its axes."""
        values = table.values.reshape(self.shape(table.axes))
        return np.moveaxis(values, table.axes.index(axis), -1).reshape(-1, self.sizes[axis])

    def spread(self, values: np.ndarray, table_axes: Axes, axes: Axes) -> np.ndarray:
        """A flat table over its own axes, shaped to broadcast over more axes."""
        return values.reshape([self.sizes[axis] if axis in table_axes else 1 for axis in axes])


def _runs(axes: Axes) -> list[tuple[int, int]]:
    """First and last of each run of neighbouring axes."""
    breaks = [
        0,
        *(index for index in range(1, len(axes)) if axes[index] != axes[index - 1] + 1),
        len(axes),
    ]
    return [
        (axes[start], axes[end - 1]) for start, end in itertools.pairwise(breaks) if end > start
    ]


def union(parts: Iterable[Axes]) -> Axes:
    """All axes that occur."""
    return tuple(sorted({axis for axes in parts for axis in axes}))


@dataclass(frozen=True, eq=False)
class Table:
    """Values of one name over the product of its axes, flat, last axis fastest.

    `computed` holds the values before they became integers, with nan where there is none.
    """

    axes: Axes
    values: np.ndarray
    computed: np.ndarray | None = None

    @functools.cached_property
    def numbers(self) -> np.ndarray:
        """What expressions compute with: float64, bool, or text as objects."""
        if self.computed is not None:
            return self.computed
        return self.values.astype(np.float64) if self.values.dtype.kind in "iuf" else self.values


Mask = tuple[Axes, np.ndarray]
"""A condition over some axes, as an array of their shape."""


class Selection:
    """The points of a product at which all conditions hold.

    Conditions that share axes are joined into one group; groups are independent of each other.
    """

    def __init__(self, space: Space, masks: Iterable[Mask] = ()) -> None:
        self.space = space
        self.groups: list[Mask] = []
        for mask in masks:
            self._add(mask)

    def _add(self, mask: Mask) -> None:
        """Add a condition, joined with the groups that share axes with it."""
        overlaps = [
            group[0] == mask[0] or bool(set(group[0]) & set(mask[0])) for group in self.groups
        ]
        separate = [
            group
            for group, overlapping in zip(self.groups, overlaps, strict=True)
            if not overlapping
        ]
        joined = [
            mask,
            *(
                group
                for group, overlapping in zip(self.groups, overlaps, strict=True)
                if overlapping
            ),
        ]
        axes = union(mask_axes for mask_axes, _ in joined)
        shape = self.space.shape(axes)
        holds = [self.space.spread(array.ravel(), mask_axes, axes) for mask_axes, array in joined]
        self.groups = [
            *separate,
            (axes, np.broadcast_to(functools.reduce(np.logical_and, holds), shape)),
        ]

    @functools.cached_property
    def count(self) -> int:
        """Number of kept points."""
        # Exact integers throughout: products may exceed 64 bits.
        free = self.space.points
        for axes, _ in self.groups:
            free //= math.prod(self.space.sizes[axis] for axis in axes)
        return free * math.prod(int(np.count_nonzero(array)) for _, array in self.groups)

    def also(self, masks: Iterable[Mask]) -> Selection:
        """The kept points at which further conditions hold."""
        return Selection(self.space, [*self.groups, *masks])

    def project(self, axes: Axes) -> np.ndarray:
        """Which combinations of digits on some axes occur among the kept points."""
        holds = np.ones(self.space.shape(axes), bool)
        for group_axes, array in self.groups:
            reduced = tuple(index for index, axis in enumerate(group_axes) if axis not in axes)
            remaining = tuple(axis for axis in group_axes if axis in axes)
            holds &= self.space.spread(array.any(axis=reduced).ravel(), remaining, axes)
        return holds

    def rows(self, chunk: int) -> Iterator[np.ndarray]:
        """Row numbers of the kept points, ascending, in arrays of `chunk` but for the last."""
        if not self.count:
            return
        pending: list[np.ndarray] = []
        for piece in self._extend(np.zeros(1, np.int64), 0, chunk):
            pending.append(piece)
            while sum(map(len, pending)) >= chunk:
                joined = np.concatenate(pending)
                yield joined[:chunk]
                pending = [joined[chunk:]]
        if sum(map(len, pending)):
            yield np.concatenate(pending)

    @functools.cached_property
    def _stages(self) -> list[_Stage]:
        """The axes in order, each bound axis on its own and free ones joined."""
        bound = {axis: group for group in self.groups for axis in group[0]}
        count = len(self.space.sizes)
        # Joined free axes need no check, so a stage covers all their digits in one step.
        ends = [
            axis + 1
            for axis in range(count)
            if axis in bound or axis + 1 in bound or axis + 1 == count
        ]
        starts = [0, *ends]
        return [
            self._stage(start, end, bound.get(end - 1))
            for start, end in zip(starts, ends, strict=False)
        ]

    def _stage(self, start: int, end: int, group: Mask | None) -> _Stage:
        """The stage of axes `start` to `end` - 1; `group` is the condition on the last, if any."""
        if group is None:
            return _Stage(end, math.prod(self.space.sizes[start:end]), None, (), None)
        axes, array = group
        last = axes.index(end - 1)
        occurring = np.asarray(
            array.any(axis=tuple(index for index in range(len(axes)) if index != last))
        )
        viable = array.any(axis=tuple(range(last + 1, len(axes)))).ravel()
        return _Stage(
            end,
            len(occurring),
            np.flatnonzero(occurring),
            axes[: last + 1],
            viable if last else None,
        )

    def _extend(self, prefixes: np.ndarray, depth: int, chunk: int) -> Iterator[np.ndarray]:
        """Kept rows that begin with the given digits; each prefix begins at least one kept row."""
        if depth == len(self._stages):
            yield prefixes
            return
        stage = self._stages[depth]
        prefix_space = Space(self.space.sizes[: stage.end])
        count = stage.size if stage.digits is None else len(stage.digits)
        batch = max(1, chunk // count)
        # Not itertools.product, which would make a tuple of each range first.
        for first, low in (
            (first, low)
            for first in range(0, len(prefixes), batch)
            for low in range(0, count, chunk)
        ):
            high = min(low + chunk, count)
            digits = (
                np.arange(low, high, dtype=np.int64)
                if stage.digits is None
                else stage.digits[low:high]
            )
            extended = (prefixes[first : first + batch, None] * stage.size + digits).ravel()
            if stage.viable is not None:
                extended = extended[stage.viable[prefix_space.index(stage.axes, extended)]]
            if len(extended):
                yield from self._extend(extended, depth + 1, chunk)


class _Stage(NamedTuple):
    """The next axes of a row number.

    `digits` are those that occur on them (None: all), `viable` tells which digits on `axes` up to
    here begin a kept row (None: all).
    """

    end: int
    size: int
    digits: np.ndarray | None
    axes: Axes
    viable: np.ndarray | None


def pieces(shape: tuple[int, ...], max_points: int = 1 << 18) -> Iterator[tuple[slice, ...]]:
    """Disjoint boxes of at most `max_points` entries that cover an array of a shape."""
    full = tuple(slice(0, size) for size in shape)
    pending = [full]
    while pending:
        box = pending.pop()
        sizes = [side.stop - side.start for side in box]
        if math.prod(sizes) <= max_points:
            yield box
            continue
        axis = int(np.argmax(sizes))
        middle = box[axis].start + sizes[axis] // 2
        halves = (slice(box[axis].start, middle), slice(middle, box[axis].stop))
        pending += [(*box[:axis], half, *box[axis + 1 :]) for half in halves]


_TENS = np.array([float(f"1e{power}") for power in range(23)])
"""The powers of ten that are float64 numbers."""


def canonical(values: np.ndarray, tell: Callable[[int], None] | None = None) -> np.ndarray:
    """Floats rounded to 12 significant digits: the float of "%.12g".

    So no result depends on the last bit of a platform's libm. `tell` is told the number of values
    that have to be formatted and parsed, before they are.
    """
    # Exact digits and an exact power of ten have a correctly rounded quotient or product; the
    # remaining values, ties and extreme powers, are formatted and parsed.
    if values.dtype.kind != "f":
        return values
    result = (values + 0.0).ravel()
    for start in range(0, result.size, 1 << 16):
        piece = result[start : start + (1 << 16)]
        rounded, exact = (
            _rounded(piece) if piece.size > 64 else (piece.copy(), np.zeros(piece.shape, bool))
        )
        inexact = np.flatnonzero(~exact)
        if len(inexact) and tell:
            tell(len(inexact))
        texts = map("%.12g".__mod__, piece[inexact].tolist())
        rounded[inexact] = np.fromiter(map(float, texts), np.float64, len(inexact))
        result[start : start + (1 << 16)] = rounded
    return result.reshape(values.shape)


def _rounded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values rounded to 12 digits, and a mask of those that are certainly correct."""
    with np.errstate(all="ignore"):
        finite_nonzero = np.isfinite(values) & (values != 0)
        exponent = 11 - np.floor(np.log10(np.abs(np.where(finite_nonzero, values, 1.0)))).astype(
            np.int64
        )
        power = _TENS[np.minimum(np.abs(exponent), 22)]
        scaled = np.where(exponent >= 0, values * power, values / power)
        digits = np.rint(scaled)
        exact = (np.abs(exponent) <= 22) & (np.abs(scaled - digits) < 0.499)
        rounded = np.where(exponent >= 0, digits / power, digits * power)
    return np.where(finite_nonzero, rounded, values), exact | ~finite_nonzero


def sorted_distinct(lines: np.ndarray) -> bool:
    """True if all rows strictly rise, or all strictly fall, and stay distinct after rounding."""
    if lines.dtype.kind not in "if":
        return False
    with np.errstate(all="ignore"):
        before, after = lines[:, :-1], lines[:, 1:]
        # Steps above the rounding of `canonical`, which keeps 12 digits.
        is_distinct: Any = True
        if lines.dtype.kind == "f":
            is_distinct = np.abs(after - before) > 1e-11 * np.maximum(np.abs(before), np.abs(after))
        return bool(np.all((after > before) & is_distinct)) or bool(
            np.all((after < before) & is_distinct)
        )
