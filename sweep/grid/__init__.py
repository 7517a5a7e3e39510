"""Grid files: `parse_grid` and `load_grid` turn YAML into a `Grid` of lazy `Block`s of trials.

Names are imported on first use: whoever needs the YAML reader alone needs no jax.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

# Type checkers cannot follow `__getattr__`, so for them the names are imported as usual.
if TYPE_CHECKING:
    from sweep.filters import COORDINATES
    from sweep.grid.fields.json_schema import file_model, json_schema
    from sweep.grid.fields.settings import Settings
    from sweep.grid.loader import Grid, load_grid, parse_grid, parse_kept_grid
    from sweep.grid.product.block import Block

_MODULES = {
    "COORDINATES": "sweep.filters",
    "Block": "sweep.grid.product.block",
    "Grid": "sweep.grid.loader",
    "Settings": "sweep.grid.fields.settings",
    "file_model": "sweep.grid.fields.json_schema",
    "json_schema": "sweep.grid.fields.json_schema",
    "load_grid": "sweep.grid.loader",
    "parse_grid": "sweep.grid.loader",
    "parse_kept_grid": "sweep.grid.loader",
}
"""Public name -> the module that defines it."""

__all__ = [
    "COORDINATES",
    "Block",
    "Grid",
    "Settings",
    "file_model",
    "json_schema",
    "load_grid",
    "parse_grid",
    "parse_kept_grid",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    # The next access finds the name without coming here.
    globals()[name] = value
    return value
