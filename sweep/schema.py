"""Names and types of the columns: what the tables of a sweep hold. Everything that reads a table starts here."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

VERSION = 2
"""Raised when the meaning of a column changes; a store of another version is refused."""

RUNS, CURVES = "runs", "curves"

IDS = {"trial": pa.int64(), "problem": pa.int64()}
KINDS = {name: pa.string() for name in ("data", "model", "objective", "optimizer")}

OBSERVABLES: dict[str, str] = {
    "train_loss": "mean training loss, without the l2 term",
    "train_error": "share of training points with margin <= 0 against the label the learner saw",
    "test_loss": "mean loss on fresh points",
    "test_error": "share of fresh points with margin <= 0",
    "generalization_gap": "test_error - train_error",
    "feature": "min over the classes j of max_r <w_{j,r}, j v>, v the unit feature direction",
    "feature_pos": "max_r <w_{+1,r}, v>",
    "feature_neg": "max_r <w_{-1,r}, -v>",
    "noise_min": "min over training points i of max_r <w_{y_i,r}, xi_i>",
    "noise_mean": "mean over training points of max_r <w_{y_i,r}, xi_i>",
    "noise_max": "max over training points of max_r <w_{y_i,r}, xi_i>",
    "margin_l2": "min_i y_i f(x_i) / ||w||_2 of a linear model",
    "margin_linf": "min_i y_i f(x_i) / ||w||_inf of a linear model",
    "grad_norm": "Euclidean norm of the gradient, with the l2 term",
    "weight_norm": "Euclidean norm of all weights",
    "weight_max": "largest absolute weight",
}
"""Floating-point columns of both tables, with their meaning; null where a model or a data set has no such thing."""

OUTCOME = {"coordinates": pa.string(), "status": pa.string(), "steps": pa.int64(), "fit_step": pa.int64()}
"""`steps`: updates made. `fit_step`: first recorded step with no training error, null if there is none."""

_TYPES: dict[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def runs(fields: Mapping[str, type]) -> pa.Schema:
    """Schema of the runs table: one row a trial.

    `fields` maps every other column of the sweep (`n`, `snr`, `lr`, `schedule`, ...) to bool, int, float or str.
    """
    own = {name: _TYPES[kind] for name, kind in fields.items() if name != "seed"}
    observed = dict.fromkeys(OBSERVABLES, pa.float64())
    return pa.schema(list({**IDS, **KINDS, "seed": pa.int64(), **own, **OUTCOME, **observed}.items()))


def columns_to_text(fields: Mapping[str, type]) -> dict[str, str]:
    """Fields as words that a file can hold."""
    return {name: kind.__name__ for name, kind in fields.items()}


def columns_from_text(words: Mapping[str, str]) -> dict[str, type]:
    """Fields from such words."""
    kinds = {kind.__name__: kind for kind in _TYPES}
    return {name: kinds[word] for name, word in words.items()}


def curves() -> pa.Schema:
    """Schema of the curves table: one row a trial and recorded step."""
    return pa.schema([("trial", pa.int64()), ("step", pa.int64()), *((name, pa.float64()) for name in OBSERVABLES)])


FIXED = frozenset({*IDS, *KINDS, "seed", *OUTCOME, *OBSERVABLES, "step"})
"""Column names that no field of a part may take."""

MANIFEST_FILE, GRID_FILE, GRID_FILES = "manifest.json", "grid.yaml", "grid*.yaml"
"""Files in a store: its manifest, the grid that created it, a pattern for all of its grids."""
