"""Grid files: from YAML to lazy blocks of trials. `parse` and `load` lead in, `Grid` and `Block` come out."""

from __future__ import annotations

from sweep.filters import COORDINATES
from sweep.grid.block import Block
from sweep.grid.jsonschema import file_model, json_schema
from sweep.grid.parsing import Grid, load, parse
from sweep.grid.settings import Settings

__all__ = ["COORDINATES", "Block", "Grid", "Settings", "file_model", "json_schema", "load", "parse"]
