"""A store read whole, every page of it, beside others that may be at work there. Nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep import schema
from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store import parts
from sweep.store.atomic_files import MANIFEST, reading_errors
from sweep.store.compaction import SWAP_FOLDERS
from sweep.store.maintenance.diagnosis import Diagnosis, Finding, Move, PartScan

_LOST = "Put the manifest of this sweep back, or use another --out"
_FOREIGN = "Move it elsewhere: whoever reads all of the folder reads it too"


@dataclass(frozen=True)
class StoreHeader:
    """What a store says of itself: the columns of its runs, and the mark that each of its parts bears."""

    columns: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True)
class Survey:
    """What there is in a store and what is wrong with it.

    `waiting` are curves that a kill left under a hidden name, by their numbers, `foreign` files that belong to no part,
    `moves` what a repair does. `parts` and `rows` count by table.
    """

    findings: tuple[Finding, ...]
    waiting: Mapping[int, Path] = field(default_factory=dict)
    foreign: tuple[Path, ...] = ()
    moves: tuple[Move, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = (f"{rows:,} rows of {kind} (parts: {self.parts[kind]:,})" for kind, rows in self.rows.items())
        return " and ".join(counts)


def survey(folder: Path) -> Survey:
    """Judge all parts of a store. Raises StoreError where there is none."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder. Give the folder of a sweep, such as results/quickstart.")
    if (folder / SWAP_FOLDERS).exists():
        cure = f"Wait for it if it is under way; otherwise `python -m sweep repair {folder}` finishes it"
        return Survey((Finding(folder, "is being compacted, or a compaction was cut off", cure),))
    before = _state(folder)
    own, findings = _label(folder)
    tables, waiting = _tables(folder, own)
    if _is_strange(own, [part for looks in tables.values() for part in looks.values()]):
        findings = [Finding(folder / MANIFEST, "belongs to another store than each of the parts", _LOST)]
        own = StoreHeader()
    places = Diagnosis(folder, tables[RUNS], tables[CURVES], own.mark)
    foreign = [path for kind in (RUNS, CURVES) for path in _foreign(folder / kind)]
    findings += [*places.findings, *(Finding(path, "is no part of the store", _FOREIGN) for path in foreign)]
    if _state(folder) != before:
        raise StoreError(f"{folder} was compacted while it was read. Run the same command again.")
    counts = {kind: len(looks) for kind, looks in tables.items()}
    rows = {kind: sum(part.rows for part in looks.values()) for kind, looks in tables.items()}
    return Survey(tuple(findings), waiting, tuple(foreign), tuple(places.moves), counts, rows)


def read_header(folder: Path) -> StoreHeader:
    """What the manifest says. Raises StoreError where it is broken or missing."""
    with reading_errors(folder / MANIFEST, _LOST):
        try:
            said = json.loads((folder / MANIFEST).read_bytes())
            found = StoreHeader(dict(said["columns"]), str(said["info"]["store"]))
            schema.columns_from_text(found.columns)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError("it does not say the columns of the runs and the mark of the store") from error
        return found


def scan_part(path: Path, wanted: pa.Schema) -> PartScan:
    """Read all pages of a part, their checksums checked, that should have the columns of a schema at least."""
    try:
        table, count = parts.rows(path), parts.count(path)
    except (StoreError, pa.ArrowException) as error:
        if not path.exists():
            raise StoreError(f"{path} vanished while it was read. Run the same command again.") from error
        return PartScan(path, f"cannot be read: {' '.join(str(error.__cause__ or error).split()).rstrip('.')}")
    if table.num_rows != count:
        return PartScan(path, f"cannot be read: it holds {table.num_rows} rows and says {count}")
    said = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in _said(table)}
    fault = next(_faults(table, wanted, path.parent.name), "")
    trials = np.empty(0, np.int64) if fault else np.unique(table["trial"].to_numpy())
    return PartScan(path, fault, table.num_rows, trials, said)


def _said(table: pa.Table) -> Iterable[tuple[bytes, bytes]]:
    return (table.schema.metadata or {}).items()


def _faults(table: pa.Table, wanted: pa.Schema, kind: str) -> Iterator[str]:
    """What is wrong with the columns and the rows of a part."""
    for each in wanted:
        if table.column_names.count(each.name) != 1:
            yield f"is no part of the {kind}: it has no column {each.name}"
        elif table.schema.field(each.name).type != each.type:
            yield f"is no part of the {kind}: {each.name} is {table.schema.field(each.name).type}, not {each.type}"
    keys = [name for name in ("step", "trial") if name in wanted.names]
    if any(table[name].null_count for name in keys):
        yield f"has rows without a {' or a '.join(keys)}"
    columns = [table[name].to_numpy() for name in keys]
    order = np.lexsort(columns)
    alike = np.logical_and.reduce([column[order][1:] == column[order][:-1] for column in columns])
    if alike.any():
        yield f"holds trial {columns[-1][order][1:][alike][0]} twice"


def _label(folder: Path) -> tuple[StoreHeader, list[Finding]]:
    try:
        return read_header(folder), []
    except StoreError as error:
        return StoreHeader(), [Finding(folder / MANIFEST, f"cannot be read: {error.__cause__}", _LOST)]


def _tables(folder: Path, said: StoreHeader) -> tuple[dict[str, dict[int, PartScan]], dict[int, Path]]:
    """All parts by table and number, and those curves among them that have not got their names yet."""
    # Curves first: of two parts that are being committed the runs come first, so those of all curves found here exist.
    curves = _looks(folder / CURVES, schema.curves(schema.columns_from_text(said.columns)))
    runs = _looks(folder / RUNS, schema.runs(schema.columns_from_text(said.columns)))
    waiting = dict[int, Path]()
    for number in runs.keys() - curves.keys():
        hidden = folder / CURVES / Path(runs[number].said.get("curves", "")).name
        if hidden.is_file():
            waiting[number] = hidden
        named = folder / CURVES / parts.name(number)
        if path := next((path for path in (hidden, named) if path.is_file()), None):
            curves[number] = scan_part(path, schema.curves(schema.columns_from_text(said.columns)))
    return {RUNS: runs, CURVES: curves}, waiting


def _looks(folder: Path, wanted: pa.Schema) -> dict[int, PartScan]:
    return {
        number: scan_part(path, wanted) for path in parts.listed(folder) if (number := parts.number(path)) is not None
    }


def _is_strange(said: StoreHeader, found: list[PartScan]) -> bool:
    """Do all parts bear other marks than the manifest? Then it is the manifest that was swapped."""
    marks = [part.said["store"] for part in found if "store" in part.said]
    return bool(said.mark) and len(marks) > 1 and said.mark not in marks


def _foreign(folder: Path) -> Iterator[Path]:
    """Files that are no parts and that readers of a whole folder do not skip."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        hidden = any(word.startswith(("_", ".")) for word in place.parts)
        if path.is_file() and not hidden and (len(place.parts) > 1 or parts.number(path) is None):
            yield path


def _state(folder: Path) -> int:
    """Changes when a rewriting takes the place of the parts."""
    return (folder / RUNS).stat().st_ino if (folder / RUNS).is_dir() else 0
