"""Numbered parts of the two tables, and their encoding as parquet.

Part k of the runs and part k of the curves hold the same trials. A compacted part has a number
behind those of the parts that it contains, and states the first that it covers in its metadata.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep import schema
from sweep.store.directory import Directory, open_file
from sweep.store.io_errors import reading_errors
from sweep.store.part_digest import DECLARATION, check_digest, insert_digest, is_parquet

MAX_ROWS = 1 << 24
"""More than any part has: a file of a few kilobytes can declare billions of equal rows."""
MOST_PARTS = 10**8
"""Parts that the digits of their names can count."""
CURVE_ROWS = "curve_rows"
"""Key in the metadata of a part of the runs: the rows that its part of the curves has."""
_THREADED_BYTES = 1 << 22
"""Parts of fewer bytes are read by one thread: starting more takes longer."""
_PART_NAME = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True)
class Part:
    """What a part of the runs holds, without its rows.

    Attributes:
        trials: Ids of its trials, int64.
        blocks: By bucket: the number of trials under one vmap in the program that trained its rows.
        store: Id of the store that it was written for, "" if it does not say.
        first: The first of the part numbers that it covers, None if it does not say.
    """

    trials: np.ndarray
    blocks: Mapping[str, int]
    store: str = ""
    first: int | None = None


def bucket_blocks(metadata: Mapping[str, str]) -> dict[str, int]:
    """Trials under one vmap by bucket, from the metadata of a part.

    Raises ValueError if they are not stated as a mapping of numbers.
    """
    try:
        blocks = json.loads(metadata.get("buckets", "{}"))
        return {str(bucket): int(block) for bucket, block in blocks.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("its metadata do not state the sizes of its blocks") from None


def part_name(number: int) -> str:
    """The file name of part `number`."""
    return f"part-{number:08d}.parquet"


def part_number(name: str) -> int | None:
    """The number in the file name of a part, None for any other name."""
    match = _PART_NAME.fullmatch(name)
    return int(match[1]) if match else None


def part_numbers(folder: Directory) -> list[int]:
    """The numbers of the parts in a folder, ascending, without a gap that others have just filled.

    Listing a folder may miss a name that appears meanwhile and show one that appears after it. It
    does not miss what was there before, so the second listing has all parts up to the last of the
    first.
    """
    last = max(_listed_numbers(folder), default=-1)
    return [number for number in _listed_numbers(folder) if number <= last]


def _listed_numbers(folder: Directory) -> list[int]:
    """The numbers of the parts that a folder shows, ascending."""
    numbers = map(part_number, folder.names())
    return [number for number in numbers if number is not None]


def list_parts(folder: Path, table: str) -> list[Path]:
    """The parts of a table of a store, by ascending number; none if it has no such table.

    Raises StoreError if the folder of the table is a link.
    """
    try:
        numbers = part_numbers(Directory(folder).folder(table))
    except FileNotFoundError:
        return []
    return [folder / table / part_name(number) for number in numbers]


def read_part(path: Path) -> Part:
    """Trials and metadata of a part of the runs. Raises StoreError if it is broken."""
    with reading_errors(path), open_file(path) as file:
        return decode_part(file)


def decode_part(file: BinaryIO) -> Part:
    """Trials and metadata of an open part of the runs. Raises ValueError if it is broken."""
    table = _decode_rows(file, ["trial"])
    metadata = table.schema.metadata or {}
    text = {key.decode(): value.decode() for key, value in metadata.items()}
    first = text.get("first", "")
    return Part(
        table["trial"].to_numpy(),
        bucket_blocks(text),
        text.get("store", ""),
        int(first) if first.isdecimal() else None,
    )


def read_rows(
    path: Path, columns: Sequence[str] | None = None, *, dictionaries: bool = False
) -> pa.Table:
    """All rows of a part, with its digest and the checksums of its pages verified.

    Args:
        path: The part.
        columns: Names of the columns to read, all by default.
        dictionaries: Whether columns of text are returned encoded as dictionaries, as stored.

    Raises:
        StoreError: The part is broken.
    """
    with reading_errors(path), open_file(path) as file:
        return _decode_rows(file, columns, dictionaries)


def _decode_rows(
    file: BinaryIO, columns: Sequence[str] | None = None, dictionaries: bool = False
) -> pa.Table:
    content = _read_whole(file)
    has_digest = check_digest(content)
    text = _text_columns(content) if dictionaries else None
    source = pa.BufferReader(content)
    with pq.ParquetFile(source, page_checksum_verification=True, read_dictionary=text) as part:
        if part.metadata.num_rows > MAX_ROWS:
            raise ValueError(f"it declares {part.metadata.num_rows:,} rows, too many for a part")
        table = part.read(columns=columns, use_threads=len(content) > _THREADED_BYTES)
    _require_columns(table, columns or ())
    metadata = table.schema.metadata or {}
    if DECLARATION.encode() in metadata and not has_digest:
        raise ValueError("it has lost its digest")
    declared = metadata.get(b"rows", b"")
    # Checksums cover the content of pages, but not how many pages there are.
    if declared.isdigit() and int(declared) != table.num_rows:
        raise ValueError(f"it holds {table.num_rows} rows but declares {int(declared)}")
    return table


def _require_columns(table: pa.Table, columns: Sequence[str]) -> None:
    """Raise ValueError unless a table has these columns, with the types that a sweep writes."""
    expected = schema.runs({})
    for name in columns:
        if name not in table.column_names:
            raise ValueError(f"it has no column {name}")
        found = table.schema.field(name).type
        if name in expected.names and found != expected.field(name).type:
            raise ValueError(f"its column {name} is {found}, not {expected.field(name).type}")
        if name == "trial" and table[name].null_count:
            raise ValueError("it has rows without a trial")


def _read_whole(file: BinaryIO) -> bytes:
    """The content of a parquet file, of which the ends are looked at first."""
    start = file.read(8)
    file.seek(max(file.seek(0, os.SEEK_END) - 8, 0))
    if not is_parquet(start, file.read(8)):
        raise ValueError("it is not a parquet file")
    file.seek(0)
    return file.read()


def _text_columns(content: bytes) -> list[str]:
    fields = pq.read_schema(pa.BufferReader(content))
    return [field.name for field in fields if pa.types.is_string(field.type)]


def read_part_metadata(path: Path) -> dict[str, str]:
    """The metadata of a part. Raises StoreError with its name if it is broken."""
    with reading_errors(path), open_file(path) as file:
        metadata = pq.read_schema(file).metadata or {}
        return {key.decode(): value.decode() for key, value in metadata.items()}


def count_rows(path: Path) -> int:
    """Rows in a part, 0 if it does not exist. Raises StoreError with its name if it is broken."""
    if not os.path.lexists(path):
        return 0
    with reading_errors(path), open_file(path) as file:
        return pq.read_metadata(file).num_rows


def to_parquet(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """Rows sorted by trial and step, as a parquet file with checksums of its pages and a digest."""
    keys = [(key, "ascending") for key in ("trial", "step") if key in table.column_names]
    metadata = {**metadata, "rows": str(table.num_rows), DECLARATION: "blake2b"}
    ordered = table.combine_chunks().sort_by(keys).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    # Statistics have no checksum, and readers skip rows by them: a flipped bit would hide rows.
    pq.write_table(
        ordered, sink, compression="zstd", write_page_checksum=True, write_statistics=False
    )
    return insert_digest(sink.getvalue())
