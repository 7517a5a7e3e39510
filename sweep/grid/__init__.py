"""Grid files: `parse_grid` and `load_grid` turn YAML into a `Grid` of lazy `Block`s of trials."""

from __future__ import annotations

from sweep.filters import COORDINATES
from sweep.grid.fields.json_schema import file_model, json_schema
from sweep.grid.fields.settings import Settings
from sweep.grid.loader import Grid, load_grid, parse_grid
from sweep.grid.product.block import Block

__all__ = [
    "COORDINATES",
    "Block",
    "Grid",
    "Settings",
    "file_model",
    "json_schema",
    "load_grid",
    "parse_grid",
]
