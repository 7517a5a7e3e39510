"""One block in the making: the axes of its names, and a table of values for each of them."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweep import trial
from sweep.grid.assembly.symbols import Symbol, SymbolTable
from sweep.grid.fields import validation
from sweep.grid.fields.parts import PartSpec
from sweep.grid.fields.validation import closest_name
from sweep.grid.fields.values import DTYPES, ComputedValues, GivenValues, Source
from sweep.grid.product.block import Column
from sweep.grid.product.space import (
    MAX_POINTS,
    MAX_TABLE,
    Axes,
    Mask,
    Selection,
    Space,
    Table,
    TooManyPoints,
    canonical,
    pieces,
    union,
)
from sweep.grid.syntax import expressions
from sweep.grid.syntax.expressions import Expression, ExpressionError
from sweep.grid.syntax.yaml_reader import Document, Path, dotted


@dataclass(frozen=True, eq=False)
class InvalidValues:
    """Values of an expression that are not allowed, should `where` keep them."""

    name: Symbol
    expression: Expression
    axes: Axes
    bad: np.ndarray
    found: np.ndarray


class Failed(Exception):
    """There are no values; why has been said already."""


class BlockBuilder(SymbolTable):
    """Names with axes, then a table for each of them, some of it from tables of others."""

    def __init__(self, document: Document, members: Sequence[PartSpec], seeds: Source) -> None:
        super().__init__(document, members, seeds)
        self.axes: dict[str, int] = {}
        self.space = Space(())
        self.tables: dict[str, Table | None] = {}
        self.failed: set[str] = set()
        self.open: list[str] = []
        self.doubts: list[InvalidValues] = []
        self.tainted: dict[str, Mask] = {}

    def lay_axes(self, zips: Sequence[tuple[Path, list[str]]]) -> None:
        """Give every list of values an axis, and those of a zip the same one."""
        lists = {
            name: len(each.null)
            for name in self.order
            if isinstance(each := self.names[name].source, GivenValues)
        }
        together: dict[str, str] = {}
        for path, names in zips:
            self.document.spend(1_000 * len(names))
            self._equally_many(path, {name: lists[name] for name in names if name in lists})
            together |= dict.fromkeys(names, dotted(path))
        sizes: dict[str, int] = {
            together.get(name, name): count for name, count in lists.items() if count > 1
        }
        places = {group: place for place, group in enumerate(sizes)}
        self.axes = {
            name: places[together.get(name, name)] for name, count in lists.items() if count > 1
        }
        self.space = Space(tuple(sizes.values()))
        if self.space.points > MAX_POINTS:
            self.document.complain(
                (), f"the grid has {self.space.points:.3g} points", "Keep it below 2^62 points"
            )
            raise Failed

    def _equally_many(self, path: Path, counts: Mapping[str, int]) -> None:
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in counts.items())
            self.document.complain(
                path,
                f"zipped fields need equally many values, but {said}",
                "Make the lists equally long",
            )
            raise Failed

    def table(self, name: str) -> Table | None:
        """The values of a name, None where it is null. Raises Failed where there are none."""
        if name in self.failed:
            raise Failed
        if name in self.open:
            self._cycle(self.open[self.open.index(name) :])
        if name not in self.tables:
            self.open.append(name)
            try:
                self.tables[name] = self._table(self.names[name])
            except Failed:
                self.failed.add(name)
                raise
            finally:
                self.open.pop()
        return self.tables[name]

    def _cycle(self, circle: list[str]) -> None:
        computed = [name for name in circle if isinstance(self.names[name].source, ComputedValues)]
        first = min(
            computed, key=lambda name: self.document.place(self.names[name].path), default=circle[0]
        )
        start, origin = circle.index(first), self.names[first].path
        said = " -> ".join([*circle[start:], *circle[: start + 1]])
        self.document.complain(
            origin, f"expressions need each other: {said}", "Give one of these fields as numbers"
        )
        raise Failed

    def _table(self, name: Symbol) -> Table | None:
        source, setter = name.source, name.setter
        if name.role == "kind":
            return Table((), np.array([name.field.default], object))
        if isinstance(source, GivenValues):
            return self._given(name, source)
        if isinstance(source, ComputedValues):
            return self._compute(name, source.expression, source.path)
        if name.given:
            raise Failed
        if setter and name.role == "alternative":
            return self._compute(name, internal(setter.from_field), name.path, strict=False)
        if setter:
            return self._compute(name, internal(setter.to_field), name.path)
        return self._default(name)

    def _default(self, name: Symbol) -> Table | None:
        """The default of a field: what counts nothing in an id."""
        field = name.field
        if name.role == "alternative" or field.required:
            return None
        if name.role == "kind":
            return Table((), np.array([name.usual], object)) if name.usual else None
        if field.default is None:
            return self._compute(name, internal(field.null), name.path) if field.null else None
        return Table((), np.array([field.default], DTYPES[field.type]))

    def _given(self, name: Symbol, source: GivenValues) -> Table | None:
        axes = (self.axes[name.field.name],) if name.field.name in self.axes else ()
        if not source.null.any():
            return Table(axes, source.values)
        standing = self._default(name)
        if standing is None:
            return None
        both = union((axes, standing.axes))
        self._afford(both, name.path, f"{name.field.name} with the values that stand for null has")
        null, values = (
            self.space.spread(each, axes, both) for each in (source.null, source.values)
        )
        return Table(
            both,
            np.where(null, self.space.spread(standing.values, standing.axes, both), values).ravel(),
        )

    def _needs(self, expression: Expression, path: Path) -> dict[str, Table]:
        """The tables of the names that an expression uses."""
        for name in expression.names:
            if name not in self.names:
                what = f"there is no field {name} here ({self.title()})"
                self.document.complain(path, what, self._absent(name, path[:1] == ("where",)))
        if not set(expression.names) <= set(self.names):
            raise Failed
        tables = {}
        for name in expression.names:
            table = tables[name] = self.table(name)
            if table is None:
                self.document.complain(
                    path, f"{name} is null here", f"Give {name} a value, or leave it out here"
                )
                raise Failed
        return tables

    def _absent(self, name: str, where: bool) -> str:
        """A cure for a name that this block does not have."""
        for family, kinds in trial.FAMILIES.items():
            if family in self.words and any(
                name in validation.declared(cls) for cls in kinds.values()
            ):
                this = f"== '{self.words[family]}'"
                drop = f"{family} !{this[1:]} in where drops the others"
                keep = f", {family} {this} or (...) keeps them" if where else ""
                return f"Only some kinds of {family} have it: {drop}{keep}"
        return closest_name(name, self.names)

    def evaluate(self, expression: Expression, path: Path) -> tuple[Axes, np.ndarray]:
        """An expression over the axes that it depends on."""
        for name, word in expression.words():
            choices = self.names[name].field.choices if name in self.names else ()
            if choices and word not in choices:
                self.document.complain(
                    path, f"{name} is never '{word}'", closest_name(word, choices)
                )
        tables = self._needs(expression, path)
        axes = union(table.axes for table in tables.values())
        shape = self._afford(
            axes, path, f"{', '.join(expression.names)} have", expressions.effort(expression)
        )
        columns = {
            name: self.space.spread(table.numbers, table.axes, axes)
            for name, table in tables.items()
        }
        try:
            return axes, _by_pieces(expression, columns, shape)
        except ExpressionError as error:
            self.document.complain(path, error.what, error.cure)
        raise Failed

    def _afford(self, axes: Axes, path: Path, who: str, each: int = 0) -> tuple[int, ...]:
        """The shape of a table over some axes, its cost accounted for. Raises Failed where it would be too large."""
        try:
            shape = self.space.shape(axes)
        except TooManyPoints:
            what = f"{who} more than {MAX_TABLE} combinations"
            self.document.complain(
                path, what, "Let it depend on fewer fields, or give fewer values"
            )
            raise Failed from None
        self.document.spend(20_000 + (15 + each) * math.prod(shape), path)
        return shape

    def _compute(
        self, name: Symbol, expression: Expression, path: Path, strict: bool = True
    ) -> Table:
        """The values that an expression gives to a field; what is not allowed waits until `where` is known."""
        expression = expressions.simplify(expression, self.words)
        axes, found = self.evaluate(expression, path)
        field, found = name.field, found.ravel()
        words = {"b": "true or false", "O": "text", "f": "a number"}
        expected = {bool: "b", str: "O"}.get(field.type, "f")
        if found.dtype.kind != expected:
            what = (
                f"`{expression.text}` gives {words[found.dtype.kind]}, expected {words[expected]}"
            )
            self.document.complain(path, what, f"Write an expression that gives {words[expected]}")
            raise Failed
        self.document.spend(50 * found.size, path)
        values = np.rint(found) if field.type is int else canonical(found, self.document.spend)
        if strict:
            self._doubt(
                InvalidValues(
                    replace(name, path=path),
                    expression,
                    axes,
                    validation.outside(field, values),
                    found,
                )
            )
        if field.type is not int:
            return Table(axes, values)
        exact = np.isfinite(values) & (np.abs(values) < 2.0**63)
        return Table(
            axes, np.where(exact, values, 0).astype(np.int64), np.where(exact, values, np.nan)
        )

    def _doubt(self, doubt: InvalidValues) -> None:
        """Keep bad values in mind, but for those that come from bad values of other fields."""
        inherited = np.zeros(self.space.shape(doubt.axes), bool)
        for name in doubt.expression.names:
            if name in self.tainted:
                inherited |= self.space.spread(
                    self.tainted[name][1], self.tainted[name][0], doubt.axes
                )
        own = doubt.bad & ~inherited.ravel()
        self.tainted[doubt.name.field.name] = (doubt.axes, doubt.bad | inherited.ravel())
        if own.any():
            self.doubts.append(replace(doubt, bad=own))

    def keep(self, wheres: Sequence[ComputedValues]) -> Selection:
        """The points at which all conditions of the grid hold. Raises Failed where one cannot be asked."""
        masks, failed = [], False
        for where in wheres:
            try:
                masks += self._masks(where)
            except Failed:
                failed = True
        if failed:
            raise Failed
        return Selection(self.space, masks)

    def dropped(self, wheres: Sequence[ComputedValues]) -> bool:
        """True where the kinds alone decide that no point is kept."""
        self.document.spend(10_000 * len(wheres))
        settled = (expressions.simplify(where.expression, self.words) for where in wheres)
        return any(
            isinstance(each.tree, ast.Constant) and each.tree.value is False for each in settled
        )

    def _masks(self, where: ComputedValues) -> list[Mask]:
        masks = []
        for each in expressions.conjuncts(expressions.simplify(where.expression, self.words)):
            axes, holds = self.evaluate(each, where.path)
            if holds.dtype != bool:
                what = f"`{where.expression.text}` is not a condition"
                self.document.complain(
                    where.path, what, "Compare with something, such as sparsity <= d"
                )
                raise Failed
            masks.append((axes, holds))
        return masks

    def columns(self) -> list[Column]:
        """All names with their tables, part by part."""
        return [
            Column(
                name=each.field.name,
                column=each.field.column,
                role=each.role,
                type=each.field.type,
                part=each.part,
                shared=each.part in trial.PROBLEM,
                table=self.table(each.field.name),
                default=self._default(each),
            )
            for each in self.names.values()
        ]


def _by_pieces(
    expression: Expression, columns: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """An expression over a whole table, some of it at a time: what is needed in between takes little memory."""
    found: np.ndarray | None = None
    for piece in pieces(shape):
        values = expressions.evaluate(
            expression, {name: _cut(column, piece) for name, column in columns.items()}
        )
        found = np.empty(shape, values.dtype) if found is None else found
        found[*piece, ...] = values
    assert found is not None
    return found


def _cut(column: np.ndarray, piece: tuple[slice, ...]) -> np.ndarray:
    """What a column that broadcasts has of a piece."""
    sides = zip(piece, column.shape, strict=True)
    return column[*(side if size > 1 else slice(None) for side, size in sides), ...]


@functools.lru_cache(maxsize=256)
def internal(text: str) -> Expression:
    """An expression of a declaration, parsed once."""
    return expressions.parse_expression(text)
