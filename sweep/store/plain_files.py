"""Folders that another library is to read or remove: looked at first, and without links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ENTRIES, _DEPTH = 10_000, 10
"""Bounds on a folder that this program may have written as a whole."""


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """The descriptor of a folder. Raises OSError if it is missing, a file, or a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def plain_states(path: Path) -> list[tuple[Path, os.stat_result]]:
    """A folder and all that is in it, each with its state.

    Raises OSError if that is anything but a moderate number of plain files and folders.
    """
    found, pending = [(path, path.lstat())], [(path, 0)]
    while pending:
        folder, depth = pending.pop()
        with open_folder(folder) as descriptor:
            names = os.listdir(descriptor)
        if len(found) + len(names) > _ENTRIES or depth > _DEPTH:
            raise OSError(errno.EMLINK, "Too many files or levels", str(path))
        for name in names:
            state = (folder / name).lstat()
            found.append((folder / name, state))
            if stat.S_ISDIR(state.st_mode):
                pending.append((folder / name, depth + 1))
            elif not stat.S_ISREG(state.st_mode):
                raise OSError(errno.EINVAL, "Not a plain file", str(folder / name))
    return found
