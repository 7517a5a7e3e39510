"""Numbered parts of the two tables, and how they become parquet.

Part k of the runs and part k of the curves hold the same trials. A compacted part has the number of the last part that
it holds and says in its metadata which was the `first`.
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

_NAME = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True)
class Part:
    """What a part of the runs says without its rows: its trials and its metadata."""

    trials: np.ndarray
    metadata: Mapping[str, str]

    @property
    def blocks(self) -> dict[str, int]:
        """Trials under one vmap in the programs of its rows, by bucket."""
        return dict(json.loads(self.metadata.get("buckets", "{}")))


def name(number: int) -> str:
    """The file name of part `number`."""
    return f"part-{number:08d}.parquet"


def number(path: Path) -> int | None:
    """The number of a part, None where the file is none."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def listed(folder: Path) -> list[Path]:
    """The parts of a table, by number."""
    return sorted(path for path in folder.glob("part-*.parquet") if number(path) is not None)


def read(path: Path) -> Part:
    """Trials and metadata of a part of the runs. Raises StoreError with its name where it is broken."""
    table = rows(path, ["trial"])
    found = table.schema.metadata or {}
    return Part(table["trial"].to_numpy(), {key.decode(): value.decode() for key, value in found.items()})


def rows(path: Path, columns: list[str] | None = None) -> pa.Table:
    """All rows of a part, or some columns, pages checked. Raises StoreError with its name where it is broken."""
    with reading_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read(columns=columns)
        said = (table.schema.metadata or {}).get(b"rows", b"")
        if said.isdigit() and int(said) != table.num_rows:  # no checksum covers how many pages there are
            raise ValueError(f"it holds {table.num_rows} rows and says {int(said)}")
        return table


def metadata(path: Path) -> dict[str, str]:
    """What a part says of itself. Raises StoreError with its name where it is broken."""
    with reading_errors(path):
        found = pq.read_schema(path).metadata or {}
        return {key.decode(): value.decode() for key, value in found.items()}


def count(path: Path) -> int:
    """How many rows a part has, 0 where there is no such part. Raises StoreError with its name where it is broken."""
    with reading_errors(path):
        return pq.read_metadata(path).num_rows if path.exists() else 0


def parquet(table: pa.Table, metadata: Mapping[str, str]) -> pa.Buffer:
    """The rows of a table, ascending by trial and step, as a parquet file with a checksum on each page."""
    keys = [(key, "ascending") for key in ("trial", "step") if key in table.column_names]
    said = {**metadata, "rows": str(table.num_rows)}
    ordered = table.combine_chunks().sort_by(keys).replace_schema_metadata(said)
    sink = pa.BufferOutputStream()
    # No checksum covers statistics, and readers leave out rows by them.
    pq.write_table(ordered, sink, compression="zstd", write_page_checksum=True, write_statistics=False)
    return sink.getvalue()
