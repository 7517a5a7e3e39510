"""Whether the folders that a rewrite left hold all that they are to replace."""

from __future__ import annotations

import numpy as np

from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store.directory import Directory
from sweep.store.layout import TABLES, replaced_folder, rewritten_folder
from sweep.store.parts import part_name, part_numbers, read_rows


def find_fault(folder: Directory, last: int | None) -> str:
    """Why the old parts of a store must stay, "" if the new ones may take their place.

    Args:
        folder: The folder of the store, with an unfinished rewrite.
        last: The last part number that the new folders cover, None if that is unknown.

    Raises:
        StoreError: A folder of parts is a link or a file.
    """
    pending = [kind for kind in TABLES if folder.status(rewritten_folder(kind))]
    for kind in pending:
        new = folder.folder(rewritten_folder(kind))
        old = _open(folder, replaced_folder(kind)) or _open(folder, kind)
        if fault := _lost_rows(old, new, last):
            return fault
    if not pending:
        return ""  # the old folders may be gone already
    new_runs, new_curves = (
        _open(folder, rewritten_folder(kind)) or _open(folder, kind) for kind in (RUNS, CURVES)
    )
    return _unmatched_curves(new_runs, new_curves, last)


def has_all_rows(new: Directory, old: Directory, last: int | None) -> bool:
    """Whether all parts in `new` can be read and hold the trials of those in `old`."""
    return not _lost_rows(old, new, last)


def _lost_rows(old: Directory | None, new: Directory, last: int | None) -> str:
    """What of the old rows the new parts lack, or which of these is damaged."""
    try:
        new_trials = [_trials(new, number) for number in _numbers(new, last)]
    except StoreError as error:
        return f"{new.path.name} is damaged: {' '.join(str(error.__cause__).split()).rstrip('.')}"
    present, expected = _join(new_trials), _join(_readable_trials(old, last))
    if not np.isin(expected, present).all() or len(present) < len(expected):
        return f"{new.path.name} has {len(present):,} rows, and the old parts {len(expected):,}"
    return ""


def _unmatched_curves(runs: Directory | None, curves: Directory | None, last: int | None) -> str:
    """Which part of the curves has trials that the same part of the runs lacks."""
    try:
        for number in _numbers(curves, last):
            is_there = number in _numbers(runs, last)
            if not is_there or not np.isin(_trials(curves, number), _trials(runs, number)).all():
                return f"the runs lack trials of {part_name(number)} of the curves"
    except StoreError as error:
        return str(error.__cause__)
    return ""


def _readable_trials(folder: Directory | None, last: int | None) -> list[np.ndarray]:
    """The trials of those parts that can be read: what else is lost in a rewrite was lost before."""
    found = []
    for number in _numbers(folder, last):
        try:
            found.append(_trials(folder, number))
        except StoreError:
            continue
    return found


def _trials(folder: Directory | None, number: int) -> np.ndarray:
    """The trial of each row of a part, which is read completely."""
    assert folder is not None
    return read_rows(folder.path / part_name(number), ["trial"])["trial"].to_numpy()


def _join(trials: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *trials])


def _numbers(folder: Directory | None, last: int | None) -> list[int]:
    """Numbers of the parts in a folder, without those that came after the rewrite."""
    numbers = [] if folder is None else part_numbers(folder)
    return [number for number in numbers if last is None or number <= last]


def _open(folder: Directory, name: str) -> Directory | None:
    return folder.folder(name) if folder.status(name) else None
