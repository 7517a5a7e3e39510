"""Blocks of trials: parts of fixed kinds over a lazy product, with values, compiled-in fields and ids by row number."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sweep.grid.product.space import Axes, Mask, Selection, Space, Table, canonical, union

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


def canonical_text(value: Any) -> str:
    """A value as it counts in an id and is shown to people."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return f"{value + 0.0:.12g}" if isinstance(value, float | np.floating) else str(value)


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of the first layer: as asked for, or `fewer` where there are fewer noise vectors than dimensions.

    `vectors` counts the noise vectors of a point.
    """

    asked: str = "ambient"
    fewer: str = "ambient"
    vectors: int = 1

    def of(self, statics: Mapping[str, Any]) -> str:
        """Those of trials with the given static fields."""
        if self.asked != "auto":
            return self.asked
        return self.fewer if statics["n"] * self.vectors <= statics["d"] else "ambient"

    @property
    def term(self) -> int:
        """What they add to an id: nothing but for `gram`, whose problems have draws of their own."""
        return _term("coordinates", "gram") if self.asked == "gram" else 0


def _term(name: str, value: Any) -> int:
    digest = hashlib.blake2b(f"{name}={canonical_text(value)}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


class Block:
    """A product of axes with values, of parts of fixed kinds.

    `kinds` maps family to kind, nested families included; `points` counts the full product, `size` what `where` keeps.
    `coordinates` resolves those of the first layer from static fields; they are a static field of their own. Raises
    TooManyPoints where static fields have too many combinations to number them.
    """

    def __init__(
        self,
        kinds: Mapping[str, str],
        columns: Sequence[Column],
        kept: Selection,
        coordinates: Coordinates = Coordinates(),
    ) -> None:
        self.kinds = dict(kinds)
        self.coordinates = coordinates
        self.fields = tuple(columns)
        self.kept = kept
        self.space = kept.space
        self.points = kept.space.points
        self.space.shape(union(each.table.axes for each in columns if each.role == "static" and each.table))
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

    def occurring(self) -> dict[str, np.ndarray]:
        """All values of each lane field, in no particular order; some may belong to rows that are not kept."""
        return {each.name: each.table.values for each in self.fields if each.role == "lane" and each.table}

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What goes into the runs table: values by column name, and the kinds."""
        codes, combinations = self._statics
        coordinates = np.array([each["coordinates"] for each in combinations], object)[self._read(codes, rows)]
        own = {each.column: self._read(each.table, rows) for each in self.fields if each.table}
        return {**own, "coordinates": coordinates}

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
        for each in combinations:
            each["coordinates"] = self.coordinates.of(each)
        codes = np.searchsorted(found, joint.ravel())
        return Table(axes, np.minimum(codes, max(len(found) - 1, 0)).astype(np.int64)), combinations

    def ids(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the rows' trials and of their problems."""
        shared = self._sum(self._shared_terms, rows) + np.uint64(self.coordinates.term)
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

    def meets(self, other: Block, spend: Callable[[int], None]) -> dict[str, Any] | None:
        """The varied values of a trial that a block of the same kinds contains too, or None where there is none.

        Raises TooManyPoints where it cannot be told with little memory; `spend` is told of the work.
        """
        if any(values.isdisjoint(other.found[name]) for name, values in self.found.items()):
            return None
        spend(300_000 + 2_000 * (self.places + other.places))
        theirs = {each.name: each.table for each in other.fields}
        loose = self._loose & other._loose
        masks: tuple[list[Mask], list[Mask]] = ([], [])
        for each in self._counted:
            here, there = each.table, theirs[each.name]
            if here and there and (here.axes or there.axes):
                common = self.found[each.name] & other.found[each.name]
                # A field that nothing else depends on decides nothing: one value stands for all.
                common = [min(common)] if each.name in loose else list(common)
                masks[0].append(_among(self.space, here, common))
                masks[1].append(_among(other.space, there, common))
        mine, its = self.kept.also(masks[0]), other.kept.also(masks[1])
        row = _first_common(self, mine, other, its, spend) if mine.count and its.count else None
        if row is None:
            return None
        return {each.name: self._read(each.table, row)[0] for each in self.fields if each.table and each.table.axes}

    @functools.cached_property
    def found(self) -> dict[str, set[Any]]:
        """All values of each field that counts in an id."""
        return {
            each.name: set(canonical(each.table.values).tolist()) if each.table else {None} for each in self._counted
        }

    @property
    def places(self) -> int:
        """How many values its tables have."""
        return sum(len(each.table.values) for each in self._counted if each.table)

    @property
    def _counted(self) -> list[Column]:
        return [each for each in self.fields if each.role in ("static", "lane")]

    @property
    def _loose(self) -> set[str]:
        """Fields whose values are met with all combinations of values of the others."""
        axes = {each.name: each.table.axes if each.table else () for each in self._counted}
        uses = Counter(itertools.chain(*axes.values(), *(bound for bound, _ in self.kept.groups)))
        return {name for name, own in axes.items() if all(uses[axis] == 1 for axis in own)}


def _among(space: Space, table: Table, values: list[Any]) -> Mask:
    wanted = np.array(values, table.values.dtype)
    return table.axes, np.isin(canonical(table.values), wanted).reshape(space.shape(table.axes))


def _first_common(
    one: Block, mine: Selection, other: Block, its: Selection, spend: Callable[[int], None], chunk: int = 1 << 18
) -> np.ndarray | None:
    """A row of `mine` whose trial is among `its`: the first rows alone settle the usual case, two plain products."""
    spend(300 * (mine.count + its.count))
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
