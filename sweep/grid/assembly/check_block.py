"""What is wrong with a block at the points that are kept: bad values, broken relations, trials that occur twice."""

from __future__ import annotations

import math

import numpy as np

from sweep import spec
from sweep.grid.assembly.builder import BlockBuilder, InvalidValues, internal
from sweep.grid.fields import validation
from sweep.grid.fields.parts import PartSpec, flat
from sweep.grid.product.hashing import canonical_text
from sweep.grid.product.space import Axes, Selection, canonical, sorted_distinct, union
from sweep.grid.syntax.yaml_reader import Document, Path


class Tally:
    """Points at which checks fail, counted over all blocks."""

    def __init__(self) -> None:
        self.found: dict[tuple[Path, spec.Check], tuple[int, int, str]] = {}

    def add(self, path: Path, check: spec.Check, failing: int, points: int, example: str) -> None:
        """Add the points of one block."""
        before = self.found.get((path, check), (0, 0, ""))
        self.found[path, check] = (before[0] + failing, before[1] + points, before[2] or example)

    def complain(self, document: Document) -> None:
        """Say which checks fail, and where."""
        for (path, check), (failing, points, example) in self.found.items():
            if failing:
                what = f"{check.what}: at {failing} of {points} points, for example at {example}"
                document.complain(path, what, check.cure)


def check_block(block: BlockBuilder, kept: Selection, tally: Tally) -> None:
    """Look for what is wrong at kept points only."""
    for doubt in block.doubts:
        bad = np.flatnonzero(doubt.bad & kept.project(doubt.axes).ravel())
        if len(bad):
            _regret(block, doubt, int(bad[0]))
    if not block.doubts:
        for member in flat(block.members):
            for check in spec.checks(member.cls):
                _check(block, member, check, kept, tally)
    for axis in range(len(block.space.sizes)):
        _repeats(block, axis, kept)


def _regret(block: BlockBuilder, doubt: InvalidValues, place: int) -> None:
    at = ", ".join(
        f"{name}={_shown(block, name, doubt.axes, place)}" for name in doubt.expression.names
    )
    field = doubt.name.field
    what = f"{field.name} = {doubt.expression.text} is {canonical_text(doubt.found[place])}{f' at {at}' if at else ''}"
    wide = field.type is int and validation.WHOLE <= abs(doubt.found[place]) < np.inf
    allowed = f"{validation.allowed(field)}{', of 64 bits' if wide else ''}"
    cure = f"Make it {allowed}, or keep only points where it is by means of where"
    block.document.complain(doubt.name.path, what, cure)


def _shown(block: BlockBuilder, name: str, axes: Axes, place: int) -> str:
    table = block.table(name)
    assert table is not None
    wide = np.broadcast_to(
        block.space.spread(table.values, table.axes, axes), block.space.shape(axes)
    )
    return canonical_text(wide.flat[place])


def _check(
    block: BlockBuilder, member: PartSpec, check: spec.Check, kept: Selection, tally: Tally
) -> None:
    expression = internal(check.holds)
    if any(name not in block.names or block.table(name) is None for name in expression.names):
        return
    axes, holds = block.evaluate(expression, member.path)
    broken = kept.also([(axes, ~holds)])
    written = [
        block.names[name].path
        for name in expression.names
        if block.names[name].path in block.document.places
    ]
    example = ""
    if broken.count:
        row = next(broken.rows(1))
        place = int(block.space.index(axes, row)[0])
        example = ", ".join(
            f"{name}={_shown(block, name, axes, place)}" for name in expression.names
        )
    tally.add(written[0] if written else member.path, check, broken.count, kept.count, example)


def _repeats(block: BlockBuilder, axis: int, kept: Selection) -> None:
    """Complain where two values of an axis make the same trial."""
    names = [name for name, place in block.axes.items() if place == axis]
    targets = [
        each.setter.field
        if (each := block.names[name]).setter and each.role == "alternative"
        else name
        for name in names
    ]
    tables = [table for name in targets if (table := block.table(name))]
    axes = union([(axis,), *(table.axes for table in tables)])
    shape = block.space.shape(axes)
    block.document.spend(30 * math.prod(shape))
    if any(
        sorted_distinct(block.space.lines(table, axis)) for table in tables if axis in table.axes
    ):
        return
    block.document.spend(400 * math.prod(shape))
    codes = np.zeros(shape, np.int64)
    for table in tables:
        found, inverse = np.unique(canonical(table.values), return_inverse=True)
        codes = codes * len(found) + block.space.spread(inverse, table.axes, axes)
        codes = np.unique(codes, return_inverse=True)[1].reshape(shape)
    codes = np.where(kept.project(axes), codes, -1 - np.arange(codes.size).reshape(shape))
    lines = np.moveaxis(codes, axes.index(axis), -1).reshape(-1, block.space.sizes[axis])
    order = np.argsort(lines, axis=1, kind="stable")
    ascending = np.take_along_axis(lines, order, axis=1)
    twice = np.argwhere(ascending[:, 1:] == ascending[:, :-1])
    if len(twice):
        line, place = twice[0]
        _repeated(block, names, int(order[line, place]), int(order[line, place + 1]))


def _repeated(block: BlockBuilder, names: list[str], first: int, second: int) -> None:
    path = block.names[names[0]].path
    path = (*path, second) if (*path, second) in block.document.places else path
    what = f"values {first + 1} and {second + 1} of {', '.join(names)} make the same trials"
    block.document.complain(path, what, "Take one of them out")
