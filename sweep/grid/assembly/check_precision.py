"""Detects values that float32 cannot hold: the row of a trial would show another than was used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweep.grid.assembly.builder import BlockBuilder
from sweep.grid.fields.values import GivenValues
from sweep.grid.product.block import Block, Column
from sweep.grid.product.hashing import canonical_text
from sweep.grid.product.space import Table

LIMITS = np.finfo(np.float32)
"""XLA computes with 0 in place of numbers below the smallest normal one, so that one counts."""


def check_precision(built: Sequence[tuple[BlockBuilder, Block]]) -> None:
    """Report the first kept value of each swept field that is infinite or 0 in float32.

    Static fields are compiled in as Python numbers.
    """
    for builder, block in built:
        for column in block.fields:
            if column.role == "lane" and column.table and column.table.values.dtype.kind == "f":
                _check(builder, block, column, column.table)


def _check(builder: BlockBuilder, block: Block, column: Column, table: Table) -> None:
    sizes = np.abs(table.values)
    lost = (sizes > LIMITS.max) | ((sizes < LIMITS.tiny) & (sizes > 0))
    if not lost.any():
        return
    positions = np.flatnonzero(lost & block.selection.project(table.axes).ravel())
    if not len(positions):
        return
    position, symbol = int(positions[0]), builder.names[column.name]
    in_list = (*symbol.path, position)
    is_listed = isinstance(symbol.source, GivenValues) and in_list in builder.document.positions
    becomes = "infinite" if sizes[position] > LIMITS.max else "0"
    what = f"{column.name} = {canonical_text(table.values[position])} is {becomes} in float32"
    cure = "Train with --dtype float64, or take another value"
    builder.document.add_error(in_list if is_listed else symbol.path, what, cure)
