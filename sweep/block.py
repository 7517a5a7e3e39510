"""Products of axes whose points are never listed.

A row number's mixed-radix digits are the point. What depends on few axes (a field, an expression, a condition) is a
small table over the product of these axes alone, read by digits; so counting, checking and numbering cost as much as
the tables and not as much as the points.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
        """Where the rows stand in a table over some axes."""
        index = np.zeros(rows.shape, np.int64)
        for first, last in _runs(axes):
            size, stride = math.prod(self.sizes[first : last + 1]), self.stride(last)
            digits = rows if stride == 1 else rows // stride
            index = index * size + (digits if first == 0 else digits % size)
        return index

    def spread(self, values: np.ndarray, own: Axes, axes: Axes) -> np.ndarray:
        """A flat table over its own axes, shaped to broadcast over more axes."""
        return values.reshape([self.sizes[axis] if axis in own else 1 for axis in axes])


def _runs(axes: Axes) -> list[tuple[int, int]]:
    """First and last of each run of neighbouring axes."""
    breaks = [0, *(at for at in range(1, len(axes)) if axes[at] != axes[at - 1] + 1), len(axes)]
    return [(axes[start], axes[end - 1]) for start, end in itertools.pairwise(breaks) if end > start]


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


class Kept:
    """The points of a product at which all of some conditions hold."""

    def __init__(self, space: Space, masks: Iterable[Mask] = ()) -> None:
        self.space = space
        self.groups: list[Mask] = []
        for mask in masks:
            self._add(mask)

    def _add(self, mask: Mask) -> None:
        apart = [group for group in self.groups if not set(group[0]) & set(mask[0])]
        joined = [mask, *(group for group in self.groups if set(group[0]) & set(mask[0]))]
        axes = union(own for own, _ in joined)
        shape = self.space.shape(axes)
        holds = [self.space.spread(array.ravel(), own, axes) for own, array in joined]
        self.groups = [*apart, (axes, np.broadcast_to(functools.reduce(np.logical_and, holds), shape))]

    @functools.cached_property
    def count(self) -> int:
        """How many points are kept."""
        free = self.space.points
        for axes, _ in self.groups:
            free //= math.prod(self.space.sizes[axis] for axis in axes)
        return free * math.prod(int(np.count_nonzero(array)) for _, array in self.groups)

    def also(self, masks: Iterable[Mask]) -> Kept:
        """The kept points at which further conditions hold."""
        return Kept(self.space, [*self.groups, *masks])

    def project(self, axes: Axes) -> np.ndarray:
        """Which combinations of digits on some axes occur among the kept points."""
        holds = np.ones(self.space.shape(axes), bool)
        for own, array in self.groups:
            away = tuple(place for place, axis in enumerate(own) if axis not in axes)
            left = tuple(axis for axis in own if axis in axes)
            holds &= self.space.spread(array.any(axis=away).ravel(), left, axes)
        return holds

    def rows(self, chunk: int) -> Iterator[np.ndarray]:
        """Row numbers of the kept points, ascending, in arrays of `chunk` but for the last."""
        if not self.count:
            return
        waiting: list[np.ndarray] = []
        for piece in self._extend(np.zeros(1, np.int64), 0, chunk):
            waiting.append(piece)
            while sum(map(len, waiting)) >= chunk:
                whole = np.concatenate(waiting)
                yield whole[:chunk]
                waiting = [whole[chunk:]]
        if sum(map(len, waiting)):
            yield np.concatenate(waiting)

    @functools.cached_property
    def _stages(self) -> list[_Stage]:
        """The axes in order, each bound axis on its own and free ones joined."""
        bound = {axis: group for group in self.groups for axis in group[0]}
        count = len(self.space.sizes)
        ends = [axis + 1 for axis in range(count) if axis in bound or axis + 1 in bound or axis + 1 == count]
        starts = [0, *ends]
        return [self._stage(start, end, bound.get(end - 1)) for start, end in zip(starts, ends, strict=False)]

    def _stage(self, start: int, end: int, group: Mask | None) -> _Stage:
        if group is None:
            return _Stage(end, math.prod(self.space.sizes[start:end]), None, (), None)
        axes, array = group
        here = axes.index(end - 1)
        alone = np.asarray(array.any(axis=tuple(place for place in range(len(axes)) if place != here)))
        begun = array.any(axis=tuple(range(here + 1, len(axes)))).ravel()
        return _Stage(end, len(alone), np.flatnonzero(alone), axes[: here + 1], begun if here else None)

    def _extend(self, prefixes: np.ndarray, at: int, chunk: int) -> Iterator[np.ndarray]:
        """Kept rows that begin with the given digits. No prefix is a dead end: each one begins some kept row."""
        if at == len(self._stages):
            yield prefixes
            return
        stage = self._stages[at]
        upto = Space(self.space.sizes[: stage.end])
        count = stage.size if stage.digits is None else len(stage.digits)
        many = max(1, chunk // count)
        for first, low in itertools.product(range(0, len(prefixes), many), range(0, count, chunk)):
            high = min(low + chunk, count)
            digits = np.arange(low, high, dtype=np.int64) if stage.digits is None else stage.digits[low:high]
            longer = (prefixes[first : first + many, None] * stage.size + digits).ravel()
            if stage.begun is not None:
                longer = longer[stage.begun[upto.index(stage.axes, longer)]]
            if len(longer):
                yield from self._extend(longer, at + 1, chunk)


class _Stage(NamedTuple):
    """The next axes of a row number: digits that occur on them, and which digits so far on `axes` begin a kept row."""

    end: int
    size: int
    digits: np.ndarray | None
    axes: Axes
    begun: np.ndarray | None


Role = Literal["static", "lane", "kind", "alternative"]


@dataclass(frozen=True, eq=False)
class Column:
    """One name of a block: a field, a kind or an alternative, with its values.

    `part` is the part of the trial that it belongs to, `shared` true where that makes the problem. `table` is None
    where the field is left out (null), `default` what counts nothing in an id.
    """

    name: str
    column: str
    role: Role
    type: type
    part: str
    shared: bool
    table: Table | None
    default: Table | None = None


def canonical(values: np.ndarray) -> np.ndarray:
    """Floats rounded to 12 significant digits, so that nothing depends on the last bit of somebody's libm."""
    if values.dtype.kind != "f":
        return values
    texts = map("%.12g".__mod__, (values + 0.0).ravel().tolist())
    return np.fromiter(map(float, texts), np.float64, values.size).reshape(values.shape)


