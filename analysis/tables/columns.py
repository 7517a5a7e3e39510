"""What the columns of tables mean, read from the manifests of loaded stores.

No kind is hard-coded here. A column means the same in every store, so descriptions are kept for the
whole process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.schema import LATER_OBSERVABLES, STANDARD_OBSERVABLES, ColumnInfo

_COLUMNS: dict[str, ColumnInfo] = {}
_DEFINITIONS: dict[tuple[str, str], str] = {}
_LABELS: dict[tuple[str, str], str] = {}


def read_descriptions(manifest: Mapping[str, Any]) -> None:
    """Register the columns and kinds that a manifest describes; stores of version 0.2 have none."""
    info = manifest.get("info")
    if not isinstance(info, Mapping):
        return
    for name, entries in _mapping(info.get("meanings")).items():
        _COLUMNS[name] = ColumnInfo.from_json(_mapping(entries))
    for name, text in _mapping(info.get("definitions")).items():
        family, _, kind = name.partition(" ")
        _DEFINITIONS[family, kind] = str(text)
    for name, text in _mapping(info.get("labels")).items():
        family, _, kind = name.partition(" ")
        _LABELS[family, kind] = str(text)


def column_info(name: str) -> ColumnInfo:
    """The description of a column, an empty one where no loaded store describes it."""
    return _COLUMNS.get(name, ColumnInfo())


def observable_names() -> list[str]:
    """The measured columns: those of every store, of some stores, then those that plugins add.

    A table need not have all of them.
    """
    added = [name for name, info in _COLUMNS.items() if info.part == "observable"]
    return list(dict.fromkeys((*STANDARD_OBSERVABLES, *LATER_OBSERVABLES, *added)))


def kind_definition(family: str, kind: str) -> str:
    """The definition of a kind (`data`, `feature_noise`), "" where no loaded store has one."""
    return _DEFINITIONS.get((family, kind), "")


def kind_label(family: str, kind: str) -> str:
    """What readers call a kind, such as `Adam`: its name where no loaded store has another."""
    return _LABELS.get((family, kind)) or kind


def _mapping(value: object) -> Mapping[str, Any]:
    # A manifest edited by hand may hold anything; a report must still open.
    return value if isinstance(value, Mapping) else {}
