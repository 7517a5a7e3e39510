"""What the results of a grid depend on: what its store is compared by."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from typing import Any

from sweep import schema, spec
from sweep.grid import Grid
from sweep.observables import observable_columns, plugin_columns
from sweep.schema import ColumnInfo, Observable
from sweep.trial import defaults, find_kind

VERSIONED = ("jax-sweep", "jax", "jaxlib", "optax", "flax")
"""Packages whose version is part of the bits of a result."""


def results_identity(grid: Grid, dtype: str, platform: str) -> dict[str, Any]:
    """The manifest of a store of the grid, all but the key `info`; plain JSON values."""
    settings = grid.settings
    return {
        "name": grid.name,
        "schema": schema.VERSION,
        "columns": schema.columns_to_text(all_columns(grid)),
        "defaults": defaults(block.kinds for block in grid.blocks),
        "coordinates": settings.coordinates,
        "record": {"points": settings.record_points, "test": settings.record_test},
        "test_points": settings.test_points,
        "dtype": dtype,
        "platform": platform,
        "versions": {name: _version(name) for name in VERSIONED},
    }


def all_columns(grid: Grid) -> dict[str, type]:
    """The columns of a grid with those of observables that a plugin adds."""
    return {**grid.columns, **dict.fromkeys(plugin_columns(), Observable)}


def descriptions(grid: Grid) -> dict[str, dict[str, Any]]:
    """What readers of the tables need to know: the meaning of each column, and the definition of each kind.

    Recorded in the manifest, never compared.
    """
    kinds = {(family, kind) for block in grid.blocks for family, kind in block.kinds.items()}
    columns: dict[str, ColumnInfo] = dict(observable_columns())
    columns = {name: dataclasses.replace(info, part="observable") for name, info in columns.items()}
    definitions: dict[str, str] = {}
    for family, kind in sorted({*kinds, ("train", "train")}):
        cls = find_kind(family, kind)
        if cls is not None:
            columns = {**spec.column_infos(cls, family), **columns}
            definitions[f"{family} {kind}"] = spec.definition(cls)
    return {
        "meanings": {name: info.to_json() for name, info in columns.items()},
        "definitions": definitions,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
