"""Names, types and meaning of the columns in the two tables of a sweep, `runs` and `curves`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

VERSION = 2
"""Increased when the meaning of a column changes; stores of a different version are rejected."""

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
"""Floating-point columns of both tables in every store; `sweep.observables` declares them.

They are null where they are not defined for a network or a data set.
"""

LATER_OBSERVABLES = ("test_ties", "validation_loss", "validation_error")
"""Observables that stores of version 0.3 lack; a manifest lists those that its store has."""

OUTCOME = {
    "coordinates": pa.string(),
    "status": pa.string(),
    "steps": pa.int64(),
    "fit_step": pa.int64(),
}
"""Columns that describe the end of a run.

`steps` counts the updates; `fit_step` is the first recorded step without a training error, or null.
"""


class Observable(float):
    """The declared type of a column that is measured, rather than a field of the grid."""


# `Observable` is a key of its own so that a manifest tells measured columns from float fields.
_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    Observable: pa.float64(),
}


@dataclass(frozen=True)
class ColumnInfo:
    """The meaning of a column and its presentation in reports; stored in the manifest.

    `meaning` is a definition, `label` a short axis label, `symbol` its letter, `formula` the
    definition in matplotlib's mathtext, `explanation` a sentence for reports. `sense` is `less` or
    `more` where lower or higher values are better, `signed` where the sign matters; `scale` is
    `log` or `linear`. `part` is the part of a trial that a field belongs to, `observable` for a
    measurement.
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
        """The entries that are not empty, for a manifest."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> ColumnInfo:
        """The inverse of `to_json`."""
        # A later version may have written entries that this one does not know; they are ignored.
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: str(value) for name, value in entries.items() if name in names})


def runs(fields: Mapping[str, type]) -> pa.Schema:
    """Schema of the runs table: one row per trial.

    `fields` maps the columns that depend on the grid (`n`, `snr`, `lr`, `schedule`, ...) to bool,
    int, float or str, and observables that are not standard to `Observable`.
    """
    # The seed is one of the fields but has a fixed position, like the ids and kinds.
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
    """The type of each column as text, for a manifest."""
    return {name: kind.__name__ for name, kind in fields.items()}


def columns_from_text(type_names: Mapping[str, str]) -> dict[str, type]:
    """The inverse of `columns_to_text`."""
    kinds = {kind.__name__: kind for kind in _TYPES}
    return {name: kinds[type_name] for name, type_name in type_names.items()}


def curves(fields: Mapping[str, type] | None = None) -> pa.Schema:
    """Schema of the curves table: one row per trial and recorded step.

    Of `fields` it has the observables alone.
    """
    return pa.schema(
        [("trial", pa.int64()), ("step", pa.int64()), *_observables(fields or {}).items()]
    )


def tables(columns: Mapping[str, str]) -> dict[str, pa.Schema]:
    """The schemas of both tables, from the columns in a manifest."""
    fields = columns_from_text(columns)
    return {RUNS: runs(fields), CURVES: curves(fields)}


FIXED = frozenset(
    {*IDS, *KINDS, "seed", *OUTCOME, *STANDARD_OBSERVABLES, *LATER_OBSERVABLES, "step"}
)
"""Column names that no field of a part may take."""

MANIFEST_FILE, GRID_FILE, GRID_FILES = "manifest.json", "grid.yaml", "grid*.yaml"
"""Files in a store: its manifest, the grid that created it, a pattern for all its grids."""
ROUND_FILES = "round-*.yaml"
"""Grids of the rounds of a refinement, which are one experiment, beside the store's own copies."""
