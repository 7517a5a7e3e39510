"""Files that appear complete or not at all, and I/O errors that say what to do about them."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from sweep.errors import StoreError
from sweep.store.layout import TEMPORARY
from sweep.store.owners import owner, owner_is_gone

_TEMPORARY_NAME = re.compile(TEMPORARY + r"(?P<owner>.+)-[0-9a-f]{8}")

_DISK_FULL = "Free some space and run the same command again; what is committed stays"
_NOT_WRITABLE = "Make the folder writable or use another --out; what is committed stays"
_CURES = {errno.EACCES: _NOT_WRITABLE, errno.EPERM: _NOT_WRITABLE, errno.EROFS: _NOT_WRITABLE}
_CURES |= {errno.ENOSPC: _DISK_FULL, errno.EDQUOT: _DISK_FULL, errno.EFBIG: _DISK_FULL}
_DEFAULT_CURE = "Check the disk and run the same command again; what is committed stays"


def write_once(path: Path, content: Any) -> bool:
    """Publish a complete file; returns False, and changes nothing, if the name is taken."""
    if path.exists():
        return False
    temporary = temporary_path(path.parent, content)
    try:
        # A hard link is the only call that both refuses a taken name and shows a complete file.
        with suppress(FileExistsError):
            os.link(temporary, path)
            return True
        return False
    finally:
        temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def replace_file(path: Path, content: Any) -> None:
    """Publish a complete file in place of the present one."""
    temporary = temporary_path(path.parent, content)
    os.replace(temporary, path)
    sync_folder(path.parent)


def temporary_path(folder: Path, content: Any) -> Path:
    """Write and sync a file under a name that names this process and that readers skip."""
    path = folder / f"{TEMPORARY}{owner()}-{secrets.token_hex(4)}"
    try:
        with _descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            remaining = memoryview(content)
            while remaining:  # a single write may be partial
                remaining = remaining[os.write(file, remaining) :]
            os.fsync(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def sync_folder(folder: Path) -> None:
    """Make the directory entries of a folder survive a power failure."""
    with _descriptor(folder, os.O_RDONLY) as file:
        os.fsync(file)


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o666)
    try:
        yield file
    finally:
        os.close(file)


def is_abandoned(path: Path) -> bool:
    """Whether a file is a temporary one of this program whose process, on this host, is gone."""
    match = _TEMPORARY_NAME.fullmatch(path.name)
    return match is not None and owner_is_gone(match["owner"]) is True


@contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    """Turn system errors while writing to a store into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, _DEFAULT_CURE)
        reason = error.strerror or error
        raise StoreError(f"{folder} cannot be written: {reason}. {cure}.") from error


@contextmanager
def reading_errors(path: Path, cure: str = "") -> Iterator[None]:
    """Turn any error while reading a file into a StoreError that says what to do."""
    try:
        yield
    # A hostile file may nest values deeper than Python can follow.
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        cure = cure or "Move it aside with `python -m sweep repair DIR`; only its rows run again"
        raise StoreError(f"{path} cannot be read: {error}. {cure}.") from error
