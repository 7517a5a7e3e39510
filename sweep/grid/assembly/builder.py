"""Builds a block: the axes of its names and a table of values for each name."""

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
from sweep.grid.fields.cures import closest_name
from sweep.grid.fields.parts import PartSpec
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
    """Invalid values of an expression, an error only if `where` keeps them."""

    symbol: Symbol
    expression: Expression
    axes: Axes
    mask: np.ndarray
    values: np.ndarray


class ResolutionError(Exception):
    """A name has no values; the reason has already been reported."""


class BlockBuilder(SymbolTable):
    """Assigns axes to the names of a block and computes their tables on demand."""

    def __init__(
        self, document: Document, members: Sequence[PartSpec], seeds: Mapping[str, Source]
    ) -> None:
        super().__init__(document, members, seeds)
        self.axes: dict[str, int] = {}
        self.space = Space(())
        self.tables: dict[str, Table | None] = {}
        self.failed: set[str] = set()
        self.in_progress: list[str] = []
        self.invalid_values: list[InvalidValues] = []
        self.invalid_masks: dict[str, Mask] = {}

    def assign_axes(self, zips: Sequence[tuple[Path, list[str]]]) -> None:
        """Assign an axis to each list of values, and a common axis to zipped lists."""
        lists = {
            name: len(source.null)
            for name in self.order
            if isinstance(source := self.names[name].source, GivenValues)
        }
        zip_groups: dict[str, str] = {}
        for path, names in zips:
            self.document.count_words(len(names), path)
            self._check_equal_lengths(path, {name: lists[name] for name in names if name in lists})
            zip_groups |= dict.fromkeys(names, dotted(path))
        sizes: dict[str, int] = {
            zip_groups.get(name, name): count for name, count in lists.items() if count > 1
        }
        axis_numbers = {group: axis for axis, group in enumerate(sizes)}
        self.axes = {
            name: axis_numbers[zip_groups.get(name, name)]
            for name, count in lists.items()
            if count > 1
        }
        self.space = Space(tuple(sizes.values()))
        if self.space.points > MAX_POINTS:
            self.document.add_error(
                (), f"the grid has {self.space.points:.3g} points", "Keep it below 2^62 points"
            )
            raise ResolutionError

    def _check_equal_lengths(self, path: Path, counts: Mapping[str, int]) -> None:
        """Report zipped lists of different lengths, and raise ResolutionError."""
        if len(set(counts.values())) > 1:
            lengths = ", ".join(f"{name} has {count}" for name, count in counts.items())
            self.document.add_error(
                path,
                f"zipped fields need equally many values, but {lengths}",
                "Make the lists equally long",
            )
            raise ResolutionError

    def table(self, name: str) -> Table | None:
        """The values of a name, None if it is null. Raises ResolutionError if it has none."""
        # Computed on demand, since expressions may refer to names in any order. A failed name
        # raises again without a second report.
        if name in self.failed:
            raise ResolutionError
        if name in self.in_progress:
            self._cycle(self.in_progress[self.in_progress.index(name) :])
        if name not in self.tables:
            self.in_progress.append(name)
            try:
                self.tables[name] = self._table(self.names[name])
            except ResolutionError:
                self.failed.add(name)
                raise
            finally:
                self.in_progress.pop()
        return self.tables[name]

    def _cycle(self, circle: list[str]) -> None:
        """Report names whose expressions need each other, and raise ResolutionError."""
        computed = [name for name in circle if isinstance(self.names[name].source, ComputedValues)]
        # Report at the first expression of the file, whichever name happened to be resolved first.
        first = min(
            computed,
            key=lambda name: self.document.position(self.names[name].path),
            default=circle[0],
        )
        start, origin = circle.index(first), self.names[first].path
        chain = " -> ".join([*circle[start:], *circle[: start + 1]])
        self.document.add_error(
            origin, f"expressions need each other: {chain}", "Give one of these fields as numbers"
        )
        raise ResolutionError

    def _table(self, name: Symbol) -> Table | None:
        """Compute what `table` returns."""
        source, setter = name.source, name.setter
        if name.role == "kind":
            return Table((), np.array([name.field.default], object))
        if isinstance(source, GivenValues):
            return self._listed_table(name, source)
        if isinstance(source, ComputedValues):
            self.document.count_words(source.expression.words, source.path)
            whole = not self.document.rounds
            return self._compute(name, source.expression, source.path, whole=whole)
        if name.is_set:
            raise ResolutionError
        if setter and name.role == "alternative":
            return self._compute(name, internal(setter.from_field), name.path, strict=False)
        if setter:
            return self._compute(name, internal(setter.to_field), name.path)
        return self._default(name)

    def _default(self, name: Symbol) -> Table | None:
        """The default of a name, None if it has none; a value equal to it adds nothing to an id."""
        field = name.field
        if name.role == "alternative" or field.required:
            return None
        if name.role == "kind":
            return Table((), np.array([name.default_kind], object)) if name.default_kind else None
        if field.default is None:
            return self._compute(name, internal(field.null), name.path) if field.null else None
        return Table((), np.array([field.default], DTYPES[field.type]))

    def _listed_table(self, name: Symbol, source: GivenValues) -> Table | None:
        """The values of a list, with the default in place of nulls; None if it has none."""
        axes = (self.axes[name.field.name],) if name.field.name in self.axes else ()
        if not source.null.any():
            return Table(axes, source.values)
        default = self._default(name)
        if default is None:
            return None
        both = union((axes, default.axes))
        self._checked_shape(
            both, name.path, f"{name.field.name} with the values that stand for null has"
        )
        null, values = (
            self.space.spread(array, axes, both) for array in (source.null, source.values)
        )
        return Table(
            both,
            np.where(null, self.space.spread(default.values, default.axes, both), values).ravel(),
        )

    def _tables_of(self, expression: Expression, path: Path) -> dict[str, Table]:
        """The tables of the names that an expression uses."""
        for name in expression.names:
            if name not in self.names:
                what = f"there is no field {name} here ({self.title()})"
                self.document.add_error(
                    path, what, self._missing_name_cure(name, path[:1] == ("where",))
                )
        if not set(expression.names) <= set(self.names):
            raise ResolutionError
        tables = {}
        for name in expression.names:
            table = tables[name] = self.table(name)
            if table is None:
                self.document.add_error(
                    path, f"{name} is null here", f"Give {name} a value, or leave it out here"
                )
                raise ResolutionError
        return tables

    def _missing_name_cure(self, name: str, where: bool) -> str:
        """A cure for a name that this block does not have."""
        for family, kinds in trial.FAMILIES.items():
            if family in self.kind_names and any(
                name in validation.declared(cls) for cls in kinds.values()
            ):
                condition = f"== '{self.kind_names[family]}'"
                exclusion = f"{family} !{condition[1:]} in where drops the others"
                restriction = f", {family} {condition} or (...) keeps them" if where else ""
                return f"Only some kinds of {family} have it: {exclusion}{restriction}"
        return closest_name(name, self.names)

    def evaluate(self, expression: Expression, path: Path) -> tuple[Axes, np.ndarray]:
        """An expression over the axes that it depends on."""
        for name, word in expression.compared_words():
            choices = self.names[name].field.choices if name in self.names else ()
            if choices and word not in choices:
                self.document.add_error(
                    path, f"{name} is never '{word}'", closest_name(word, choices)
                )
        tables = self._tables_of(expression, path)
        axes = union(table.axes for table in tables.values())
        shape = self._checked_shape(
            axes,
            path,
            f"{', '.join(expression.names)} have",
            expressions.count_operations(expression),
        )
        columns = {
            name: self.space.spread(table.numbers, table.axes, axes)
            for name, table in tables.items()
        }
        try:
            return axes, _by_pieces(expression, columns, shape)
        except ExpressionError as error:
            self.document.add_error(path, error.what, error.cure)
        raise ResolutionError

    def _checked_shape(
        self, axes: Axes, path: Path, subject: str, operations: int = 0
    ) -> tuple[int, ...]:
        """The shape of a table over some axes, after counting its points.

        Raises:
            ResolutionError: the table would be too large.
        """
        try:
            shape = self.space.shape(axes)
        except TooManyPoints:
            what = f"{subject} more than {MAX_TABLE} combinations"
            self.document.add_error(
                path, what, "Let it depend on fewer fields, or give fewer values"
            )
            raise ResolutionError from None
        self.document.count_numbers((1 + operations) * math.prod(shape), path)
        return shape

    def _compute(
        self,
        name: Symbol,
        expression: Expression,
        path: Path,
        strict: bool = True,
        whole: bool = False,
    ) -> Table:
        """Compute a field; invalid values become errors only if `where` keeps them.

        `whole` refuses fractions of an integer field, which are rounded otherwise.
        """
        expression = expressions.simplify(expression, self.kind_names)
        axes, computed = self.evaluate(expression, path)
        field, computed = name.field, computed.ravel()
        type_names = {"b": "true or false", "O": "text", "f": "a number"}
        expected = {bool: "b", str: "O"}.get(field.type, "f")
        if computed.dtype.kind != expected:
            what = (
                f"`{expression.text}` gives {type_names[computed.dtype.kind]}, "
                f"expected {type_names[expected]}"
            )
            self.document.add_error(
                path, what, f"Write an expression that gives {type_names[expected]}"
            )
            raise ResolutionError
        self.document.count_rounded(computed.size, path)
        values = (
            np.rint(computed)
            if field.type is int
            else canonical(computed, self.document.count_sorted)
        )
        if strict:
            mask = validation.outside(field, values)
            if whole and field.type is int:
                mask |= validation.is_fraction(computed)
            self._add_invalid(
                InvalidValues(replace(name, path=path), expression, axes, mask, computed)
            )
        if field.type is not int:
            return Table(axes, values)
        # Casting nan or values beyond 64 bits to int is undefined; 0 stands in for them.
        exact = np.isfinite(values) & (np.abs(values) < 2.0**63)
        return Table(
            axes, np.where(exact, values, 0).astype(np.int64), np.where(exact, values, np.nan)
        )

    def _add_invalid(self, invalid: InvalidValues) -> None:
        """Record invalid values, except where they follow from invalid values of other fields."""
        inherited = np.zeros(self.space.shape(invalid.axes), bool)
        for name in invalid.expression.names:
            if name in self.invalid_masks:
                inherited |= self.space.spread(
                    self.invalid_masks[name][1], self.invalid_masks[name][0], invalid.axes
                )
        fresh = invalid.mask & ~inherited.ravel()
        self.invalid_masks[invalid.symbol.field.name] = (
            invalid.axes,
            invalid.mask | inherited.ravel(),
        )
        if fresh.any():
            self.invalid_values.append(replace(invalid, mask=fresh))

    def select(self, wheres: Sequence[ComputedValues]) -> Selection:
        """The points at which all conditions hold.

        Raises:
            ResolutionError: a condition cannot be evaluated.
        """
        # Evaluate all conditions before giving up, so that all errors are reported together.
        masks, failed = [], False
        for where in wheres:
            try:
                masks += self._masks(where)
            except ResolutionError:
                failed = True
        if failed:
            raise ResolutionError
        return Selection(self.space, masks)

    def is_excluded(self, wheres: Sequence[ComputedValues]) -> bool:
        """Whether the kinds alone decide that no point is kept."""
        self.document.count_words(sum(where.expression.words for where in wheres), ("where",))
        simplified = (expressions.simplify(where.expression, self.kind_names) for where in wheres)
        return any(
            isinstance(condition.tree, ast.Constant) and condition.tree.value is False
            for condition in simplified
        )

    def _masks(self, where: ComputedValues) -> list[Mask]:
        """The conditions that a `where` joins by `and`, each over the axes it depends on."""
        masks = []
        for condition in expressions.conjuncts(
            expressions.simplify(where.expression, self.kind_names)
        ):
            axes, holds = self.evaluate(condition, where.path)
            if holds.dtype != bool:
                what = f"`{where.expression.text}` is not a condition"
                self.document.add_error(
                    where.path, what, "Compare with something, such as sparsity <= d"
                )
                raise ResolutionError
            masks.append((axes, holds))
        return masks

    def columns(self) -> list[Column]:
        """All names with their tables, in the order in which the parts declare them."""
        return [
            Column(
                name=symbol.field.name,
                column=symbol.field.column,
                role=symbol.role,
                type=symbol.field.type,
                part=symbol.part,
                shared=symbol.part in trial.PROBLEM,
                table=self.table(symbol.field.name),
                default=self._default(symbol),
            )
            for symbol in self.names.values()
        ]


def _by_pieces(
    expression: Expression, columns: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """Evaluate an expression over a whole table in pieces, to bound the memory of temporaries."""
    result: np.ndarray | None = None
    for piece in pieces(shape):
        values = expressions.evaluate(
            expression, {name: _slice_column(column, piece) for name, column in columns.items()}
        )
        result = np.empty(shape, values.dtype) if result is None else result
        result[*piece, ...] = values
    assert result is not None
    return result


def _slice_column(column: np.ndarray, piece: tuple[slice, ...]) -> np.ndarray:
    """What a column that broadcasts has of a piece."""
    sides = zip(piece, column.shape, strict=True)
    return column[*(side if size > 1 else slice(None) for side, size in sides), ...]


@functools.lru_cache(maxsize=256)
def internal(text: str) -> Expression:
    """An expression of a declaration, parsed once."""
    return expressions.parse_expression(text)
