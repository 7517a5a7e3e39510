"""Numbered parts of the two tables, and their encoding as parquet.

Part k of the runs and part k of the curves hold the same trials. A compacted part has the number of
the last part that it contains, and states the first one in its metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.store.atomic_files import reading_errors

_PART_NAME = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True)
class Part:
    """The trials and the metadata of a part of the runs, without its rows."""

    trials: np.ndarray
    metadata: Mapping[str, str]

    @property
    def blocks(self) -> dict[str, int]:
        """By bucket: the number of trials under one vmap in the program that trained its rows."""
        return bucket_blocks(self.metadata)


def bucket_blocks(metadata: Mapping[str, str]) -> dict[str, int]:
    """Trials under one vmap by bucket, from the metadata of a part."""
    return dict(json.loads(metadata.get("buckets", "{}")))


def part_name(number: int) -> str:
    """The file name of part `number`."""
    return f"part-{number:08d}.parquet"


def part_number(path: Path) -> int | None:
    """The number of a part, None for any file that is not a part."""
    match = _PART_NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def numbered_parts(folder: Path) -> dict[int, Path]:
    """The parts of a table by number, ascending."""
    paths = {part_number(path): path for path in sorted(folder.glob("part-*.parquet"))}
    return {number: path for number, path in paths.items() if number is not None}


def list_parts(folder: Path) -> list[Path]:
    """The parts of a table, by ascending number."""
    return list(numbered_parts(folder).values())


def read_part(path: Path) -> Part:
    """Trials and metadata of a part of the runs. Raises StoreError if it is broken."""
    table = read_rows(path, ["trial"])
    metadata = table.schema.metadata or {}
    text = {key.decode(): value.decode() for key, value in metadata.items()}
    return Part(table["trial"].to_numpy(), text)


def read_rows(path: Path, columns: list[str] | None = None) -> pa.Table:
    """All rows of a part, all columns by default, with page checksums verified.

    Raises StoreError with the name of the part if it is broken.
    """
    with reading_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read(columns=columns)
        declared = (table.schema.metadata or {}).get(b"rows", b"")
        # Checksums cover the content of pages, but not how many pages there are.
        if declared.isdigit() and int(declared) != table.num_rows:
            raise ValueError(f"it holds {table.num_rows} rows but declares {int(declared)}")
        return table


def read_part_metadata(path: Path) -> dict[str, str]:
    """The metadata of a part. Raises StoreError with its name if it is broken."""
    with reading_errors(path):
        metadata = pq.read_schema(path).metadata or {}
        return {key.decode(): value.decode() for key, value in metadata.items()}


def count_rows(path: Path) -> int:
    """Rows in a part, 0 if it does not exist. Raises StoreError with its name if it is broken."""
    with reading_errors(path):
        return pq.read_metadata(path).num_rows if path.exists() else 0


def to_parquet(table: pa.Table, metadata: Mapping[str, str]) -> pa.Buffer:
    """Rows sorted by trial and step, as a parquet file with a checksum on each page."""
    keys = [(key, "ascending") for key in ("trial", "step") if key in table.column_names]
    metadata = {**metadata, "rows": str(table.num_rows)}
    ordered = table.combine_chunks().sort_by(keys).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    # Statistics have no checksum, and readers skip rows by them: a flipped bit would hide rows.
    pq.write_table(
        ordered, sink, compression="zstd", write_page_checksum=True, write_statistics=False
    )
    return sink.getvalue()
