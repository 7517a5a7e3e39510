"""Looking into a folder that others may fill: no link is followed, and nothing is waited for."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 1024
"""Bytes of the longest text that is read."""
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


def read_text(name: str, folder: int) -> tuple[str | None, os.stat_result]:
    """A short file and its state.

    Args:
        name: Name of the file.
        folder: Descriptor of its folder.

    Returns:
        The text, None if it is no plain file, cannot be read or is long, and the state. Opening
        the file is what makes a network file system ask for the present state.

    Raises:
        FileNotFoundError: There is no such file.
    """
    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(state.st_mode):  # to open a device may have effects
        return None, state
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError:
        return None, state
    try:
        state = os.fstat(file)
        is_short = stat.S_ISREG(state.st_mode) and state.st_size <= _LONGEST
        return os.read(file, _LONGEST).decode(errors="replace") if is_short else None, state
    finally:
        os.close(file)


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
