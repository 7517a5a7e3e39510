"""The manifest of a store: everything that its results depend on, and texts for readers."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from sweep import schema, spec
from sweep.grid import Grid
from sweep.grid.fields.validation import seed_fields
from sweep.jax_settings import foreign_settings
from sweep.observables import VALIDATED, further_columns, observable_columns
from sweep.optimizers import LABELS
from sweep.schema import ColumnInfo, Observable
from sweep.trial import defaults, find_kind

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
        "record": {"points": settings.record_points, "test": settings.record_test},
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


def all_columns(grid: Grid) -> dict[str, type]:
    """The columns of a grid, and those of observables that not every store has."""
    further = further_columns(bool(grid.settings.validation_points))
    return {**grid.columns, **dict.fromkeys(further, Observable)}


def descriptions(grid: Grid) -> dict[str, dict[str, Any]]:
    """The meaning of each column, the definition of each kind and its label, if it has one.

    Recorded in the manifest for readers of the tables, but never compared.
    """
    kinds = {(family, kind) for block in grid.blocks for family, kind in block.kinds.items()}
    absent = () if grid.settings.validation_points else VALIDATED
    columns: dict[str, ColumnInfo] = {
        name: dataclasses.replace(info, part="observable")
        for name, info in observable_columns().items()
        if name not in absent
    }
    if "init_seed" in grid.columns:
        seed = seed_fields()["init_seed"]
        columns["init_seed"] = ColumnInfo(seed.doc, label=seed.label, part="seed")
    definitions: dict[str, str] = {}
    for family, kind in sorted({*kinds, ("train", "train")}):
        cls = find_kind(family, kind)
        if cls is not None:
            # Families may share a column name; the first of them, and observables, take precedence.
            columns = {**spec.column_infos(cls, family), **columns}
            definitions[f"{family} {kind}"] = spec.definition(cls)
    return {
        "meanings": {name: info.to_json() for name, info in columns.items()},
        "definitions": definitions,
        "labels": {
            f"{family} {kind}": LABELS[kind]
            for family, kind in sorted(kinds)
            if family == "optimizer" and kind in LABELS
        },
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
