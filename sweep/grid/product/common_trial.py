"""Finding a trial that two blocks of a union both contain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sweep.grid.product.block import Block
from sweep.grid.product.space import Mask, Selection, Space, Table, canonical


def may_share_trials(first: Block, second: Block) -> bool:
    """Whether two blocks of the same kinds have a value in common in each of their fields."""
    return not any(
        values.isdisjoint(second.value_sets[name]) for name, values in first.value_sets.items()
    )


def find_common_trial(
    first: Block, second: Block, tell: Callable[[int], None]
) -> dict[str, Any] | None:
    """The varied values of a trial that two blocks of the same kinds both contain, or None.

    It is costly; `may_share_trials` excludes most pairs at once.

    Args:
        first: the block whose values are returned.
        second: a block of the same kinds.
        tell: is told the number of values or rows to be compared, before each step.

    Raises:
        TooManyPoints: it cannot be decided with little memory.
    """
    tell(first.table_size + second.table_size)
    candidates = _with_common_values(first, second)
    row = None
    if all(selection.count for selection in candidates):
        row = _first_common_row((first, second), candidates, tell)
    if row is None:
        return None
    varied = [column for column in first.fields if column.table and column.table.axes]
    return {column.name: first.read(column.table, row)[0] for column in varied if column.table}


def _with_common_values(first: Block, second: Block) -> tuple[Selection, Selection]:
    """The rows of each block whose values, field by field, occur in the other block too."""
    second_tables = {column.name: column.table for column in second.fields}
    independent = first.independent_fields & second.independent_fields
    first_masks: list[Mask] = []
    second_masks: list[Mask] = []
    for field in first.id_fields:
        table, second_table = field.table, second_tables[field.name]
        if table and second_table and (table.axes or second_table.axes):
            values = list(first.value_sets[field.name] & second.value_sets[field.name])
            if field.name in independent:
                # No other field depends on it, so one of the common values stands for all.
                values = [min(values)]
            first_masks.append(_value_mask(first.space, table, values))
            second_masks.append(_value_mask(second.space, second_table, values))
    return first.selection.also(first_masks), second.selection.also(second_masks)


def _value_mask(space: Space, table: Table, values: list[Any]) -> Mask:
    """True where a table has one of these values."""
    allowed = np.array(values, table.values.dtype)
    is_allowed = np.isin(canonical(table.values), allowed)
    return table.axes, is_allowed.reshape(space.shape(table.axes))


def _first_common_row(
    blocks: tuple[Block, Block],
    selections: tuple[Selection, Selection],
    tell: Callable[[int], None],
    chunk: int = 1 << 18,
) -> np.ndarray | None:
    """A row of the first block, (1,), whose trial is among the selected rows of the second."""
    (first, second), (first_rows, second_rows) = blocks, selections
    tell(first_rows.count + second_rows.count)
    # In the usual case, two plain products, the first row of the second block is in both.
    ids = second.ids(next(second_rows.rows(1)))[0]
    row = _first_row_of(first, first_rows, ids, chunk)
    if row is None:
        ids = np.concatenate([second.ids(rows)[0] for rows in second_rows.rows(chunk)])
        row = _first_row_of(first, first_rows, ids, chunk)
    return row


def _first_row_of(
    block: Block, selection: Selection, ids: np.ndarray, chunk: int
) -> np.ndarray | None:
    """The first selected row of a block whose trial is one of `ids`, (1,)."""
    for rows in selection.rows(chunk):
        matches = rows[np.isin(block.ids(rows)[0], ids)]
        if len(matches):
            return matches[:1]
    return None
