"""Puts rewritten folders of parts in the place of the old ones, once and for all or not at all.

The file `_swap` says that the new folders are complete. They are compared with the old ones before
anything is removed: a crash, a bad disk or a copy that was made meanwhile may have taken some of
them. The old folders go once the new ones of both tables are in place.

No other process may use the store (`Claims.exclusive`), but one that was taken for dead may wake
up: what it commits to an old folder is carried over until the path leads to the new one, and from
then on the process finds that its folder is not the store's any more.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from contextlib import suppress

from sweep.errors import StoreError
from sweep.store.directory import Directory
from sweep.store.io_errors import reading_errors
from sweep.store.layout import SWAP, TABLES, TEMPORARY, replaced_folder, rewritten_folder
from sweep.store.parts import part_name, part_number, part_numbers
from sweep.store.swap_check import find_fault, has_all_rows

CheckAccess = Callable[[], None]


def is_unfinished(folder: Directory) -> bool:
    """Whether a rewrite is under way or was interrupted."""
    names = (SWAP, *(name(kind) for kind in TABLES for name in (rewritten_folder, replaced_folder)))
    return any(folder.status(name) for name in names)


def finish_swap(folder: Directory, check_access: CheckAccess = lambda: None) -> str:
    """Complete or undo a rewrite that was interrupted. It needs exclusive access.

    Returns:
        Why the old parts were kept though the new ones should have been complete, else "".

    Raises:
        StoreError: One of its folders is a link or holds files that are not its own.
    """
    fault = ""
    if folder.status(SWAP):
        last = last_number(folder)
        fault = find_fault(folder, last)
        replace = _go_back if fault else _put_in_place
        for kind in TABLES:
            check_access()
            replace(folder, kind, last)
        for kind in TABLES:
            check_access()
            if _is_in_place(folder, kind):
                _remove_old(folder, kind, last)
        check_access()
        folder.remove(SWAP)
        folder.sync()
    for kind in TABLES:
        check_access()
        discard(folder, rewritten_folder(kind))
        _restore(folder, kind)
    return fault


def last_number(folder: Directory) -> int | None:
    """The last part number that the new folders cover, None if an earlier version wrote them."""
    with reading_errors(folder.path / SWAP, "Move it away"), folder.open(SWAP) as file:
        text = file.read(32).decode()
    return int(text) if re.fullmatch(r"-1|\d{1,8}", text) else None


def _put_in_place(folder: Directory, kind: str, last: int | None) -> None:
    """Put the new folder in place of the table."""
    if not folder.status(rewritten_folder(kind)):
        return
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


def _go_back(folder: Directory, kind: str, last: int | None) -> None:
    """Put the old folder of a table back, if it is whole, in place of the new one."""
    # Earlier versions removed the old folder of one table before they moved the other.
    if _is_in_place(folder, kind) and has_all_rows(
        folder.folder(replaced_folder(kind)), folder.folder(kind), last
    ):
        folder.move(kind, folder, rewritten_folder(kind))
    _restore(folder, kind)


def _is_in_place(folder: Directory, kind: str) -> bool:
    """Whether the new folder of a table has taken the place of an old one that is still there."""
    there = all(folder.status(name) for name in (kind, replaced_folder(kind)))
    return there and not folder.status(rewritten_folder(kind))


def _restore(folder: Directory, kind: str) -> None:
    """Put the old folder of a table back if nothing has taken its place."""
    if folder.status(replaced_folder(kind)) and not folder.status(kind):
        folder.folder(replaced_folder(kind))  # refuses a link
        folder.move(replaced_folder(kind), folder, kind)
        folder.sync()


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


def discard(folder: Directory, name: str) -> None:
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
