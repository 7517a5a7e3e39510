"""Names and types of the columns: what the tables of a sweep hold. Everything that reads a table starts here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

VERSION = 2
"""Raised when the meaning of a column changes; a store of another version is refused."""

RUNS, CURVES = "runs", "curves"

IDS = {"trial": pa.int64(), "problem": pa.int64()}
KINDS = {name: pa.string() for name in ("data", "model", "objective", "optimizer")}

STANDARD_OBSERVABLES = (
    "train_loss",
    "train_error",
    "test_loss",
    "test_error",
    "generalization_gap",
    "feature",
    "feature_pos",
    "feature_neg",
    "noise_min",
    "noise_mean",
    "noise_max",
    "margin_l2",
    "margin_linf",
    "grad_norm",
    "weight_norm",
    "weight_max",
)
"""Floating-point columns that both tables of every store have; `sweep.observables` declares them.

They are null where a network or a data set has no such thing.
"""

OUTCOME = {
    "coordinates": pa.string(),
    "status": pa.string(),
    "steps": pa.int64(),
    "fit_step": pa.int64(),
}
"""`steps`: updates made. `fit_step`: first recorded step with no training error, null if there is none."""


class Observable(float):
    """The type of a column that an observable makes, rather than a field of the grid."""


_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    Observable: pa.float64(),
}


@dataclass(frozen=True)
class ColumnInfo:
    """What a column means and how people read it. Declared where the column is made, kept in the manifest.

    `meaning` is a definition, `label` a short name for an axis, `symbol` its letter, `formula` the definition in
    matplotlib's mathtext, `explanation` a sentence for readers of a report. `sense` is `less` or `more` where such values
    are good, `signed` where the sign matters; `scale` is `log` or `linear`. `part` is the part of a trial that a field belongs to, `observable` for a measurement.
    """

    meaning: str = ""
    label: str = ""
    symbol: str = ""
    unit: str = ""
    formula: str = ""
    explanation: str = ""
    sense: str = ""
    scale: str = ""
    part: str = ""

    def to_json(self) -> dict[str, str]:
        """The entries that say something, for a manifest."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> ColumnInfo:
        """The information in such entries; unknown ones, of a later version, are left out."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: str(value) for name, value in entries.items() if name in names})


def runs(fields: Mapping[str, type]) -> pa.Schema:
    """Schema of the runs table: one row a trial.

    `fields` maps every other column of the sweep (`n`, `snr`, `lr`, `schedule`, ...) to bool, int, float or str, and
    observables that are not standard to `Observable`.
    """
    declared = {
        name: _TYPES[kind]
        for name, kind in fields.items()
        if kind is not Observable and name != "seed"
    }
    columns = {**IDS, **KINDS, "seed": pa.int64(), **declared, **OUTCOME, **_observables(fields)}
    return pa.schema(list(columns.items()))


def _observables(fields: Mapping[str, type]) -> dict[str, pa.DataType]:
    further = (name for name, kind in fields.items() if kind is Observable)
    return dict.fromkeys((*STANDARD_OBSERVABLES, *further), pa.float64())


def columns_to_text(fields: Mapping[str, type]) -> dict[str, str]:
    """Fields as words that a file can hold."""
    return {name: kind.__name__ for name, kind in fields.items()}


def columns_from_text(words: Mapping[str, str]) -> dict[str, type]:
    """Fields from such words."""
    kinds = {kind.__name__: kind for kind in _TYPES}
    return {name: kinds[word] for name, word in words.items()}


def curves(fields: Mapping[str, type] | None = None) -> pa.Schema:
    """Schema of the curves table: one row a trial and recorded step, with the observables among `fields`."""
    return pa.schema(
        [("trial", pa.int64()), ("step", pa.int64()), *_observables(fields or {}).items()]
    )


def tables(columns: Mapping[str, str]) -> dict[str, pa.Schema]:
    """The schemas of both tables, from the columns as a manifest has them."""
    fields = columns_from_text(columns)
    return {RUNS: runs(fields), CURVES: curves(fields)}


FIXED = frozenset({*IDS, *KINDS, "seed", *OUTCOME, *STANDARD_OBSERVABLES, "step"})
"""Column names that no field of a part may take."""

MANIFEST_FILE, GRID_FILE, GRID_FILES = "manifest.json", "grid.yaml", "grid*.yaml"
"""Files in a store: its manifest, the grid that created it, a pattern for all of its grids."""
