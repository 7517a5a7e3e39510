"""What the columns of tables mean, as the manifests of loaded stores say it: no kind is known here by name.

A column has one meaning wherever it occurs, so what was read of it is kept for the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.schema import STANDARD_OBSERVABLES, ColumnInfo

_COLUMNS: dict[str, ColumnInfo] = {}
_DEFINITIONS: dict[tuple[str, str], str] = {}


def read_descriptions(manifest: Mapping[str, Any]) -> None:
    """Keep what a manifest says of columns and kinds; a store of version 0.2 says nothing."""
    info = manifest.get("info")
    if not isinstance(info, Mapping):
        return
    for name, entries in _mapping(info.get("meanings")).items():
        _COLUMNS[name] = ColumnInfo.from_json(_mapping(entries))
    for name, text in _mapping(info.get("definitions")).items():
        family, _, kind = name.partition(" ")
        _DEFINITIONS[family, kind] = str(text)


def column_info(name: str) -> ColumnInfo:
    """What is known of a column: nothing where no loaded store describes it."""
    return _COLUMNS.get(name, ColumnInfo())


def observable_names() -> list[str]:
    """Columns that were measured: those of every store, then those that plugins added."""
    added = [name for name, info in _COLUMNS.items() if info.part == "observable"]
    return list(dict.fromkeys((*STANDARD_OBSERVABLES, *added)))


def kind_definition(family: str, kind: str) -> str:
    """The definition of a kind (`data`, `feature_noise`), "" where no loaded store has one."""
    return _DEFINITIONS.get((family, kind), "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
