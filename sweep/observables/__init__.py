"""What is measured during and at the end of a training; plugins add to `KINDS`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.observables.alignment import Alignment
from sweep.observables.base import AbstractObservable, Snapshot
from sweep.observables.curvature import HessianTrace, StableRank
from sweep.observables.groups import GroupErrors
from sweep.observables.losses import Losses
from sweep.observables.margins import NormalizedMargins
from sweep.observables.norms import Norms
from sweep.observables.sparsity import WeightSparsity
from sweep.schema import STANDARD_OBSERVABLES, ColumnInfo
from sweep.trial import Trial

KINDS: dict[str, type[AbstractObservable]] = {
    "losses": Losses,
    "groups": GroupErrors,
    "alignment": Alignment,
    "margins": NormalizedMargins,
    "norms": Norms,
    "weight_sparsity": WeightSparsity,
    "stable_rank": StableRank,
    "hessian_trace": HessianTrace,
}

VALIDATED = ("validation_loss", "validation_error")
"""Columns that only a grid with `validation_points` has."""

__all__ = [
    "KINDS",
    "VALIDATED",
    "AbstractObservable",
    "Snapshot",
    "columns_of",
    "measured_kinds",
    "observable_columns",
    "on_request",
]


def observable_columns() -> dict[str, ColumnInfo]:
    """The columns of all registered observables whose names do not depend on the trial."""
    return {name: info for kind in KINDS.values() for name, info in kind.columns.items()}


def on_request() -> list[str]:
    """The observables that a grid has to name in `record: {metrics: [...]}`."""
    # `KINDS` is read at each call, since plugins may be imported after this module.
    return [name for name, kind in KINDS.items() if kind.on_request]


def measured_kinds(trial: Trial, metrics: Sequence[str]) -> Iterator[type[AbstractObservable]]:
    """The observables that are measured on a trial.

    Args:
        trial: The trial.
        metrics: Those of `on_request` that the grid names.
    """
    for name, kind in KINDS.items():
        if (not kind.on_request or name in metrics) and kind.columns_of(trial):
            yield kind


def columns_of(trial: Trial, metrics: Sequence[str], validated: bool) -> dict[str, ColumnInfo]:
    """The columns that a trial has beside the standard ones, with their meaning.

    Args:
        trial: The trial.
        metrics: Those of `on_request` that the grid names.
        validated: Whether there are validation points.
    """
    absent = STANDARD_OBSERVABLES if validated else (*STANDARD_OBSERVABLES, *VALIDATED)
    columns = {
        name: info
        for kind in measured_kinds(trial, metrics)
        for name, info in kind.columns_of(trial).items()
    }
    return {name: info for name, info in columns.items() if name not in absent}
