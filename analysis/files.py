"""The files that analyses write: complete or not at all, never through a link of a store.

A store may come from anyone. Its folders may be links, and its words may be names of files.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweep.errors import SweepError

MAX_NAME = 100
"""Most characters of a file name that is made of words of a table."""


def file_name(words: str, taken: Collection[str] = ()) -> str:
    """Words of a table as a name that leads nowhere else, and that no other words have.

    Args:
        words: Any text.
        taken: Names that are in use, in lower case, since some file systems ignore the case.

    Returns:
        The words, if they are a name of letters, digits, `.`, `_` and `-`; otherwise what is left
        of them, with a short digest.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", words[: 10 * MAX_NAME])[:MAX_NAME].lstrip("._-")
    if name == words and name.lower() not in taken:
        return name
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
    candidates = (f"{name}-{digest[:length]}" for length in range(8, len(digest)))
    return next(candidate for candidate in candidates if candidate.lower() not in taken)


def write_file(path: Path, content: bytes, within: Path | None = None) -> None:
    """Write a file in place of whatever has its name; a link there is replaced, not followed.

    Folders that are missing are made.

    Args:
        path: The file.
        content: What it contains afterwards.
        within: A folder above the file, such as a store: below it no folder may be a link.

    Raises:
        SweepError: The file cannot be written.
    """
    temporary = f"_tmp-{secrets.token_hex(8)}"
    try:
        with _opened_folder(path.parent, within) as folder:
            try:
                _write_new(temporary, content, folder)
                os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(
            f"{path} cannot be written: {reason}. Give another place with --out, or make the "
            "folder writable."
        ) from error


def _write_new(name: str, content: bytes, folder: int) -> None:
    """Write a file that does not exist yet; `folder` is an open descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
        file.write(content)


@contextmanager
def _opened_folder(path: Path, within: Path | None) -> Iterator[int]:
    """A descriptor of a folder, which keeps its meaning even if someone renames the folders."""
    base = path if within is None else within
    base.mkdir(parents=True, exist_ok=True)
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in path.relative_to(base).parts:
            inner = _open_inside(folder, name, path)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _open_inside(folder: int, name: str, path: Path) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
    if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise SweepError(
            f"{name} in {path} is a symbolic link, and nothing is written through a link of a "
            "store. Remove the link, or give another place with --out."
        )
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file; a pipe, which would wait for ever, and a huge one are refused.

    Raises OSError where it cannot be read, or is larger than `limit` bytes.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"it has more than {limit:,} bytes")
    return content
