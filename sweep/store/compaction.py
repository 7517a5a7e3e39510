"""Rewrites all parts of both tables into fewer, larger ones, in folders that replace the old ones.

The new folders are complete when the file `_swap` appears, which states the last part number that
they cover. A kill before that leaves the old folders; after it, `swap` completes the replacement.

A joined part has a name that no old part has: who listed the old folder and reads part by part gets
an error, not some rows twice. So that nobody else takes the name, empty parts have it in the old
folder right before the swap.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from sweep import schema
from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store.directory import Directory
from sweep.store.io_errors import reading_errors
from sweep.store.layout import SWAP, TABLES, replaced_folder, rewritten_folder
from sweep.store.manifest_file import record_parts
from sweep.store.parts import (
    CURVE_ROWS,
    bucket_blocks,
    count_rows,
    list_parts,
    part_name,
    part_number,
    part_numbers,
    read_part_metadata,
    read_rows,
    to_parquet,
)
from sweep.store.swap import CheckAccess, discard, finish_swap

ROWS = 1 << 20
"""Largest number of rows, of both tables together, of a part that several were joined to."""


def rewrite_parts(
    folder: Directory, columns: Mapping[str, str], check_access: CheckAccess = lambda: None
) -> int:
    """Join parts into larger ones; returns the new number of parts of the runs.

    Args:
        folder: The folder of the store.
        columns: Types of the columns of the runs by name, as in the manifest; new ones become null.
        check_access: Raises StoreError if others have taken this process for dead; called before
            each step that they would suffer from.

    Raises:
        StoreError: A part is broken, or a folder of an earlier rewrite is in the way.
    """
    for kind in TABLES:
        _require_absent(folder, replaced_folder(kind))
    while True:
        groups = list(parts_to_join(folder.path))
        numbers = _new_numbers(groups)
        _write_joined(folder, dict(zip(numbers, groups, strict=True)), columns)
        check_access()
        if _reserve(folder, numbers):
            break
        # A process woke up and committed a part that is in no group.
        for kind in TABLES:
            discard(folder, rewritten_folder(kind))
    last = numbers[-1] if numbers else -1
    record_parts(folder, last + 1)
    check_access()
    folder.write_once(SWAP, str(last).encode())
    if fault := finish_swap(folder, check_access):
        raise StoreError(f"{folder.path} was not rewritten, as {fault}. Check the disk.")
    return len(groups)


def _new_numbers(groups: list[list[int]]) -> list[int]:
    """A number for the joined part of each group, behind those of all parts."""
    first = groups[-1][-1] + 1 if groups else 0
    return list(range(first, first + len(groups)))


def _write_joined(
    folder: Directory, groups: Mapping[int, list[int]], columns: Mapping[str, str]
) -> None:
    """Write the joined part of each group, by its number, to the new folders of both tables."""
    schemas = schema.tables(columns) if columns else dict.fromkeys(TABLES)
    for kind in TABLES:
        new_folder = folder.folder(rewritten_folder(kind), create=True)
        for number, group in groups.items():
            # The first joined part covers all old numbers, whatever group their parts are in.
            first = None if number == min(groups) else number
            _join(folder.path / kind, new_folder, group, (first, number), schemas[kind])
        new_folder.sync()


def _reserve(folder: Directory, numbers: list[int]) -> bool:
    """Give some numbers to empty parts of the old runs; False if another process took one."""
    if not numbers:
        return True
    runs = folder.folder(RUNS)
    newest = runs.path / part_name(part_numbers(runs)[-1])
    empty = read_rows(newest).slice(0, 0)
    kept = {"store": read_part_metadata(newest).get("store", ""), CURVE_ROWS: "0"}
    return all(
        runs.write_once(part_name(number), to_parquet(empty, {"first": str(number), **kept}))
        for number in numbers
    )


def _require_absent(folder: Directory, name: str) -> None:
    if folder.status(name):
        raise StoreError(
            f"{folder.path / name} is left of a compaction that was overtaken, or not of this "
            "program. Move it elsewhere."
        )


def parts_to_join(folder: Path) -> Iterator[list[int]]:
    """Groups of part numbers that a rewrite joins.

    Parts whose rows of one bucket were trained with different block sizes stay apart, since a part
    states one block size for each bucket.
    """
    group, size, blocks = [], 0, dict[str, int]()
    for path in list_parts(folder, RUNS):
        number = part_number(path.name)
        rows = sum(count_rows(folder / kind / path.name) for kind in (RUNS, CURVES))
        with reading_errors(path):
            part_blocks = bucket_blocks(read_part_metadata(path))
        conflict = {**part_blocks, **blocks} != {**blocks, **part_blocks}
        if group and (size + rows > ROWS or conflict):
            yield group
            group, size, blocks = [], 0, {}
        group, size, blocks = [*group, number], size + rows, blocks | part_blocks
    if group:
        yield group


def _join(
    old: Path,
    new: Directory,
    group: list[int],
    span: tuple[int | None, int],
    table_schema: pa.Schema | None,
) -> None:
    """Write the parts of a group as one that covers a span, from its own first where that is None."""
    candidates = [old / part_name(number) for number in group]
    paths = [path for path in candidates if os.path.lexists(path)]
    if not paths:
        return
    metadata = _joint_metadata([read_part_metadata(path) for path in paths])
    first, number = span
    metadata |= {"last": str(number)} | ({} if first is None else {"first": str(first)})
    tables = [read_rows(path) for path in paths]
    with reading_errors(paths[0]):
        table = pa.concat_tables(tables, promote_options="permissive")
        content = to_parquet(widen_table(table, table_schema), metadata)
    new.move(new.write_temporary(content), new, part_name(number))


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
    counts = [metadata.get(CURVE_ROWS, "") for metadata in metadata_list]
    # A part of version 0.2 does not say.
    if all(counts):
        joint[CURVE_ROWS] = str(sum(map(int, counts)))
    else:
        joint.pop(CURVE_ROWS, None)
    return joint
