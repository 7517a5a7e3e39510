"""A whole store, read page by page while other processes may use it. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep import schema
from sweep.errors import StoreError
from sweep.schema import CURVES, MANIFEST_FILE, RUNS
from sweep.store.directory import Directory
from sweep.store.io_errors import reading_errors
from sweep.store.kept_grids import damaged_grids, lost_grids
from sweep.store.layout import is_being_compacted, replaced_folder
from sweep.store.maintenance.diagnosis import Diagnosis
from sweep.store.maintenance.findings import Finding, Move
from sweep.store.maintenance.part_scan import PartScan, scan_part, scan_parts
from sweep.store.manifest_file import PARTS, read_manifest
from sweep.store.parts import MOST_PARTS, part_name, part_number
from sweep.store.swap import last_number
from sweep.store.swap_check import find_fault

_RESTORE_MANIFEST = "Put the manifest of this sweep back, or use another --out"
_MOVE_FILE = "Move it elsewhere: programs that read the whole folder read it too"

_DIGITS = 18
"""Of the longest count of trials."""
_COUNTS = {PARTS: MOST_PARTS, "trials": 10**_DIGITS}
"""Counts in the manifest, in the order of the header, and the largest that can be true."""


@dataclass(frozen=True)
class StoreHeader:
    """What the manifest of a store says about its parts.

    Attributes:
        columns: The columns of the runs.
        store_id: The id that each part carries.
        parts: The store has parts 0 to `parts` - 1 at least, joined to however few.
        trials: The trials of the first grid, 0 if that is unknown.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    store_id: str = ""
    parts: int = 0
    trials: int = 0


@dataclass(frozen=True)
class Survey:
    """The content of a store and what is wrong with it.

    Attributes:
        findings: All faults.
        waiting: Curves that a kill left under a hidden name, by part number.
        beside_parts: Those of the faults that concern no part: damaged grids and foreign files.
        moves: What a repair would move aside.
        parts: Number of parts by table.
        rows: Number of rows by table.
        planned: The trials of the largest grid, None if neither manifest nor parts say.
    """

    findings: tuple[Finding, ...]
    waiting: Mapping[int, Path] = field(default_factory=dict)
    beside_parts: tuple[Finding, ...] = ()
    moves: tuple[Move, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    planned: int | None = None

    @property
    def missing(self) -> int:
        """Trials of the largest grid that the store lacks, as far as is known."""
        return max((self.planned or 0) - self.rows.get(RUNS, 0), 0)

    def __str__(self) -> str:
        counts = [
            f"{rows:,} rows of {kind} (parts: {self.parts[kind]:,})"
            for kind, rows in self.rows.items()
        ]
        return " and ".join(counts)


def survey(folder: Path) -> Survey:
    """Check all parts of a store. Raises StoreError if there is none."""
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is not a folder. Give the folder of a sweep, such as results/quickstart."
        )
    if is_being_compacted(folder):
        return Survey((_unfinished_swap(folder),))
    runs = _open_runs(folder)
    result = _survey_parts(folder)
    # A compaction replaces the folder of parts: what was read is then a mixture.
    if runs is not None and not runs.is_current():
        raise StoreError(f"{folder} was compacted while it was read. Run the same command again.")
    return result


def _unfinished_swap(folder: Path) -> Finding:
    """The finding about a rewrite that is under way or was interrupted."""
    what, end = "is being compacted, or a compaction was interrupted", "finishes it"
    # A rewrite that is under way moves the folders while they are read.
    with suppress(StoreError, OSError):
        store = Directory(folder)
        before = store.names()
        fault = find_fault(store, last_number(store))
        if fault and store.names() == before:
            what, end = f"{what}: {fault}", "goes back to the old parts"
    cure = f"Wait for it if it is running; otherwise `python -m sweep repair {folder}` {end}"
    return Finding(folder, what, cure)


def _survey_parts(folder: Path) -> Survey:
    """What `survey` returns, given that no compaction replaces the parts meanwhile."""
    header, findings = _try_header(folder)
    tables, waiting = _scan_tables(folder, header)
    if _is_foreign_manifest(header, [*tables[RUNS].values(), *tables[CURVES].values()]):
        what = "belongs to another store than all of the parts"
        findings = [Finding(folder / MANIFEST_FILE, what, _RESTORE_MANIFEST)]
        header = StoreHeader()
    diagnosis = Diagnosis(folder, tables[RUNS], tables[CURVES], header.store_id, header.parts)
    findings += diagnosis.findings
    beside_parts = [*_leftovers(folder), *_damaged_grids(folder), *_foreign_files(folder)]
    findings += beside_parts
    part_counts = {kind: len(scans) for kind, scans in tables.items()}
    row_counts = {kind: sum(part.rows for part in scans.values()) for kind, scans in tables.items()}
    return Survey(
        tuple(findings),
        waiting,
        tuple(beside_parts),
        tuple(diagnosis.moves),
        part_counts,
        row_counts,
        _planned_trials(header, tables[RUNS].values()),
    )


