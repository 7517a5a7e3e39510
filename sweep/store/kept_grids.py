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
from sweep.store.manifest_file import GRID_DIGEST, read_manifest

_CURE = "Move it away; the next run of this grid writes it again"


def grid_digest(text: bytes) -> str:
    """The SHA-256 of the text of a grid, in hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()


def keep_grid(folder: Directory, text: bytes, manifest: Mapping[str, Any]) -> Path:
    """Copy a grid into a store unless it is there; returns the path of the copy.

    Raises OSError if it cannot be written, and StoreError if a kept grid is damaged.
    """
    for path, what, cure in damaged_grids(folder.path, manifest):
        raise StoreError(f"{path} {what}. {cure}.")
    copy = _copy_grid(folder, text, manifest)
    names_one = len(grid_files(folder.path)) > 1 or folder.status(CURRENT_GRID)
    if names_one and current_grid(folder.path) != copy:
        folder.replace(CURRENT_GRID, copy.name.encode())
    return copy


def current_grid(folder: Path) -> Path | None:
    """The grid that was run last in a store, None if it does not say."""
    grids = {path.name: path for path in grid_files(folder)}
    if os.path.lexists(folder / CURRENT_GRID):
        with suppress(OSError, ValueError):
            return grids.get(read_file(folder / CURRENT_GRID).decode())
        return None
    return next(iter(grids.values())) if len(grids) == 1 else None


def has_lost_current_grid(folder: Path) -> bool:
    """Whether the grid that was run last in a store is not there any more, or is not known."""
    return os.path.lexists(folder / CURRENT_GRID) and current_grid(folder) is None


def _copy_grid(folder: Directory, text: bytes, manifest: Mapping[str, Any]) -> Path:
    first = folder.path / GRID_FILE
    digest = grid_digest(text)
    if _first_digest(manifest) in ("", digest):
        folder.write_once(GRID_FILE, text)
        if _read(first) == text:
            return first
    path = later_grid(folder.path, digest)
    folder.write_once(path.name, text)
    return path


def damaged_grids(folder: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Copies that differ from what was written: path, fault and cure."""
    for path in grid_files(folder):
        try:
            text = _read(path)
        except StoreError as error:
            yield path, f"cannot be read: {error.__cause__}", _CURE
            continue
        if not _is_as_copied(path, text, manifest):
            yield path, "is not the grid that was copied here", _CURE


def lost_grids(folder: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Grids that the store is known to have had: path, fault and cure."""
    if _first_digest(manifest) and not os.path.lexists(folder / GRID_FILE):
        yield folder / GRID_FILE, "is missing", "Run the first grid again, which writes it"
    if has_lost_current_grid(folder):
        what, cure = "does not name a grid of the store", "Run the last grid again"
        yield folder / CURRENT_GRID, what, cure


def _is_as_copied(path: Path, text: bytes, manifest: Mapping[str, Any]) -> bool:
    """Whether the text of a kept grid has the digest that its name or the manifest states."""
    digest = grid_digest(text)
    if path.name == GRID_FILE:
        return _first_digest(manifest) in ("", digest)
    return path.name == later_grid(path.parent, digest).name


def _first_digest(manifest: Mapping[str, Any]) -> str:
    """The digest of the first grid by the manifest, "" if that does not state it."""
    return str(to_dict(manifest.get(INFO)).get(GRID_DIGEST, ""))


def read_grid(path: Path) -> bytes:
    """The text of a grid file, which for one that a store keeps is compared with its digest.

    Raises StoreError if it cannot be read or is damaged.
    """
    text, manifest = _read(path), dict[str, Any]()
    with suppress(StoreError):  # a folder without a manifest keeps no digest
        manifest = read_manifest(path.parent)
    with reading_errors(path, _CURE):
        if path in grid_files(path.parent) and not _is_as_copied(path, text, manifest):
            raise ValueError("it is not the grid that was copied here")
    return text


def _read(path: Path) -> bytes:
    """The content of a grid file. Raises StoreError if it cannot be read."""
    with reading_errors(path, _CURE):
        return read_file(path)
