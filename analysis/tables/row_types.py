"""Whether a table has the columns of a sweep, so that nothing later has to expect any other."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS, curves, runs

MAX_TEXT = 1_000
"""Most characters of a text in a table; a name of more fills pages and figures."""

REQUIRED = {
    RUNS: ("trial", "problem", "optimizer", "seed", "status", "steps"),
    CURVES: ("trial", "step"),
}
"""Columns that have a value in every row."""


def check_types(table: pa.Table, name: str, path: Path) -> None:
    """Raises StoreError where a part has a column that no sweep writes.

    Args:
        table: The rows of the part.
        name: The table that it is a part of, `runs` or `curves`.
        path: The part.
    """
    known = _layout(name)
    for field in table.schema:
        if not _fits(field, known):
            expected = known.field(field.name).type if field.name in known.names else "plain values"
            raise _foreign(
                path, f"the column {field.name[:100]!r} holds {field.type}, not {expected}"
            )
        if _has_long_texts(table[field.name]):
            what = (
                f"the column {field.name[:100]!r} holds a text of more than {MAX_TEXT} characters"
            )
            raise _foreign(path, what)
    if len(set(table.column_names)) < len(table.column_names):
        raise _foreign(path, "two of its columns have one name")
    for column in REQUIRED[name]:
        if column not in table.column_names or table[column].null_count:
            raise _foreign(path, f"the column {column!r} is missing, or has no value in some row")


def with_all_columns(table: pa.Table, name: str) -> pa.Table:
    """The table with the columns that every sweep has, without values where it lacks them."""
    for field in _layout(name):
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def _layout(name: str) -> pa.Schema:
    return curves() if name == CURVES else runs({})


def _fits(field: pa.Field, known: pa.Schema) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if pa.types.is_null(kind):
        return True
    if field.name not in known.names:
        return is_text or is_number or pa.types.is_boolean(kind)
    expected = known.field(field.name).type
    if pa.types.is_string(expected):
        return is_text
    return pa.types.is_integer(kind) if pa.types.is_integer(expected) else is_number


def _has_long_texts(column: pa.ChunkedArray) -> bool:
    chunks = [chunk for chunk in column.chunks if isinstance(chunk, pa.DictionaryArray)]
    words = [word for chunk in chunks for word in chunk.dictionary.to_pylist()]
    return any(len(word) > MAX_TEXT for word in words if word is not None)


def _foreign(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{path} is no part of a sweep: {what}. Move it out of the folder, or restore the part "
        "that the sweep wrote."
    )
