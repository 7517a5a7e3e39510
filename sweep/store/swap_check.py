"""Whether the folders that a rewrite left hold all that they are to replace."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import numpy as np

from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store.directory import Directory
from sweep.store.layout import TABLES, replaced_folder, rewritten_folder
from sweep.store.parts import part_name, part_numbers, read_rows
from sweep.wording import counted

Trials = dict[int, np.ndarray]
"""The trial of each row, by the number of the part."""


def find_fault(folder: Directory, last: int | None) -> str:
    """Why the old parts of a store must stay, "" if the new ones may take their place.

    Args:
        folder: The folder of the store, with an unfinished rewrite.
        last: The last part number that the new folders cover, None if that is unknown.

    Raises:
        StoreError: A folder of parts is a link or a file.
    """
    pending = [kind for kind in TABLES if folder.status(rewritten_folder(kind))]
    if not pending:
        return ""  # the old folders may be gone already
    new = dict[str, Trials]()
    for kind in TABLES:
        table = _open(folder, rewritten_folder(kind)) or _open(folder, kind)
        try:
            new[kind] = _read(table, last)
        except StoreError as error:
            return f"the new {kind} are damaged: {error.__cause__}"
    for kind in pending:
        old = _open(folder, replaced_folder(kind)) or _open(folder, kind)
        if fault := _lost_rows(_read(old, last, skip_damaged=True), new[kind]):
            return f"the new {kind} {fault}"
    return _unmatched_curves(new[RUNS], new[CURVES])


def has_all_rows(new: Directory, old: Directory, last: int | None) -> bool:
    """Whether all parts in `new` can be read and hold the trials of those in `old`."""
    try:
        return not _lost_rows(_read(old, last, skip_damaged=True), _read(new, last))
    except StoreError:
        return False


def _read(table: Directory | None, last: int | None, *, skip_damaged: bool = False) -> Trials:
    """The trials of all parts that a rewrite knew, each read completely.

    Raises StoreError if one is damaged, unless such parts are skipped: a rewrite loses nothing with
    an old part that cannot be read.
    """
    trials = Trials()
    if table is None:
        return trials
    for number in part_numbers(table):
        if last is None or number <= last:
            with suppress(StoreError) if skip_damaged else nullcontext():
                path = table.path / part_name(number)
                trials[number] = read_rows(path, ["trial"])["trial"].to_numpy()
    return trials


def _lost_rows(old: Trials, new: Trials) -> str:
    """How many rows the new parts have, if that is fewer than the old ones or of other trials."""
    expected, present = _join(old), _join(new)
    if len(present) >= len(expected) and np.isin(expected, present).all():
        return ""
    return f"have {counted(len(present), 'row')}, and the old ones {len(expected):,}"


def _unmatched_curves(runs: Trials, curves: Trials) -> str:
    """Which part of the curves has trials that the same part of the runs lacks."""
    for number, trials in curves.items():
        if number not in runs or not np.isin(trials, runs[number]).all():
            return f"the runs lack trials of {part_name(number)} of the curves"
    return ""


def _join(trials: Trials) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *trials.values()])


def _open(folder: Directory, name: str) -> Directory | None:
    return folder.folder(name) if folder.status(name) else None
