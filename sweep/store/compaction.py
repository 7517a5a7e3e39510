"""Rewrites all parts of both tables into fewer, larger ones, in folders that replace the old ones.

The new folders are complete when the file `_swap` appears. A kill before that leaves the old
folders; after it, `finish_swap` completes the replacement. No other process may use the store
meanwhile: `Claims.exclusive`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from sweep import schema
from sweep.schema import CURVES, RUNS
from sweep.store.atomic_files import is_abandoned, sync_folder, temporary_path, write_once
from sweep.store.layout import SWAP, TABLES, is_being_compacted
from sweep.store.parts import (
    bucket_blocks,
    count_rows,
    numbered_parts,
    part_name,
    part_number,
    read_part_metadata,
    read_rows,
    to_parquet,
)

ROWS = 1 << 20
"""Largest number of rows, of both tables together, of a part that several were joined to."""


def rewrite_parts(folder: Path, columns: Mapping[str, str]) -> int:
    """Join parts into larger ones; returns the new number of parts of the runs.

    Args:
        folder: The folder of the store.
        columns: Types of the columns of the runs by name, as in the manifest; new ones become null.
    """
    groups = list(parts_to_join(folder))
    schemas = schema.tables(columns) if columns else dict.fromkeys(TABLES)
    for kind in TABLES:
        new_folder = folder / f"_new-{kind}"
        new_folder.mkdir()
        for group in groups:
            _join(folder / kind, new_folder, group, schemas[kind])
        sync_folder(new_folder)
    write_once(folder / SWAP, b"")
    finish_swap(folder)
    return len(groups)


def finish_swap(folder: Path) -> None:
    """Complete or undo a rewrite that was interrupted."""
    if is_being_compacted(folder):
        for kind in TABLES:
            _swap(folder / kind, folder / f"_new-{kind}", folder / f"_old-{kind}")
        (folder / SWAP).unlink()
        sync_folder(folder)
    for kind in TABLES:
        _remove(folder / f"_new-{kind}")


def _swap(table: Path, new: Path, old: Path) -> None:
    """Put the new folder in place of the table and remove the old one."""
    if new.exists():
        if table.exists():
            os.rename(table, old)
        os.rename(new, table)
        sync_folder(table.parent)
    if old.exists():
        _move_foreign_files(old, table)
        _remove(old)


def parts_to_join(folder: Path) -> Iterator[list[int]]:
    """Groups of part numbers that a rewrite joins.

    Parts whose rows of one bucket were trained with different block sizes stay apart, since a part
    states one block size for each bucket.
    """
    group, size, blocks = [], 0, dict[str, int]()
    for number, path in numbered_parts(folder / RUNS).items():
        rows = sum(count_rows(folder / kind / path.name) for kind in (RUNS, CURVES))
        part_blocks = bucket_blocks(read_part_metadata(path))
        conflict = {**part_blocks, **blocks} != {**blocks, **part_blocks}
        if group and (size + rows > ROWS or conflict):
            yield group
            group, size, blocks = [], 0, {}
        group, size, blocks = [*group, number], size + rows, blocks | part_blocks
    if group:
        yield group


def _join(old: Path, new: Path, group: list[int], table_schema: pa.Schema | None) -> None:
    """Write the parts of a group as a single one."""
    candidates = [old / part_name(number) for number in group]
    paths = [path for path in candidates if path.exists()]
    if not paths:
        return
    metadata = _joint_metadata([read_part_metadata(path) for path in paths])
    metadata["last"] = str(group[-1])
    table = pa.concat_tables([read_rows(path) for path in paths], promote_options="permissive")
    content = to_parquet(widen_table(table, table_schema), metadata)
    os.rename(temporary_path(new, content), new / part_name(group[-1]))


def widen_table(table: pa.Table, table_schema: pa.Schema | None) -> pa.Table:
    """The columns of a schema, null where the table lacks them, followed by its remaining ones."""
    if table_schema is None:
        return table
    extra = [field for field in table.schema if field.name not in table_schema.names]
    wide_schema = pa.schema([*table_schema, *extra])
    columns = []
    for field in wide_schema:
        is_present = field.name in table.column_names
        columns.append(table[field.name] if is_present else pa.nulls(table.num_rows, field.type))
    return pa.table(columns, schema=wide_schema)


def _joint_metadata(metadata_list: list[dict[str, str]]) -> dict[str, str]:
    """Metadata of a joined part.

    The latest value of each key, but the number of the first part, the smallest block size of each
    bucket and the largest number of trials.
    """
    blocks, joint = dict[str, int](), dict[str, str]()
    for metadata in metadata_list:
        joint |= metadata
        for bucket, block in bucket_blocks(metadata).items():
            blocks[bucket] = min(block, blocks.get(bucket, block))
    curves = [metadata["curves"] for metadata in metadata_list if metadata.get("curves")]
    joint["first"] = metadata_list[0]["first"]
    joint["buckets"] = json.dumps(blocks, sort_keys=True)
    joint["curves"] = curves[0] if curves else ""
    trial_counts = [metadata.get("trials", "") for metadata in metadata_list]
    trials = max((int(count) for count in trial_counts if count.isdigit()), default=0)
    if trials:
        joint["trials"] = str(trials)
    joint.pop("moved", None)
    return joint


def _move_foreign_files(old: Path, folder: Path) -> None:
    """Move files that are not the store's to the new folder."""
    for path in old.iterdir():
        if part_number(path) is None and not is_abandoned(path):
            with suppress(FileNotFoundError):
                os.rename(path, folder / path.name)


def _remove(folder: Path) -> None:
    """Remove a folder created by `rewrite_parts`, if it exists."""
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
