"""Rewrites all parts of both tables into fewer, larger ones, in folders that replace the old ones.

The new folders are complete when the file `_swap` appears, which states the last part number that
they cover. A kill before that leaves the old folders; after it, `finish_swap` completes the
replacement. No other process may use the store meanwhile (`Claims.exclusive`), but one that was
taken for dead may wake up: what it commits to an old folder is carried over until the path leads to
the new one, and from then on the process finds that its folder is not the store's any more.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from sweep import schema
from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store.directory import Directory
from sweep.store.io_errors import reading_errors
from sweep.store.layout import SWAP, TABLES, TEMPORARY, replaced_folder, rewritten_folder
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

CheckAccess = Callable[[], None]
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
    groups = list(parts_to_join(folder.path))
    schemas = schema.tables(columns) if columns else dict.fromkeys(TABLES)
    for kind in TABLES:
        new_folder = folder.folder(rewritten_folder(kind), create=True)
        for group in groups:
            _join(folder.path / kind, new_folder, group, schemas[kind])
        new_folder.sync()
    last = groups[-1][-1] if groups else -1
    check_access()
    folder.write_once(SWAP, str(last).encode())
    finish_swap(folder, check_access)
    return len(groups)


def is_unfinished(folder: Directory) -> bool:
    """Whether a rewrite is under way or was interrupted."""
    names = (SWAP, *(name(kind) for kind in TABLES for name in (rewritten_folder, replaced_folder)))
    return any(folder.status(name) for name in names)


def finish_swap(folder: Directory, check_access: CheckAccess = lambda: None) -> None:
    """Complete or undo a rewrite that was interrupted. It needs exclusive access.

    Raises StoreError if one of its folders is a link or holds files that are not its own.
    """
    if folder.status(SWAP):
        last = _last_number(folder)
        for kind in TABLES:
            check_access()
            _swap(folder, kind, last)
        check_access()
        folder.remove(SWAP)
        folder.sync()
    for kind in TABLES:
        check_access()
        _discard(folder, rewritten_folder(kind))
        _restore(folder, kind)


def _last_number(folder: Directory) -> int | None:
    """The last part number that the new folders cover, None if an earlier version wrote them."""
    with reading_errors(folder.path / SWAP, "Move it away"), folder.open(SWAP) as file:
        text = file.read(32).decode()
    return int(text) if re.fullmatch(r"-1|\d{1,8}", text) else None


def _swap(folder: Directory, kind: str, last: int | None) -> None:
    """Put the new folder in place of the table and remove the old one."""
    if folder.status(rewritten_folder(kind)):
        new_folder = folder.folder(rewritten_folder(kind))
        if folder.status(kind):
            folder.folder(kind)  # refuses a link
            folder.move(kind, folder, replaced_folder(kind))
        if folder.status(replaced_folder(kind)):
            _carry_late_parts(folder.folder(replaced_folder(kind)), new_folder, last)
        try:
            folder.move(rewritten_folder(kind), folder, kind)
        except FileNotFoundError:
            # Another process took this one for dead, and has put the new folder in place before.
            _restore(folder, kind)
            raise
        folder.sync()
    if folder.status(replaced_folder(kind)):
        _remove_old(folder, kind, last)


def _restore(folder: Directory, kind: str) -> None:
    """Put the old folder of a table back if nothing has taken its place."""
    if folder.status(replaced_folder(kind)) and not folder.status(kind):
        folder.folder(replaced_folder(kind))  # refuses a link
        folder.move(replaced_folder(kind), folder, kind)
        folder.sync()


def _require_absent(folder: Directory, name: str) -> None:
    if folder.status(name):
        raise StoreError(
            f"{folder.path / name} is left of a compaction that was overtaken, or not of this "
            "program. Move it elsewhere."
        )


def _carry_late_parts(old: Directory, new: Directory, last: int | None) -> None:
    """Link the parts that a process committed after the rewrite had listed them."""
    for number in part_numbers(old):
        if last is not None and number > last:
            old.link(part_name(number), new, part_name(number))


def _remove_old(folder: Directory, kind: str, last: int | None) -> None:
    """Remove the old folder of a table once nothing is in it but what the new one covers."""
    old, table = folder.folder(replaced_folder(kind)), folder.folder(kind)
    for _ in range(100):  # a process that wakes up may add a file between the two calls
        _carry_late_parts(old, table, last)
        for name in old.names():
            if old.is_file(name) and part_number(name) is not None:
                old.remove(name)
            else:  # also hidden curves, which committed runs may name
                with suppress(FileNotFoundError):
                    old.move(name, table, name)
        try:
            return folder.remove_folder(replaced_folder(kind))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise StoreError(
        f"{old.path} cannot be emptied: another process writes to it. Try again later."
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


def _join(old: Path, new: Directory, group: list[int], table_schema: pa.Schema | None) -> None:
    """Write the parts of a group as a single one."""
    candidates = [old / part_name(number) for number in group]
    paths = [path for path in candidates if os.path.lexists(path)]
    if not paths:
        return
    metadata = _joint_metadata([read_part_metadata(path) for path in paths])
    metadata["last"] = str(group[-1])
    tables = [read_rows(path) for path in paths]
    with reading_errors(paths[0]):
        table = pa.concat_tables(tables, promote_options="permissive")
        content = to_parquet(widen_table(table, table_schema), metadata)
    new.move(new.write_temporary(content), new, part_name(group[-1]))


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


def _discard(folder: Directory, name: str) -> None:
    """Remove a folder that an interrupted rewrite left, if it exists."""
    if not folder.status(name):
        return
    leftover = folder.folder(name)
    foreign = [each for each in leftover.names() if not _is_of_rewrite(leftover, each)]
    if foreign:
        raise StoreError(
            f"{leftover.path} holds {foreign[0]}, which is not of this program. Move it elsewhere."
        )
    for each in leftover.names():
        leftover.remove(each)
    with suppress(FileNotFoundError):  # another process may do the same
        folder.remove_folder(name)


def _is_of_rewrite(folder: Directory, name: str) -> bool:
    """Whether a name is that of a part or of a temporary file, which may be deleted."""
    is_part = part_number(name) is not None or name.startswith(TEMPORARY)
    return is_part and folder.is_file(name)
