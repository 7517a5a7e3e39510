"""System errors of a store as sentences that say what to do about them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from sweep.errors import StoreError

_DISK_FULL = "Free some space and run the same command again; what is committed stays"
_NOT_WRITABLE = "Make the folder writable or use another --out; what is committed stays"
_CURES = {errno.EACCES: _NOT_WRITABLE, errno.EPERM: _NOT_WRITABLE, errno.EROFS: _NOT_WRITABLE}
_CURES |= {errno.ENOSPC: _DISK_FULL, errno.EDQUOT: _DISK_FULL, errno.EFBIG: _DISK_FULL}
_DEFAULT_CURE = "Check the disk and run the same command again; what is committed stays"
# A hostile file may nest values deeper, or declare more of them, than Python can take.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, RecursionError, MemoryError),
    pa.ArrowException,
)


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
    except _UNREADABLE as error:
        cure = cure or "Move it aside with `python -m sweep repair DIR`; only its rows run again"
        raise StoreError(f"{path} cannot be read: {error}. {cure}.") from error
