"""Commands that make a store valid again, and join its parts to fewer files.

A repair moves each faulty part aside together with its curves, and replaces it by an empty part. So
no number is used twice, and the trials of the part are trained again.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sweep import schema
from sweep.errors import StoreError
from sweep.schema import CURVES, MANIFEST_FILE, RUNS
from sweep.store.claims import Claims
from sweep.store.commit_log import publish_curves
from sweep.store.compaction import parts_to_join, rewrite_parts
from sweep.store.directory import Directory
from sweep.store.io_errors import writing_errors
from sweep.store.layout import BROKEN
from sweep.store.maintenance.findings import Finding, Move, Span
from sweep.store.maintenance.scan import StoreHeader, Survey, read_header, survey
from sweep.store.parts import CURVE_ROWS, list_parts, part_name, to_parquet
from sweep.store.swap import CheckAccess, finish_swap


@dataclass(frozen=True)
class RepairReport:
    """The state of a store before a repair, and the new paths of what was moved aside."""

    before: Survey
    moved: tuple[Path, ...]


@dataclass(frozen=True)
class CompactionReport:
    """Number of parts of each table, before and after."""

    before: Mapping[str, int]
    after: Mapping[str, int]


def verify(folder: Path) -> list[Finding]:
    """All faults of a store, with every page read. Raises StoreError if there is no store."""
    return list(survey(Path(folder)).findings)


def repair(folder: Path) -> RepairReport:
    """Move faulty parts aside and replace them by empty ones.

    After a kill at any moment the next repair finishes the work. Raises StoreError if the manifest
    is broken or another process is at work in the store.
    """
    folder = Path(folder)
    header = read_header(folder)
    with _exclusive_access(folder, "repair the store") as (store, _):
        before = survey(folder)
        for finding in before.findings:
            if finding.path == folder / MANIFEST_FILE:
                raise StoreError(str(finding))
        # Not `publish_curves`, which stops at a broken part.
        for number, hidden in before.waiting.items():
            curves = store.folder(CURVES)
            curves.move(hidden.name, curves, part_name(number))
        moved = [path for move in before.moves for path in _carry_out(store, move, header)]
    return RepairReport(before, tuple(moved))


def compact(folder: Path) -> CompactionReport:
    """Join the parts of both tables into few large ones, if that makes them fewer.

    A kill at any moment loses no rows, and the next command that writes to the store finishes or
    undoes the rest. Raises StoreError if a part is faulty or another process is at work in the
    store.
    """
    folder = Path(folder)
    header = read_header(folder)
    with _exclusive_access(folder, "compact the store") as (store, check_access):
        publish_curves(store)
        before = survey(folder)
        for finding in before.findings:
            if finding not in before.beside_parts:
                raise StoreError(str(finding))
        if len(list(parts_to_join(folder))) < before.parts[RUNS]:
            rewrite_parts(store, header.columns, check_access)
        after = {kind: len(list_parts(folder, kind)) for kind in before.parts}
    return CompactionReport(before.parts, after)


@contextmanager
def _exclusive_access(folder: Path, purpose: str) -> Iterator[tuple[Directory, CheckAccess]]:
    """Keep other processes out, and finish or undo rewrites, also after an error."""
    with Claims(folder) as claims, claims.exclusive(purpose), writing_errors(folder):
        store = Directory(folder)
        try:
            finish_swap(store, claims.require_exclusive)
            yield store, claims.require_exclusive
        finally:
            finish_swap(store, claims.require_exclusive)


def _carry_out(store: Directory, move: Move, header: StoreHeader) -> Iterator[Path]:
    """Carry out a move; yields the new paths.

    The curves go first: the next repair finds runs without their curves, while curves without their
    runs would be in the table twice as soon as the trials are trained again.
    """
    name = part_name(move.number)
    curves, runs = store.folder(CURVES, create=True), store.folder(RUNS, create=True)
    if path := _link_aside(store, curves, name):
        curves.remove(name)
        yield path
    if move.curves_only:
        return
    if path := _link_aside(store, runs, name):
        yield path
    if move.span is None:
        runs.remove(name)
        return
    runs.replace(name, _empty_part(move.span, move.why, header))


def _empty_part(span: Span, why: str, header: StoreHeader) -> bytes:
    """A part of the runs without rows, but with all columns.

    Many readers take the columns of the first part for those of all.
    """
    first, last = map(str, span)
    metadata = {"first": first, "last": last, "store": header.store_id, "moved": why}
    metadata[CURVE_ROWS] = "0"
    runs_schema = schema.runs(schema.columns_from_text(header.columns))
    return to_parquet(runs_schema.empty_table(), metadata)


def _link_aside(store: Directory, table: Directory, name: str) -> Path | None:
    """Link a part under an unused name in `broken`; None if there is no such part.

    A folder under the name of a part cannot be linked, nor can the file of another user; they are
    moved. After a kill the number is then missing, which the next repair mends.
    """
    status = table.status(name)
    if status is None:
        return None
    broken = store.folder(BROKEN, create=True)
    store.sync()
    for target in _names_in_broken(f"{table.path.name}-{name}"):
        present = broken.status(target)
        if present is None:
            _put_aside(table, name, broken, target)
            broken.sync()
            return broken.path / target
        if os.path.samestat(present, status):  # an earlier repair was interrupted here
            return broken.path / target
    return None


def _put_aside(table: Directory, name: str, broken: Directory, target: str) -> None:
    """Link a file, or move what cannot be linked, to a new name in `broken`."""
    status = table.status(name)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        # Linux refuses links to files of other users that one cannot write (protected_hardlinks).
        with suppress(PermissionError):
            table.link(name, broken, target)
            return
    table.move(name, broken, target)


def _names_in_broken(name: str) -> Iterator[str]:
    path = Path(name)
    yield name
    for number in itertools.count(1):
        yield f"{path.stem}-{number}{path.suffix}"