def text(value: Any) -> str:
    """A value as it counts in an id and is shown to people."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return f"{value + 0.0:.12g}" if isinstance(value, float | np.floating) else str(value)


def _term(name: str, value: Any) -> int:
    digest = hashlib.blake2b(f"{name}={text(value)}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


class Block:
    """A product of axes with values, of parts of fixed kinds.

    `kinds` maps family to kind, nested families included; `points` counts the full product, `size` what `where` keeps.
    """

    def __init__(self, kinds: Mapping[str, str], columns: Sequence[Column], kept: Kept) -> None:
        self.kinds = dict(kinds)
        self.fields = tuple(columns)
        self.kept = kept
        self.space = kept.space
        self.points = kept.space.points
        self.size = kept.count

    def rows(self, chunk: int = 1 << 18) -> Iterator[np.ndarray]:
        """Numbers of the kept rows, ascending, a chunk at a time."""
        return self.kept.rows(chunk)

    def _read(self, table: Table, rows: np.ndarray) -> np.ndarray:
        if not table.axes:
            return np.full(rows.shape, table.values[0], table.values.dtype)
        return table.values[self.space.index(table.axes, rows)]

    def values(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Values by field name, defaults filled in, with `seed` and alternatives; a null field is absent."""
        asked = [each for each in self.fields if each.role != "kind"]
        return {each.name: self._read(each.table, rows) for each in asked if each.table}

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What goes into the runs table: values by column name, and the kinds."""
        return {each.column: self._read(each.table, rows) for each in self.fields if each.table}

    def statics(self, rows: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """A code for each row, and for each code the static fields that it stands for.

        The codes number, without gaps, the combinations of static fields that occur among the kept rows of the block.
        """
        codes, combinations = self._statics
        return self._read(codes, rows), [dict(each) for each in combinations]

    @functools.cached_property
    def _statics(self) -> tuple[Table, list[dict[str, Any]]]:
        tables = {each.name: each.table for each in self.fields if each.role == "static" and each.table}
        axes = union(table.axes for table in tables.values())
        shape = self.space.shape(axes)
        joint = np.zeros(shape, np.int64)
        for table in tables.values():
            found, codes = np.unique(table.values, return_inverse=True)
            joint = joint * len(found) + self.space.spread(codes, table.axes, axes)
            joint = np.unique(joint, return_inverse=True)[1].reshape(shape)
        occurs = self.kept.project(axes).ravel()
        found, first = np.unique(joint.ravel()[occurs], return_index=True)
        places = np.flatnonzero(occurs)[first]
        wide = {
            name: np.broadcast_to(self.space.spread(each.values, each.axes, axes), shape)
            for name, each in tables.items()
        }
        combinations = [{name: _plain(array.flat[place]) for name, array in wide.items()} for place in places]
        codes = np.searchsorted(found, joint.ravel())
        return Table(axes, np.minimum(codes, max(len(found) - 1, 0)).astype(np.int64)), combinations

    def ids(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the rows' trials and of their problems."""
        shared = self._sum(self._shared_terms, rows)
        return (shared + self._sum(self._own_terms, rows)).view(np.int64), shared.view(np.int64)

    def _sum(self, terms: Mapping[Axes, np.ndarray], rows: np.ndarray) -> np.ndarray:
        total = np.full(rows.shape, terms.get((), np.zeros(1, np.uint64))[0], np.uint64)
        for axes, sums in terms.items():
            if axes:
                total += sums[self.space.index(axes, rows)]
        return total

    @functools.cached_property
    def _shared_terms(self) -> dict[Axes, np.ndarray]:
        return self._terms([each for each in self.fields if each.shared])

    @functools.cached_property
    def _own_terms(self) -> dict[Axes, np.ndarray]:
        return self._terms([each for each in self.fields if not each.shared])

    def _terms(self, columns: Iterable[Column]) -> dict[Axes, np.ndarray]:
        """Sums of the hashes of what depends on the same axes."""
        sums: dict[Axes, np.ndarray] = {}
        for each in columns:
            if each.table and each.role != "alternative":
                axes, terms = self._hashes(each.name, each.table, each.default)
                sums[axes] = sums[axes] + terms if axes in sums else terms
        return sums

    def _hashes(self, name: str, table: Table, default: Table | None) -> tuple[Axes, np.ndarray]:
        found, places = np.unique(table.values, return_inverse=True)
        hashes = np.array([_term(name, value) for value in found.tolist()], np.uint64)[places.ravel()]
        if default is None:
            return table.axes, hashes
        axes = union((table.axes, default.axes))
        same = self.space.spread(canonical(table.values), table.axes, axes) == self.space.spread(
            canonical(default.values), default.axes, axes
        )
        return axes, np.where(same, np.uint64(0), self.space.spread(hashes, table.axes, axes)).ravel()

    def meets(self, other: Block) -> dict[str, Any] | None:
        """The varied values of a trial that a block of the same kinds contains too, or None where there is none."""
        if any(values.isdisjoint(other._found[name]) for name, values in self._found.items()):
            return None
        theirs = {each.name: each.table for each in other.fields}
        mine, its = self.kept, other.kept
        for each in self.fields:
            here, there = each.table, theirs[each.name]
            if each.name in self._found and here and there:
                common = list(self._found[each.name] & other._found[each.name])
                mine = mine.also([_among(self.space, here, common)])
                its = its.also([_among(other.space, there, common)])
        row = _first_common(self, mine, other, its) if mine.count and its.count else None
        if row is None:
            return None
        return {each.name: self._read(each.table, row)[0] for each in self.fields if each.table and each.table.axes}

    @functools.cached_property
    def _found(self) -> dict[str, set[Any]]:
        """All values of each field."""
        counted = [each for each in self.fields if each.role in ("static", "lane")]
        return {each.name: set(canonical(each.table.values).tolist()) if each.table else {None} for each in counted}


def _among(space: Space, table: Table, values: list[Any]) -> Mask:
    wanted = np.array(values, table.values.dtype)
    return table.axes, np.isin(canonical(table.values), wanted).reshape(space.shape(table.axes))


def _first_common(one: Block, mine: Kept, other: Block, its: Kept, chunk: int = 1 << 18) -> np.ndarray | None:
    """A row of `mine` whose trial is among `its`: the first rows alone settle the usual case, two plain products."""
    ids = np.concatenate([other.ids(next(its.rows(1)))[0]])
    for rows in mine.rows(chunk):
        hit = rows[np.isin(one.ids(rows)[0], ids)]
        if len(hit):
            return hit[:1]
    ids = np.concatenate([other.ids(rows)[0] for rows in its.rows(chunk)])
    for rows in mine.rows(chunk):
        hit = rows[np.isin(one.ids(rows)[0], ids)]
        if len(hit):
            return hit[:1]
    return None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
