"""Files that appear whole or not at all, and whose they are."""

from __future__ import annotations

import errno
import functools
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from sweep.errors import StoreError

MANIFEST = "manifest.json"

_TEMPORARY = re.compile(r"_tmp-(?P<owner>.+)-[0-9a-f]{8}")
_OWNER = re.compile(r"(?P<host>.+)-(?P<process>\d{1,9})\.(?P<started>\d{1,20})")

_FULL = "Free some space and run the same command again; what is committed stays"
_CLOSED = "Make the folder writable or use another --out; what is committed stays"
_CURES = {errno.EACCES: _CLOSED, errno.EPERM: _CLOSED, errno.EROFS: _CLOSED}
_CURES |= {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL}
_OTHER = "Look at the disk and run the same command again; what is committed stays"


def write_once(path: Path, content: Any) -> bool:
    """Publish a whole file under a name that is free; False, and nothing changed, where it is taken."""
    if path.exists():
        return False
    made = temporary_path(path.parent, content)
    try:
        # Of all ways to give a file its name, only a link both refuses a taken name and shows the whole file at once.
        with suppress(FileExistsError):
            os.link(made, path)
            return True
        return False
    finally:
        made.unlink(missing_ok=True)
        sync_folder(path.parent)


def replace_file(path: Path, content: Any) -> None:
    """Publish a whole file in the place of another one."""
    made = temporary_path(path.parent, content)
    os.replace(made, path)
    sync_folder(path.parent)


def temporary_path(folder: Path, content: Any) -> Path:
    """A file of this process in a folder, synced, under a name that no reader looks at."""
    path = folder / f"_tmp-{owner()}-{secrets.token_hex(4)}"
    try:
        with _descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            left = memoryview(content)
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power failure."""
    with _descriptor(folder, os.O_RDONLY) as file:
        os.fsync(file)


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o666)
    try:
        yield file
    finally:
        os.close(file)


def owner() -> str:
    """This process, told apart from all others of all hosts that share a folder."""
    return f"{_host()}-{os.getpid()}.{_started(os.getpid())}"


@functools.cache
def _host() -> str:
    """The host, or the container where it has process numbers of its own."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{socket.gethostname()}.{space}"


def _started(process: int) -> int:
    """When a process started, in ticks of the system: numbers are used again.

    0 where the system does not say, -1 for one that has ended and waits to be told of.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return -1 if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def is_abandoned(path: Path) -> bool:
    """True for a temporary file of this program whose process on this host is gone."""
    match = _TEMPORARY.fullmatch(path.name)
    return match is not None and owner_is_gone(match["owner"]) is True


def is_owner(text: str) -> bool:
    """Does a text name a process as `owner` does?"""
    return _OWNER.fullmatch(text) is not None


def owner_is_gone(owner: str) -> bool | None:
    """Has the process ended? None where it is not of this host, so that nobody here can know."""
    match = _OWNER.fullmatch(owner)
    if match is None or match["host"] != _host():
        return None
    process = int(match["process"])
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(process) != int(match["started"])


@contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    """Errors of the system as StoreError with a cure, while something is written to a store."""
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, _OTHER)
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}. {cure}.") from error


@contextmanager
def reading_errors(path: Path, cure: str = "") -> Iterator[None]:
    """What goes wrong while a file is read as StoreError with a cure."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        cure = cure or "Move it aside with `python -m sweep repair DIR`; only its rows run again"
        raise StoreError(f"{path} cannot be read: {error}. {cure}.") from error
