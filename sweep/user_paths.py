"""Paths as users write them, on a command line or from Python."""

from __future__ import annotations

import os
from pathlib import Path

from sweep.errors import SweepError


def user_path(path: str | Path) -> Path:
    """A path whose leading `~` is the home folder.

    A shell does not expand it inside of quotes or after `--out=`, and Python never does.

    Raises:
        SweepError: the text is empty, as an unset variable is, or cannot be a path here.
    """
    if not str(path):
        raise SweepError("The path is empty. Give one, such as . for the working directory.")
    if "\0" in str(path):
        raise SweepError(f"{str(path)!r} holds a null character, which no path can. Remove it.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SweepError(f"{path} names no home folder here. Write the path in full.") from error


def require_folder(path: Path) -> Path:
    """The path of a folder that exists or can be made.

    Raises:
        SweepError: a file has its name, or that of a folder above it.
    """
    existing = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    if os.path.lexists(existing) and not existing.is_dir():
        raise SweepError(f"{path} cannot be a folder: {existing} is a file. Use another --out.")
    return path
