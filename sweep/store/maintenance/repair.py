"""What makes a store whole again, and smaller in files.

A repair moves a part that is not what it should be aside with its curves, and an empty part takes its place. So no
number is given twice, and the trials of the part are trained again.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sweep import schema
from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store import parts
from sweep.store.atomic_files import MANIFEST, replace_file, sync_folder, writing_errors
from sweep.store.claims import Claims
from sweep.store.commit_log import publish_curves
from sweep.store.compaction import finish_swap, parts_to_join, rewrite_parts
from sweep.store.maintenance.diagnosis import Finding, Move, Span
from sweep.store.maintenance.scan import StoreHeader, Survey, read_header, survey

BROKEN = "broken"


@dataclass(frozen=True)
class Repaired:
    """What a repair found, and where it put what it moved aside."""

    before: Survey
    moved: tuple[Path, ...]


@dataclass(frozen=True)
class Compacted:
    """How many parts there were of each table, and how many there are now."""

    before: Mapping[str, int]
    after: Mapping[str, int]


def verify(folder: Path) -> list[Finding]:
    """All that is wrong with a store, every page of every part read. Raises StoreError where there is no store."""
    return list(survey(Path(folder)).findings)


def repair(folder: Path) -> Repaired:
    """Move parts aside that are not what they should be, and let empty ones take their places.

    A kill at any moment leaves a store that the next repair finishes. Raises StoreError where the manifest is broken,
    or somebody is at work in the store.
    """
    folder = Path(folder)
    said = read_header(folder)
    with _alone(folder, "repair the store"):
        found = survey(folder)
        if lost := [each for each in found.findings if each.path == folder / MANIFEST]:
            raise StoreError(str(lost[0]))
        for number, hidden in found.waiting.items():  # as `publish_curves` does, which stops at a broken part
            os.rename(hidden, folder / CURVES / parts.name(number))
        moved = [path for move in found.moves for path in _mend(folder, move, said)]
    return Repaired(found, tuple(moved))


def compact(folder: Path) -> Compacted:
    """Join the parts of both tables to few large ones, where that makes them fewer.

    A kill at any moment leaves all rows, and the next command that writes to the store finishes or undoes the rest.
    Raises StoreError where a part is not what it should be, or somebody is at work in the store.
    """
    folder = Path(folder)
    said = read_header(folder)
    with _alone(folder, "compact the store"):
        publish_curves(folder)
        found = survey(folder)
        if broken := [each for each in found.findings if each.path not in found.foreign]:
            raise StoreError(str(broken[0]))
        if len(list(parts_to_join(folder))) < found.parts[RUNS]:
            rewrite_parts(folder, said.columns)
        after = {kind: len(parts.listed(folder / kind)) for kind in found.parts}
    return Compacted(found.parts, after)


@contextmanager
def _alone(folder: Path, purpose: str) -> Iterator[None]:
    """Nobody else in the store, and no half of a compaction, neither before nor after an error."""
    with Claims(folder) as claims, claims.alone(purpose), writing_errors(folder):
        try:
            finish_swap(folder)
            yield
        finally:
            finish_swap(folder)


def _mend(folder: Path, move: Move, said: StoreHeader) -> Iterator[Path]:
    """Carry a move out; where things went.

    The curves go first: runs without their curves are found by the next repair, while curves without their runs would
    be there twice as soon as the trials are trained again.
    """
    name = parts.name(move.number)
    if path := _keep(folder, folder / CURVES / name):
        (folder / CURVES / name).unlink()
        yield path
    if move.whole:
        return
    if path := _keep(folder, folder / RUNS / name):
        yield path
    if move.span is None:
        (folder / RUNS / name).unlink(missing_ok=True)
        return
    (folder / RUNS).mkdir(exist_ok=True)
    replace_file(folder / RUNS / name, _empty(move.span, move.why, said))


def _empty(span: Span, why: str, said: StoreHeader) -> pa.Buffer:
    """A part of the runs without rows, but with all columns: many readers take those of the first part for all."""
    words = {"first": str(span[0]), "last": str(span[1]), "store": said.mark, "moved": why}
    return parts.parquet(schema.runs(schema.columns_from_text(said.columns)).empty_table(), words)


def _keep(folder: Path, path: Path) -> Path | None:
    """A second name for a part among what is broken, under which nothing is; None where there is no such part."""
    if not path.exists():
        return None
    broken = folder / BROKEN
    broken.mkdir(exist_ok=True)
    sync_folder(folder)
    for number in itertools.count():
        target = broken / f"{path.parent.name}-{path.stem}{f'-{number}' if number else ''}{path.suffix}"
        try:
            os.link(path, target)
        except FileExistsError:
            if target.samefile(path):  # an earlier repair was cut off here
                return target
        else:
            sync_folder(broken)
            return target
    return None
