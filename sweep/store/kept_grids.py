"""The copies of grid files that a store keeps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweep.errors import StoreError
from sweep.schema import GRID_FILE
from sweep.store.directory import Directory, read_file
from sweep.store.io_errors import reading_errors
from sweep.store.layout import CURRENT_GRID, grid_files, later_grid
from sweep.store.manifest_diff import INFO, to_dict
from sweep.store.manifest_file import GRID_DIGEST

_CURE = "Delete it; the next run of this grid writes it again"


def grid_digest(text: bytes) -> str:
    """The SHA-256 of the text of a grid, in hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()


def keep_grid(folder: Directory, text: bytes, manifest: Mapping[str, Any]) -> Path:
    """Copy a grid into a store unless it is there; returns the path of the copy.

    Raises OSError if it cannot be written, and StoreError if the store's first grid cannot be read.
    """
    copy = _copy_grid(folder, text, manifest)
    if len(grid_files(folder.path)) > 1 and current_grid(folder.path) != copy:
        folder.replace(CURRENT_GRID, copy.name.encode())
    return copy


def current_grid(folder: Path) -> Path | None:
    """The grid that was run last in a store, None if it does not say."""
    grids = {path.name: path for path in grid_files(folder)}
    if len(grids) == 1:
        return next(iter(grids.values()))
    with suppress(OSError, ValueError):
        return grids.get(read_file(folder / CURRENT_GRID).decode())
    return None


def _copy_grid(folder: Directory, text: bytes, manifest: Mapping[str, Any]) -> Path:
    first = folder.path / GRID_FILE
    digest = grid_digest(text)
    if _first_digest(manifest) in ("", digest):
        folder.write_once(GRID_FILE, text)
        if read_grid(first) == text:
            return first
    path = later_grid(folder.path, digest)
    folder.write_once(path.name, text)
    return path


def damaged_grids(folder: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Copies that differ from what was written: path, fault and cure."""
    for path in grid_files(folder):
        try:
            digest = grid_digest(read_grid(path))
        except StoreError as error:
            yield path, f"cannot be read: {error.__cause__}", _CURE
            continue
        if path.name == GRID_FILE:
            is_damaged = _first_digest(manifest) not in ("", digest)
        else:
            is_damaged = path != later_grid(folder, digest)
        if is_damaged:
            yield path, "is not the grid that was copied here", _CURE
    if os.path.lexists(folder / CURRENT_GRID) and current_grid(folder) is None:
        yield folder / CURRENT_GRID, "does not name a grid of the store", "Delete it"


def _first_digest(manifest: Mapping[str, Any]) -> str:
    """The digest of the first grid by the manifest, "" if that does not state it."""
    return str(to_dict(manifest.get(INFO)).get(GRID_DIGEST, ""))


def read_grid(path: Path) -> bytes:
    """The text of a kept grid. Raises StoreError if it cannot be read."""
    """The content of a grid of the store. Raises StoreError where it cannot be read."""
    with reading_errors(path, _CURE):
        return read_file(path)
