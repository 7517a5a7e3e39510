"""The manifest of a store: what its results depend on, and where and how they were made."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from sweep import schema
from sweep.errors import StoreError
from sweep.grid import Grid
from sweep.planning.manifest import descriptions, results_identity
from sweep.schema import MANIFEST_FILE


def new_manifest(
    grid: Grid, dtype: str, backend: str, plugins: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The manifest of a new store.

    Args:
        grid: the grid.
        dtype: `float32` or `float64`.
        backend: the jax platform.
        plugins: the digests of the files of each plugin.

    Returns:
        What results depend on, and under `info` what they don't; plain JSON values.
    """
    info: dict[str, Any] = {
        **descriptions(grid),
        "trials": grid.size,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        "processor": platform.machine(),
        "device": str(jax.devices()[0].device_kind),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "plugins": list(plugins),
    }
    commit = _commit()
    if commit:
        info["commit"] = commit
    return {**results_identity(grid, dtype, backend, plugins), "info": info}


def training_setup(folder: Path, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """The dtype and the jax platform that the rows of a store were trained with.

    Raises StoreError if its manifest does not say so.
    """
    dtype, backend = manifest.get("dtype"), manifest.get("platform")
    if dtype not in ("float32", "float64") or not isinstance(backend, str):
        raise StoreError(
            f"{folder / MANIFEST_FILE} does not say with which dtype and platform its rows were "
            "trained. Put the manifest of this sweep back."
        )
    return dtype, backend


def stored_columns(folder: Path, manifest: Mapping[str, Any]) -> dict[str, type]:
    """The columns of a store. Raises StoreError if its manifest names none, or unknown types."""
    try:
        return schema.columns_from_text(manifest["columns"])
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{folder / MANIFEST_FILE} does not state the types of the columns of this version. "
            "Put the manifest of this sweep back, or use another --out."
        ) from error


def _commit() -> str:
    """The commit of this code if it runs from a git checkout, otherwise ""."""
    folder = Path(__file__).parents[2]
    # Without this, git would find the repository of a project that has the package installed.
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.strip()
