"""Checks the kept points of a block for invalid values, failed checks and repeated trials."""

from __future__ import annotations

import math

import numpy as np

from sweep import spec
from sweep.grid.assembly.builder import BlockBuilder, InvalidValues, internal
from sweep.grid.fields import validation
from sweep.grid.fields.parts import PartSpec, flat
from sweep.grid.fields.values import GivenValues
from sweep.grid.product.hashing import canonical_text
from sweep.grid.product.space import Axes, Selection, canonical, sorted_distinct, union
from sweep.grid.syntax.yaml_reader import Document, Path


class Tally:
    """Points at which checks fail, counted over all blocks."""

    def __init__(self) -> None:
        self.counts: dict[tuple[Path, spec.Check], tuple[int, int, str]] = {}

    def add(self, path: Path, check: spec.Check, failing: int, points: int, example: str) -> None:
        """Add the result of a check in one block.

        Args:
            path: the part or field to report at.
            check: the check.
            failing: the number of kept points at which it fails.
            points: the number of kept points.
            example: the values of a failing point, empty if there is none.
        """
        previous = self.counts.get((path, check), (0, 0, ""))
        self.counts[path, check] = (
            previous[0] + failing,
            previous[1] + points,
            previous[2] or example,
        )

    def report(self, document: Document) -> None:
        """Report each failing check with an example."""
        for (path, check), (failing, points, example) in self.counts.items():
            if failing:
                what = f"{check.what}: at {failing} of {points} points, for example at {example}"
                document.add_error(path, what, check.cure)


def check_block(block: BlockBuilder, selection: Selection, tally: Tally) -> None:
    """Check a block at its kept points.

    Args:
        block: the block, with all tables computed.
        selection: the points that `where` keeps.
        tally: collects the results of checks over all blocks.
    """
    for invalid in block.invalid_values:
        positions = np.flatnonzero(invalid.mask & selection.project(invalid.axes).ravel())
        if len(positions):
            _report_invalid(block, invalid, int(positions[0]))
    # Checks assume valid fields; on invalid ones they would only add misleading errors.
    if not block.invalid_values:
        for member in flat(block.members):
            for check in spec.checks(member.cls):
                _check(block, member, check, selection, tally)
    for axis in range(len(block.space.sizes)):
        _check_repeats(block, axis, selection)


def _report_invalid(block: BlockBuilder, invalid: InvalidValues, position: int) -> None:
    inputs = ", ".join(
        f"{name}={_value_text(block, name, invalid.axes, position)}"
        for name in invalid.expression.names
    )
    field = invalid.symbol.field
    location = f" at {inputs}" if inputs else ""
    value = canonical_text(invalid.values[position])
    what = f"{field.name} = {invalid.expression.text} is {value}{location}"
    cure = f"Make it {validation.allowed(field)}, or keep only points where it is by means of where"
    if field.type is int and validation.is_fraction(invalid.values[[position]])[0]:
        rounded = f"round({invalid.expression.text})"
        cure = f"Write {rounded}, floor or ceil, or keep only points where it is whole"
    block.document.add_error(invalid.symbol.path, what, cure)


def _value_text(block: BlockBuilder, name: str, axes: Axes, position: int) -> str:
    table = block.table(name)
    assert table is not None
    values = np.broadcast_to(
        block.space.spread(table.values, table.axes, axes), block.space.shape(axes)
    )
    return canonical_text(values.flat[position])


def _check(
    block: BlockBuilder, member: PartSpec, check: spec.Check, selection: Selection, tally: Tally
) -> None:
    expression = internal(check.holds)
    if any(name not in block.names or block.table(name) is None for name in expression.names):
        return
    axes, holds = block.evaluate(expression, member.path)
    failing = selection.also([(axes, ~holds)])
    field_paths = [
        block.names[name].path
        for name in expression.names
        if block.names[name].path in block.document.positions
    ]
    example = ""
    if failing.count:
        row = next(failing.rows(1))
        position = int(block.space.index(axes, row)[0])
        example = ", ".join(
            f"{name}={_value_text(block, name, axes, position)}" for name in expression.names
        )
    tally.add(
        field_paths[0] if field_paths else member.path,
        check,
        failing.count,
        selection.count,
        example,
    )


def _check_repeats(block: BlockBuilder, axis: int, selection: Selection) -> None:
    """Report two values of an axis that make the same trial."""
    names = [name for name, column in block.axes.items() if column == axis]
    targets = [
        symbol.setter.field
        if (symbol := block.names[name]).setter and symbol.role == "alternative"
        else name
        for name in names
    ]
    tables = [table for name in targets if (table := block.table(name))]
    axes = union([(axis,), *(table.axes for table in tables)])
    shape = block.space.shape(axes)
    block.document.count_numbers(math.prod(shape))
    # The usual case, a list in order, is settled without the far more expensive coding below.
    if any(
        sorted_distinct(block.space.lines(table, axis)) for table in tables if axis in table.axes
    ):
        return
    block.document.count_sorted(math.prod(shape))
    codes = np.zeros(shape, np.int64)
    for table in tables:
        distinct, inverse = np.unique(canonical(table.values), return_inverse=True)
        codes = codes * len(distinct) + block.space.spread(inverse, table.axes, axes)
        # Renumber after each table, so that the product of sizes cannot overflow.
        codes = np.unique(codes, return_inverse=True)[1].reshape(shape)
    # Dropped points get distinct negative codes, so that they never count as repeats.
    codes = np.where(selection.project(axes), codes, -1 - np.arange(codes.size).reshape(shape))
    lines = np.moveaxis(codes, axes.index(axis), -1).reshape(-1, block.space.sizes[axis])
    order = np.argsort(lines, axis=1, kind="stable")
    ascending = np.take_along_axis(lines, order, axis=1)
    repeats = np.argwhere(ascending[:, 1:] == ascending[:, :-1])
    if len(repeats):
        line, column = repeats[0]
        _report_repeat(block, names, int(order[line, column]), int(order[line, column + 1]))


def _report_repeat(block: BlockBuilder, names: list[str], first: int, second: int) -> None:
    path = block.names[names[0]].path
    path = (*path, second) if (*path, second) in block.document.positions else path
    what = f"values {first + 1} and {second + 1} of {', '.join(names)} make the same trials"
    sources = [block.names[name].source for name in names]
    sampled = any(isinstance(source, GivenValues) and source.sampled for source in sources)
    cure = (
        "Lower count, or zip it with a field of real numbers" if sampled else "Take one of them out"
    )
    block.document.add_error(path, what, cure)
