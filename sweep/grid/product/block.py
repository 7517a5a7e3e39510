"""Blocks of trials: parts of fixed kinds over a lazy product of axes, read by row number."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import jax
import numpy as np

from sweep.grid.product.hashing import HashSum, hash_value
from sweep.grid.product.space import Selection, Table, canonical, union
from sweep.padding import Size
from sweep.trial import SEEDS, Trial, build_trial

Role = Literal["static", "lane", "kind", "alternative"]


@dataclass(frozen=True, eq=False)
class Column:
    """One name of a block: a field, a kind or an alternative, with its values.

    `part` is the part of the trial that it belongs to, `shared` true where that part belongs to the
    problem. `table` is None where the field is left out (null); a value equal to `default` does
    not contribute to an id.
    """

    name: str
    column: str
    role: Role
    type: type
    part: str
    shared: bool
    table: Table | None
    default: Table | None = None


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of the first layer: those `asked` for, or those that `auto` resolves to.

    `auto` takes `fewer` where there are fewer noise vectors than dimensions; `vectors` counts the
    noise vectors of a point.
    """

    asked: str = "ambient"
    fewer: str = "ambient"
    vectors: int = 1

    def of(self, statics: Mapping[str, Any]) -> str:
        """The coordinates of trials with these static fields."""
        if self.asked != "auto":
            return self.asked
        return self.fewer if statics["n"] * self.vectors <= statics["d"] else "ambient"

    @property
    def term(self) -> int:
        """What they add to an id: 0, except for `gram`, whose problems are drawn differently."""
        return hash_value("coordinates", "gram") if self.asked == "gram" else 0


