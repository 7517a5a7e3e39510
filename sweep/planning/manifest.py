"""The manifest of a store: everything that its results depend on, and texts for readers."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from sweep import schema, spec
from sweep.grid import Grid
from sweep.grid.fields.settings import Settings
from sweep.grid.fields.validation import seed_fields
from sweep.jax_settings import foreign_settings
from sweep.observables import columns_of, observable_columns
from sweep.optimizers import LABELS
from sweep.schema import STANDARD_OBSERVABLES, ColumnInfo, Observable
from sweep.trial import defaults, parts_of

VERSIONED = ("jax-sweep", "jax", "jaxlib", "optax", "flax")
"""Packages whose version may change the bits of a result."""


def results_identity(
    grid: Grid, dtype: str, platform: str, plugins: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """The manifest of a store of the grid, except the key `info`, in plain JSON values.

    A store accepts another grid or run only where this is equal.

    Args:
        grid: The grid.
        dtype: The name of the floating-point type of the training.
        platform: The jax platform it runs on.
        plugins: The digests of the files of each plugin, by its module.
    """
    settings = grid.settings
    identity = {
        "name": grid.name,
        "schema": schema.VERSION,
        "columns": schema.columns_to_text(all_columns(grid)),
        # Ids ignore fields at their default, so a changed default would give old ids a new meaning.
        "defaults": defaults(block.kinds for block in grid.blocks),
        "coordinates": settings.coordinates,
        "record": _record(settings),
        "test_points": settings.test_points,
        "dtype": dtype,
        "platform": platform,
        "versions": {name: _version(name) for name in VERSIONED},
    }
    # Left out where there are none, as in the manifests of versions that did not record them.
    optional = {
        "validation_points": settings.validation_points,
        "settings": foreign_settings(),
        "plugins": dict(plugins or {}),
    }
    return {**identity, **{key: value for key, value in optional.items() if value}}


def _record(settings: Settings) -> dict[str, Any]:
    """What is recorded, without metrics where there are none, as in earlier manifests."""
    record = {"points": settings.record_points, "test": settings.record_test}
    return {**record, "metrics": list(settings.metrics)} if settings.metrics else record


def all_columns(grid: Grid) -> dict[str, type]:
    """The columns of a grid, and those of observables that not every store has."""
    return {**grid.columns, **dict.fromkeys(_observed(grid), Observable)}


def _observed(grid: Grid) -> dict[str, ColumnInfo]:
    """The columns of observables that not every store has, by what a trial of each block has."""
    settings, columns = grid.settings, dict[str, ColumnInfo]()
    for block in grid.blocks:
        if block.size:
            columns |= columns_of(
                block.example(), settings.metrics, bool(settings.validation_points)
            )
    return columns


def descriptions(grid: Grid) -> dict[str, dict[str, Any]]:
    """The meaning of each column, the definition of each kind and its label, if it has one.

    Recorded in the manifest for readers of the tables, but never compared.
    """
    parts = {part for block in grid.blocks for part in parts_of(block.kinds)}
    standard = {
        name: info for name, info in observable_columns().items() if name in STANDARD_OBSERVABLES
    }
    columns: dict[str, ColumnInfo] = {
        name: dataclasses.replace(info, part="observable")
        for name, info in {**standard, **_observed(grid)}.items()
    }
    if "init_seed" in grid.columns:
        seed = seed_fields()["init_seed"]
        columns["init_seed"] = ColumnInfo(seed.doc, label=seed.label, part="seed")
    definitions: dict[str, str] = {}
    for slot, kind, cls in sorted(parts, key=lambda part: (part[0].family, part[1], part[0].name)):
        # Families may share a column name; the first of them, and observables, take precedence.
        columns = {**spec.column_infos(cls, slot.family, slot.prefix), **columns}
        definitions[f"{slot.family} {kind}"] = spec.definition(cls)
    return {
        "meanings": {name: info.to_json() for name, info in columns.items()},
        "definitions": definitions,
        "labels": {
            f"optimizer {kind}": LABELS[kind]
            for kind in sorted({kind for slot, kind, _ in parts if slot.family == "optimizer"})
            if kind in LABELS
        },
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
