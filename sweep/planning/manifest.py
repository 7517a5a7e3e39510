"""What the results of a grid depend on: what its store is compared by."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from sweep import schema
from sweep.grid import Grid
from sweep.trial import defaults

VERSIONED = ("jax-sweep", "jax", "jaxlib", "optax", "flax")
"""Packages whose version is part of the bits of a result."""


def results_identity(grid: Grid, dtype: str, platform: str) -> dict[str, Any]:
    """The manifest of a store of the grid, all but the key `info`; plain JSON values."""
    settings = grid.settings
    return {
        "name": grid.name,
        "schema": schema.VERSION,
        "columns": schema.columns_to_text(grid.columns),
        "defaults": defaults(block.kinds for block in grid.blocks),
        "coordinates": settings.coordinates,
        "record": {"points": settings.record_points, "test": settings.record_test},
        "test_points": settings.test_points,
        "dtype": dtype,
        "platform": platform,
        "versions": {name: _version(name) for name in VERSIONED},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
