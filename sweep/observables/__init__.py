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

__all__ = ["KINDS", "AbstractObservable", "Snapshot", "observable_columns", "plugin_columns"]


def observable_columns() -> dict[str, ColumnInfo]:
    """The columns of all registered observables, with their meaning."""
    return {name: info for kind in KINDS.values() for name, info in kind.columns.items()}


def plugin_columns() -> list[str]:
    """Columns of the observables that plugins registered; not every store has them."""
    # `KINDS` is read at each call, since plugins may be imported after this module.
    return [name for name in observable_columns() if name not in STANDARD_OBSERVABLES]
