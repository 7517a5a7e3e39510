"""An open folder: its files appear complete or not at all, and none of its links is followed.

All access to a store goes through a descriptor of one of its folders. So a file cannot come to lie
in a folder that took the place of the one that was looked at, and neither reading nor deleting can
be led elsewhere by a symbolic link in a store that somebody else prepared.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from sweep.errors import StoreError
from sweep.store.layout import TEMPORARY
from sweep.store.owners import owner, owner_is_gone

_TEMPORARY_NAME = re.compile(TEMPORARY + r"(?P<owner>.+)-[0-9a-f]{8}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_LARGEST_FILE = 1 << 26
"""Bytes of a manifest or a grid; those of a large sweep have a few hundred thousand."""


class Directory:
    """A folder that stays the same one for as long as it is open, whatever happens to its path.

    Args:
        path: The folder. It may be a symbolic link, but what is in it may not.

    Raises:
        OSError: There is no such folder, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._hold(path, os.open(path, _FOLDER))

    def _hold(self, path: Path, descriptor: int) -> None:
        """Own an open descriptor of the folder at `path`."""
        self.path, self._descriptor = path, descriptor
        self.close = weakref.finalize(self, os.close, descriptor)

    def folder(self, name: str, *, create: bool = False) -> Directory:
        """Open a folder in this one. Raises StoreError if it is a link or a file."""
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=self._descriptor)
        child = Directory.__new__(Directory)
        try:
            descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            raise StoreError(
                f"{self.path / name} is a symbolic link or a file, where a store has a folder. "
                "Move it away, or put the folder itself in its place."
            ) from error
        child._hold(self.path / name, descriptor)
        return child

    def names(self) -> list[str]:
        """The names in the folder, sorted."""
        return sorted(os.listdir(self._descriptor))

    def status(self, name: str) -> os.stat_result | None:
        """What `lstat` says about a name, None if it is not taken."""
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_file(self, name: str) -> bool:
        """Whether a name is that of a regular file."""
        status = self.status(name)
        return status is not None and stat.S_ISREG(status.st_mode)

    def open(self, name: str) -> BinaryIO:
        """Open a regular file for reading. Raises OSError, or ValueError if it is anything else."""
        return open_file(name, self._descriptor)

    def write_once(self, name: str, content: Any) -> bool:
        """Publish a complete file; returns False, and changes nothing, if the name is taken."""
        if self.status(name):
            return False
        temporary = self.write_temporary(content)
        try:
            return self.link(temporary, self, name)
        finally:
            self.remove(temporary)
            self.sync()

    def replace(self, name: str, content: Any) -> None:
        """Publish a complete file in place of the present one."""
        temporary = self.write_temporary(content)
        try:
            self.move(temporary, self, name)
        except BaseException:
            self.remove(temporary)
            raise
        self.sync()

    def write_temporary(self, content: Any) -> str:
        """Write and sync a file that readers skip; returns its name, which names the process."""
        name = f"{TEMPORARY}{owner()}-{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        file = os.open(name, flags, 0o666, dir_fd=self._descriptor)
        try:
            remaining = memoryview(content)
            while remaining:  # a single write may be partial
                remaining = remaining[os.write(file, remaining) :]
            os.fsync(file)
        except BaseException:
            self.remove(name)
            raise
        finally:
            os.close(file)
        return name

    def link(self, name: str, target: Directory, new_name: str) -> bool:
        """Give a file a second name; returns False, and changes nothing, if another file has it.

        It is the only call that both refuses a taken name and shows a complete file. On a network
        file system the answer of a link that was made may be lost; it is then asked for again, and
        the name is taken by the very file.
        """
        descriptors = {"src_dir_fd": self._descriptor, "dst_dir_fd": target._descriptor}
        try:
            os.link(name, new_name, follow_symlinks=False, **descriptors)
        except FileExistsError:
            return self._is_same_file(name, target, new_name)
        return True

    def _is_same_file(self, name: str, target: Directory, new_name: str) -> bool:
        """Whether two names are of one file."""
        one, other = self.status(name), target.status(new_name)
        return one is not None and other is not None and os.path.samestat(one, other)

    def move(self, name: str, target: Directory, new_name: str) -> None:
        """Rename a file or a folder, also into another folder; replaces a file there."""
        descriptors = {"src_dir_fd": self._descriptor, "dst_dir_fd": target._descriptor}
        os.replace(name, new_name, **descriptors)

    def remove(self, name: str) -> None:
        """Remove a file, or a link but not what it leads to. No error if there is none."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._descriptor)

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder. Raises OSError if it holds anything."""
        os.rmdir(name, dir_fd=self._descriptor)

    def sync(self) -> None:
        """Make the names in the folder survive a power failure."""
        os.fsync(self._descriptor)

    def is_current(self) -> bool:
        """Whether the path still leads to this folder."""
        # While a folder is open its inode number is not given to another one, and a network file
        # system asks the server when the path is opened, but may not when it is only looked at.
        try:
            return self.is_same(Directory(self.path))
        except FileNotFoundError:
            return False

    def is_same(self, other: Directory) -> bool:
        """Whether two open folders are one."""
        return os.path.samestat(os.fstat(self._descriptor), os.fstat(other._descriptor))


def open_file(path: Path | str, folder: int | None = None) -> BinaryIO:
    """Open a regular file for reading, not by way of a link.

    Args:
        path: The file.
        folder: Descriptor of the folder that `path` is relative to.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is a link, a folder, or a device.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for somebody to write to it.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.fdopen(os.open(path, flags, dir_fd=folder), "rb")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise ValueError("it is not a file") from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a file")
    return file


def read_file(path: Path) -> bytes:
    """The content of a small file, such as a manifest. Raises OSError or ValueError."""
    with open_file(path) as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError(f"it has more than {_LARGEST_FILE:,} bytes")
    return content


def is_abandoned(name: str) -> bool:
    """Whether a name is that of a temporary file whose process, on this host, is gone."""
    match = _TEMPORARY_NAME.fullmatch(name)
    return match is not None and owner_is_gone(match["owner"]) is True
