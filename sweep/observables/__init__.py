"""What is measured during and at the end of a training; plugins add to `KINDS`."""

from __future__ import annotations

from sweep.observables.alignment import Alignment
from sweep.observables.base import AbstractObservable, Snapshot
from sweep.observables.losses import Losses
from sweep.observables.margins import NormalizedMargins
from sweep.observables.norms import Norms
from sweep.schema import STANDARD_OBSERVABLES, ColumnInfo

KINDS: dict[str, type[AbstractObservable]] = {
    "losses": Losses,
    "alignment": Alignment,
    "margins": NormalizedMargins,
    "norms": Norms,
}

VALIDATED = ("validation_loss", "validation_error")
"""Columns that only a grid with `validation_points` has."""

__all__ = [
    "KINDS",
    "VALIDATED",
    "AbstractObservable",
    "Snapshot",
    "further_columns",
    "observable_columns",
]


def observable_columns() -> dict[str, ColumnInfo]:
    """The columns of all registered observables, with their meaning."""
    return {name: info for kind in KINDS.values() for name, info in kind.columns.items()}


def further_columns(validated: bool) -> list[str]:
    """Columns of observables that not every store has: newer ones, and those that plugins add.

    `validated`: whether there are validation points.
    """
    absent = STANDARD_OBSERVABLES if validated else (*STANDARD_OBSERVABLES, *VALIDATED)
    # `KINDS` is read at each call, since plugins may be imported after this module.
    return [name for name in observable_columns() if name not in absent]