def _planned_trials(header: StoreHeader, runs: Iterable[PartScan]) -> int | None:
    """The largest number of trials that the manifest or a part states."""
    stated = [part.metadata.get("trials", "") for part in runs]
    counts = [int(text) for text in stated if text.isdecimal() and len(text) <= _DIGITS]
    return max([*counts, header.trials], default=0) or None


def read_header(folder: Path) -> StoreHeader:
    """Read the header from the manifest. Raises StoreError if that is broken or missing."""
    manifest = read_manifest(folder)
    with reading_errors(folder / MANIFEST_FILE, _RESTORE_MANIFEST):
        try:
            info = manifest["info"]
            counts = (_count(info.get(key), most) for key, most in _COUNTS.items())
            header = StoreHeader(dict(manifest["columns"]), str(info["store"]), *counts)
            schema.columns_from_text(header.columns)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(
                "it does not state the columns of the runs and the id of the store"
            ) from error
        return header


def _count(value: Any, most: int) -> int:
    """A count in a manifest, 0 if it is none."""
    return value if isinstance(value, int) and 0 <= value <= most else 0


def _try_header(folder: Path) -> tuple[StoreHeader, list[Finding]]:
    """The header and no finding, or an empty header and what is wrong with the manifest."""
    try:
        return read_header(folder), []
    except StoreError as error:
        what = f"cannot be read: {error.__cause__}"
        return StoreHeader(), [Finding(folder / MANIFEST_FILE, what, _RESTORE_MANIFEST)]


def _scan_tables(
    folder: Path, header: StoreHeader
) -> tuple[dict[str, dict[int, PartScan]], dict[int, Path]]:
    """All parts by table and number, and the curves that a kill left unpublished, by number."""
    # Curves first: the runs of a part appear before its curves, so the runs of all these exist.
    schemas = schema.tables(header.columns)
    curves = scan_parts(folder, CURVES, schemas[CURVES])
    runs = scan_parts(folder, RUNS, schemas[RUNS])
    waiting = dict[int, Path]()
    for number in runs.keys() - curves.keys():
        hidden = folder / CURVES / Path(runs[number].metadata.get("curves", "")).name
        if hidden.is_file():
            waiting[number] = hidden
        # Their name may have been given after the curves were listed.
        candidates = (hidden, folder / CURVES / part_name(number))
        path = next((path for path in candidates if path.is_file()), None)
        if path:
            curves[number] = scan_part(path, schemas[CURVES])
    return {RUNS: runs, CURVES: curves}, waiting


def _is_foreign_manifest(header: StoreHeader, scans: list[PartScan]) -> bool:
    """Whether no part carries the id in the manifest: then the manifest was replaced, not they."""
    ids = [part.metadata["store"] for part in scans if "store" in part.metadata]
    return bool(header.store_id) and len(ids) > 1 and header.store_id not in ids


def _leftovers(folder: Path) -> Iterator[Finding]:
    """Old folders of parts, which a compaction leaves only where another one overtook it."""
    for kind in (RUNS, CURVES):
        path = folder / replaced_folder(kind)
        if os.path.lexists(path):
            what = "is left of a compaction that was overtaken, or not of this program"
            yield Finding(path, what, f"Move it elsewhere, or back if {kind} is missing")


def _damaged_grids(folder: Path) -> Iterator[Finding]:
    """Copies of grids that differ from what was written, or that are missing."""
    with suppress(StoreError):  # a broken manifest is a finding of its own
        manifest = read_manifest(folder)
        for check in (damaged_grids, lost_grids):
            for path, what, cure in check(folder, manifest):
                yield Finding(path, what, cure)


def _foreign_files(folder: Path) -> Iterator[Finding]:
    """Files that are not parts and that readers of a whole folder do not skip."""
    for kind in (RUNS, CURVES):
        for path in sorted((folder / kind).rglob("*")):
            names = path.relative_to(folder / kind).parts
            is_hidden = any(name.startswith(("_", ".")) for name in names)
            is_part = len(names) == 1 and part_number(path.name) is not None
            if not is_hidden and not is_part and not _is_folder(path):
                yield Finding(path, "is not a part of the store", _MOVE_FILE)


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


def _open_runs(folder: Path) -> Directory | None:
    """The folder of the runs table, held open; None if there is none."""
    with suppress(FileNotFoundError):
        return Directory(folder).folder(RUNS)
    return None
