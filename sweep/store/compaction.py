"""All parts of both tables written anew, fewer and larger, in folders that take the place of the old ones.

The new folders are complete when the file `_swap` appears. A kill before that leaves the old ones, a kill after it is
made good by `finish_swap`. Nobody else may be at work in the store: `Claims.alone`.
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
from sweep.store import parts
from sweep.store.atomic_files import is_abandoned, sync_folder, temporary_path, write_once

TABLES = (CURVES, RUNS)
SWAP_FOLDERS = "_swap"
ROWS = 1 << 20
"""Rows of both tables together that a part grows to."""


def rewrite_parts(folder: Path, columns: Mapping[str, str]) -> int:
    """Join parts to larger ones, with the columns of the manifest; how many parts of the runs there are then."""
    joined = list(parts_to_join(folder))
    fields = schema.columns_from_text(columns)
    wanted = {RUNS: schema.runs(fields), CURVES: schema.curves(fields)} if columns else dict.fromkeys(TABLES)
    for kind in TABLES:
        fresh = folder / f"_new-{kind}"
        fresh.mkdir()
        for group in joined:
            _join(folder / kind, fresh, group, wanted[kind])
        sync_folder(fresh)
    write_once(folder / SWAP_FOLDERS, b"")
    finish_swap(folder)
    return len(joined)


def finish_swap(folder: Path) -> None:
    """Finish or undo a rewriting that was cut off."""
    if (folder / SWAP_FOLDERS).exists():
        for kind in TABLES:
            _swap(folder / kind, folder / f"_new-{kind}", folder / f"_old-{kind}")
        (folder / SWAP_FOLDERS).unlink()
        sync_folder(folder)
    for kind in TABLES:
        _remove(folder / f"_new-{kind}")


def _swap(table: Path, fresh: Path, old: Path) -> None:
    """The fresh folder under the name of the table, and the old one gone."""
    if fresh.exists():
        if table.exists():
            os.rename(table, old)
        os.rename(fresh, table)
        sync_folder(table.parent)
    if old.exists():
        _keep_foreign(old, table)
        _remove(old)


def parts_to_join(folder: Path) -> Iterator[list[int]]:
    """Numbers of the parts that a rewriting joins.

    A part of the runs and that of the curves stay together, and parts stay apart whose rows of one bucket were trained
    in other blocks: a part says one block of each.
    """
    group, size, blocks = [], 0, dict[str, int]()
    for path in parts.listed(folder / RUNS):
        number = parts.number(path)
        assert number is not None
        more = sum(parts.count(folder / kind / path.name) for kind in (RUNS, CURVES))
        own = json.loads(parts.metadata(path).get("buckets", "{}"))
        if group and (size + more > ROWS or {**own, **blocks} != {**blocks, **own}):
            yield group
            group, size, blocks = [], 0, {}
        group, size, blocks = [*group, number], size + more, blocks | own
    if group:
        yield group


def _join(old: Path, new: Path, group: list[int], wanted: pa.Schema | None) -> None:
    """Write the parts of a group as one."""
    paths = [path for number in group if (path := old / parts.name(number)).exists()]
    if not paths:
        return
    said = [parts.metadata(path) for path in paths]
    table = pa.concat_tables([parts.rows(path) for path in paths], promote_options="permissive")
    words = {**_summary(said), "last": str(group[-1])}
    made = temporary_path(new, parts.parquet(widen_table(table, wanted), words))
    os.rename(made, new / parts.name(group[-1]))


def widen_table(table: pa.Table, wanted: pa.Schema | None) -> pa.Table:
    """The table with the columns of a schema, null where it lacks them, and then its others."""
    if wanted is None:
        return table
    others = [field for field in table.schema if field.name not in wanted.names]
    found = pa.schema([*wanted, *others])
    columns = [table[f.name] if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in found]
    return pa.table(columns, schema=found)


def _summary(said: list[dict[str, str]]) -> dict[str, str]:
    """What the joined part says: the last word on everything, its first number, the smallest block of each bucket."""
    blocks, words = dict[str, int](), dict[str, str]()
    for each in said:
        words |= each
        for bucket, block in json.loads(each.get("buckets", "{}")).items():
            blocks[bucket] = min(block, blocks.get(bucket, block))
    curves = next((each["curves"] for each in said if each.get("curves")), "")
    trials = max((int(each["trials"]) for each in said if each.get("trials", "").isdigit()), default=0)
    words |= {"first": said[0]["first"], "buckets": json.dumps(blocks, sort_keys=True), "curves": curves}
    words |= {"trials": str(trials)} if trials else {}
    return {key: word for key, word in words.items() if key != "moved"}


def _keep_foreign(old: Path, folder: Path) -> None:
    """What is not ours goes on to the new folder."""
    for path in old.iterdir():
        if parts.number(path) is None and not is_abandoned(path):
            with suppress(FileNotFoundError):
                os.rename(path, folder / path.name)


def _remove(folder: Path) -> None:
    """Remove a folder that this file made, if there is one."""
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
