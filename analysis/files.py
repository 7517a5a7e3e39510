"""The files that analyses write: complete or not at all, never through a link of a store.

A store may come from anyone. Its folders may be links, and its words may be names of files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from sweep.errors import SweepError
from sweep.store import Directory

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
    """Write a file in place of the present one; a link there is replaced, not followed.

    Folders that are missing are made.

    Args:
        path: The file.
        content: What it contains afterwards.
        within: A folder above the file, such as a store: below it no folder may be a link.

    Raises:
        SweepError: The file cannot be written.
    """
    base = path.parent if within is None else within
    try:
        base.mkdir(parents=True, exist_ok=True)
        folder = Directory(base)
        for name in path.parent.relative_to(base).parts:
            folder = folder.folder(name, create=True)
        folder.replace(path.name, content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(
            f"{path} cannot be written: {reason}. Give another place with --out, or make the "
            "folder writable."
        ) from error