class Block:
    """A product of axes with values, of parts of fixed kinds.

    Args:
        kinds: family to kind, nested families included.
        columns: all names of the block with their values.
        selection: the points of the product that `where` keeps; the rows of the block.
        coordinates: resolves the coordinates, a static field of their own, from static fields.

    Raises:
        TooManyPoints: static fields have too many combinations to number them.
    """

    def __init__(
        self,
        kinds: Mapping[str, str],
        columns: Sequence[Column],
        selection: Selection,
        coordinates: Coordinates = Coordinates(),
    ) -> None:
        self.kinds = dict(kinds)
        self.coordinates = coordinates
        self.fields = tuple(columns)
        self.selection = selection
        self.space = selection.space
        self.points = self.space.points
        self.size = selection.count
        # Fails early where the table of static combinations would be too large.
        self.space.shape(union(table.axes for table in self._static_tables().values()))

    def rows(self, chunk: int = 1 << 18) -> Iterator[np.ndarray]:
        """Numbers of the selected rows, ascending, a chunk at a time."""
        return self.selection.rows(chunk)

    def read(self, table: Table, rows: np.ndarray) -> np.ndarray:
        """The values of a table at these rows."""
        if not table.axes:
            return np.full(rows.shape, table.values[0], table.values.dtype)
        return table.values[self.space.index(table.axes, rows)]

    def values(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Values by field name, with defaults, `seed` and alternatives; null fields are absent."""
        fields = [column for column in self.fields if column.role != "kind"]
        return {field.name: self.read(field.table, rows) for field in fields if field.table}

    def lane_values(self) -> dict[str, np.ndarray]:
        """All values of each lane field, unordered; some may occur in no selected row."""
        fields = [column for column in self.fields if column.role == "lane"]
        return {field.name: field.table.values for field in fields if field.table}

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Values for the runs table by column name, kinds and coordinates included."""
        codes, combinations = self._statics
        coordinates = [statics["coordinates"] for statics in combinations]
        values = {
            field.column: self.read(field.table, rows) for field in self.fields if field.table
        }
        return {**values, "coordinates": np.array(coordinates, object)[self.read(codes, rows)]}

    def statics(self, rows: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """A code for each row, and for each code the static fields that it stands for.

        Codes number the combinations of static fields that occur among the selected rows of the
        whole block, without gaps.
        """
        codes, combinations = self._statics
        return self.read(codes, rows), [dict(statics) for statics in combinations]

    def trial(
        self, rows: np.ndarray, statics: Mapping[str, Any], sizes: Sequence[str] = ()
    ) -> Trial:
        """The trials of some rows as one batch.

        Args:
            rows: row numbers, (trials,).
            statics: values of the static fields, the same for all rows; of a padded size the
                largest, which arrays are allocated for.
            sizes: names of the static fields that are padded: each row keeps its actual size.

        Returns:
            A trial whose lane fields and actual sizes are arrays (trials,).
        """
        values = self.values(rows)
        lanes = {name: _lane_array(name, values[name]) for name in values if name not in statics}
        padded = {name: Size(statics[name], _lane_array(name, values[name])) for name in sizes}
        batch = build_trial(self.kinds, {**lanes, **statics, **padded})
        return jax.tree.map(lambda leaf: np.broadcast_to(leaf, len(rows)), batch)

    def example(self, overrides: Mapping[str, Any] | None = None) -> Trial:
        """The trial of the first row as Python scalars, some values replaced by `overrides`."""
        return build_trial(self.kinds, {**self.first_values, **(overrides or {})})

    @functools.cached_property
    def first_values(self) -> dict[str, Any]:
        """Values of the first row as Python scalars, by field name."""
        return {
            name: values.tolist()[0] for name, values in self.values(next(self.rows(1))).items()
        }

    def _static_tables(self) -> dict[str, Table]:
        """The tables of the static fields that are not null."""
        fields = [column for column in self.fields if column.role == "static"]
        return {field.name: field.table for field in fields if field.table}

    @functools.cached_property
    def _statics(self) -> tuple[Table, list[dict[str, Any]]]:
        """Codes of the combinations of static fields, and the combination of each code."""
        tables = self._static_tables()
        axes = union(table.axes for table in tables.values())
        shape = self.space.shape(axes)
        joint = self._joint_codes(tables)
        occurs = self.selection.project(axes).ravel()
        used, first = np.unique(joint.ravel()[occurs], return_index=True)
        wide = {
            name: np.broadcast_to(self.space.spread(table.values, table.axes, axes), shape)
            for name, table in tables.items()
        }
        combinations = [
            {name: _python_value(array.flat[index]) for name, array in wide.items()}
            for index in np.flatnonzero(occurs)[first]
        ]
        for statics in combinations:
            statics["coordinates"] = self.coordinates.of(statics)
        codes = np.searchsorted(used, joint.ravel())
        # Unused combinations get some code in range; no selected row reads it.
        codes = np.minimum(codes, max(len(used) - 1, 0))
        return Table(axes, codes.astype(np.int64)), combinations

    def _joint_codes(self, tables: Mapping[str, Table]) -> np.ndarray:
        """A number for each combination of the values of some tables, over all their axes."""
        axes = union(table.axes for table in tables.values())
        shape = self.space.shape(axes)
        joint = np.zeros(shape, np.int64)
        for table in tables.values():
            distinct, codes = np.unique(table.values, return_inverse=True)
            joint = joint * len(distinct) + self.space.spread(codes, table.axes, axes)
            # Renumbered after each field: products of many counts would overflow.
            joint = np.unique(joint, return_inverse=True)[1].reshape(shape)
        return joint

    def ids(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the trials of these rows, and ids of their problems."""
        problem = self._problem_hashes.at(rows) + np.uint64(self.coordinates.term)
        return (problem + self._training_hashes.at(rows)).view(np.int64), problem.view(np.int64)

    @functools.cached_property
    def _problem_hashes(self) -> HashSum:
        """Hashes of the fields that all optimizers share."""
        return self._hash_sum(shared=True)

    @functools.cached_property
    def _training_hashes(self) -> HashSum:
        """Hashes of all other fields."""
        return self._hash_sum(shared=False)

    def _hash_sum(self, shared: bool) -> HashSum:
        """Hashes of the fields that belong to the problem, or of those that don't."""
        fields = [
            (column.name, column.table, column.default)
            for column in self.fields
            if column.table and column.role != "alternative" and column.shared == shared
        ]
        return HashSum(self.space, fields)

    @property
    def id_fields(self) -> list[Column]:
        """The static and lane fields, whose values tell trials of equal kinds apart."""
        return [column for column in self.fields if column.role in ("static", "lane")]

    @functools.cached_property
    def value_sets(self) -> dict[str, set[Any]]:
        """All values of each field that counts in an id; {None} for a null field."""
        return {
            field.name: set(canonical(field.table.values).tolist()) if field.table else {None}
            for field in self.id_fields
        }

    @property
    def table_size(self) -> int:
        """Number of values in all its tables."""
        return sum(len(field.table.values) for field in self.id_fields if field.table)

    @property
    def independent_fields(self) -> set[str]:
        """Fields whose values occur with all combinations of values of the other fields."""
        axes = {field.name: field.table.axes if field.table else () for field in self.id_fields}
        bound = (bound_axes for bound_axes, _ in self.selection.groups)
        uses = Counter(chain(*axes.values(), *bound))
        return {
            name for name, field_axes in axes.items() if all(uses[axis] == 1 for axis in field_axes)
        }


def _lane_array(name: str, column: np.ndarray) -> np.ndarray:
    """Values of a lane field in the type that programs compute with."""
    # Seeds use all 32 bits, which int32 cannot hold.
    if name in SEEDS:
        return column.astype(np.uint32)
    if column.dtype.kind == "i" and column.max(initial=0) < 2**31:
        return column.astype(np.int32)
    return column.astype(jax.dtypes.canonicalize_dtype(float))


def _python_value(value: Any) -> Any:
    """A numpy number as that of Python."""
    return value.item() if isinstance(value, np.generic) else value
