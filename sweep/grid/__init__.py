"""Grid files: from YAML to lazy blocks of trials. `parse` and `load` lead in, `Grid` and `Block` come out."""

from __future__ import annotations

from sweep.grid.block import Block
from sweep.grid.parsing import COORDINATES, Grid, Settings, file_model, json_schema, load, parse

__all__ = ["COORDINATES", "Block", "Grid", "Settings", "file_model", "json_schema", "load", "parse"]
