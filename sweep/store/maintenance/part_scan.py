"""A single part, read completely."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep.errors import StoreError
from sweep.store.maintenance.findings import Span
from sweep.store.parts import bucket_blocks, count_rows, list_parts, part_number, read_rows

UNREADABLE = "cannot be read"


@dataclass(frozen=True)
class PartScan:
    """A part that was read completely: its trials, its metadata, and its own faults."""

    path: Path
    fault: str = ""
    rows: int = 0
    trials: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def span(self) -> Span | None:
        """The part numbers that it claims to cover, None if it does not state them."""
        first = self.metadata.get("first", "")
        last = self.metadata.get("last", first)
        return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else None

    @property
    def is_readable(self) -> bool:
        """Whether the file is an undamaged parquet file."""
        return not self.fault.startswith(UNREADABLE)


def scan_parts(folder: Path, table: str, table_schema: pa.Schema) -> dict[int, PartScan]:
    """Scan all parts of a table of a store, by number."""
    scans = dict[int, PartScan]()
    for path in list_parts(folder, table):
        number = part_number(path.name)
        assert number is not None
        scans[number] = scan_part(path, table_schema)
    return scans


def scan_part(path: Path, table_schema: pa.Schema) -> PartScan:
    """Read all pages of a part and verify their checksums; it needs the columns of the schema."""
    try:
        table, count = read_rows(path), count_rows(path)
        metadata = _decode(table.schema.metadata or {})
        bucket_blocks(metadata)
    except (StoreError, ValueError, pa.ArrowException) as error:
        if not os.path.lexists(path):
            raise StoreError(
                f"{path} vanished while it was read. Run the same command again."
            ) from error
        reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        return PartScan(path, f"{UNREADABLE}: {reason}")
    if table.num_rows != count:
        return PartScan(path, f"{UNREADABLE}: it holds {table.num_rows} rows but declares {count}")
    fault = next(_faults(table, table_schema, path.parent.name), "")
    trials = np.empty(0, np.int64) if fault else np.unique(table["trial"].to_numpy())
    return PartScan(path, fault, table.num_rows, trials, metadata)


def _decode(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    """The metadata of a part as text."""
    # Damaged text must not stop the scan; it then differs from what is expected.
    pairs = metadata.items()
    return {key.decode(errors="replace"): text.decode(errors="replace") for key, text in pairs}


def _faults(table: pa.Table, table_schema: pa.Schema, kind: str) -> Iterator[str]:
    """What is wrong with the columns and the rows of a part."""
    for column in table_schema:
        if table.column_names.count(column.name) != 1:
            yield f"is not a part of the {kind}: it has no column {column.name}"
            continue
        column_type = table.schema.field(column.name).type
        if column_type != column.type:
            yield f"is not a part of the {kind}: {column.name} is {column_type}, not {column.type}"
    keys = [name for name in ("step", "trial") if name in table_schema.names]
    if any(table[name].null_count for name in keys):
        yield f"has rows without a {' or a '.join(keys)}"
    columns = [table[name].to_numpy() for name in keys]
    order = np.lexsort(columns)
    repeats = [column[order][1:] == column[order][:-1] for column in columns]
    is_duplicate = np.logical_and.reduce(repeats)
    if is_duplicate.any():
        yield f"holds trial {columns[-1][order][1:][is_duplicate][0]} twice"
