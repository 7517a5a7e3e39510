"""What a store holds beside the trials of the grid that is run: rows of earlier, edited grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sweep.grid import Grid
from sweep.grid.product.space import canonical
from sweep.schema import KINDS, ROUND_FILES, RUNS
from sweep.store import Store, list_parts, read_rows


def describe_older_rows(grid: Grid, store: Store) -> str:
    """A sentence on the rows of an open store that the grid does not have; "" if there are none.

    Args:
        grid: the grid that is run.
        store: the store, which has been opened with the grid.
    """
    if len(store.grids()) < 2 or any(store.folder.glob(ROUND_FILES)):
        return ""
    ids = [block.ids(rows)[0] for block in grid.blocks for rows in block.rows()]
    older = np.setdiff1d(store.done(), np.concatenate(ids))
    if not len(older):
        return ""
    names = ", ".join(_differing_fields(grid, store, older)) or "the combination of their values"
    rows = "1 older row differs" if len(older) == 1 else f"{len(older):,} older rows differ"
    return (
        f"{rows} in {names} from this grid. Nothing is removed from {store.folder}; analyses take "
        "the rows of this grid alone unless --all-grids asks for the rest."
    )


def _differing_fields(grid: Grid, store: Store, older: np.ndarray) -> list[str]:
    """The fields of which older rows have values that the grid has nowhere."""
    known = _values(grid)
    differing: set[str] = set()
    for path in list_parts(store.folder, RUNS):
        # Columns of text as dictionaries are small, however many rows there are.
        rows = read_rows(path, dictionaries=True)
        rows = rows.filter(pa.array(np.isin(rows["trial"].to_numpy(), older)))
        for name, (column, values) in known.items():
            if column in rows.column_names and not _plain(rows[column]) <= values:
                differing.add(name)
    return [name for name in known if name in differing]


def _values(grid: Grid) -> dict[str, tuple[str, set[Any]]]:
    """Each field of a grid with its column and all its values, None where a block lacks it."""
    columns: dict[str, str] = {name: name for name in KINDS}
    blocks: list[dict[str, set[Any]]] = []
    for block in grid.blocks:
        columns |= {field.name: field.column for field in block.id_fields}
        kinds = {name: {kind} for name, kind in block.kinds.items() if name in KINDS}
        blocks.append({**kinds, **block.value_sets})
    absent: set[Any] = {None}
    return {
        name: (column, set().union(*(values.get(name, absent) for values in blocks)))
        for name, column in columns.items()
    }


def _plain(column: pa.ChunkedArray) -> set[Any]:
    """The values of a column as the values of a grid are compared."""
    values = column.unique().to_pylist()
    present = np.array([value for value in values if value is not None])
    plain = set(canonical(present).tolist()) if present.dtype.kind in "iuf" else {*present.tolist()}
    return plain | ({None} if None in values else set())
