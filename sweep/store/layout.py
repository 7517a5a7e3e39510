"""Names of the files and folders in a store. Imports neither jax nor orbax."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sweep.schema import CURVES, GRID_FILES, RUNS

TABLES = (CURVES, RUNS)
"""Folders of parts, in the order in which a rewrite replaces them."""
CLAIMS = "claims"
CHECKPOINTS = "checkpoints"
BROKEN = "broken"
"""Folder of the parts that a repair moved aside."""
SWAP = "_swap"
"""This file exists while rewritten folders take the place of the old ones."""
CURRENT_GRID = "current-grid.txt"
"""Name of the grid that was run last, in a store of several."""
TEMPORARY = "_tmp-"
"""Prefix of files that are still being written. Readers of a whole folder skip a leading `_`."""

_GRID_NAME = re.compile(r"grid(-[0-9a-f]{8})?\.yaml")


def rewritten_folder(table: str) -> str:
    """The name of the folder in which a rewrite collects the joined parts of a table."""
    return f"_new-{table}"


def replaced_folder(table: str) -> str:
    """The name that the replaced folder of a table has until it is removed."""
    return f"_old-{table}"


def grid_files(folder: Path) -> list[Path]:
    """Grid files in a store: the one that created it, and each later one."""
    return sorted(path for path in folder.glob(GRID_FILES) if _GRID_NAME.fullmatch(path.name))


def later_grid(folder: Path, digest: str) -> Path:
    """Path of a grid that differs from the first one; `digest` is the SHA-256 of its text."""
    return folder / f"grid-{digest[:8]}.yaml"


def is_being_compacted(folder: Path) -> bool:
    """Whether a compaction is running in the store, or was interrupted."""
    return os.path.lexists(folder / SWAP)
