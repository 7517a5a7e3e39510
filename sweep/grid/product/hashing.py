"""Hashes of field values by row number; the id of a trial is a sum of them modulo 2^64."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from sweep.grid.product.space import Axes, Space, Table, canonical, union


def canonical_text(value: Any) -> str:
    """A value as text, for hashing and for messages; equal values have equal text."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    # Adding 0.0 turns -0.0 into 0.0.
    return f"{value + 0.0:.12g}" if isinstance(value, float | np.floating) else str(value)


def hash_value(name: str, value: Any) -> int:
    """A 64-bit hash of a field and its value."""
    digest = hashlib.blake2b(f"{name}={canonical_text(value)}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


class HashSum:
    """The sum of the hashes of several fields, for any rows of a space.

    A field at its default counts as nothing, so that a new field with a default changes no id.

    Args:
        space: the space of the rows.
        fields: name, values and default (None: the field always counts) of each field.
    """

    def __init__(self, space: Space, fields: Iterable[tuple[str, Table, Table | None]]) -> None:
        self.space = space
        # Fields over the same axes are summed once: one look-up per row and set of axes.
        self._sums: dict[Axes, np.ndarray] = {}
        for name, table, default in fields:
            axes, hashes = self._hashes(name, table, default)
            self._sums[axes] = self._sums[axes] + hashes if axes in self._sums else hashes

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The sums at these rows, uint64."""
        constant = self._sums.get((), np.zeros(1, np.uint64))[0]
        total = np.full(rows.shape, constant, np.uint64)
        for axes, hashes in self._sums.items():
            if axes:
                total += hashes[self.space.index(axes, rows)]
        return total

    def _hashes(self, name: str, table: Table, default: Table | None) -> tuple[Axes, np.ndarray]:
        """Hashes of one field over the axes on which its values or defaults depend."""
        distinct, codes = np.unique(table.values, return_inverse=True)
        hashes = np.array([hash_value(name, value) for value in distinct.tolist()], np.uint64)
        hashes = hashes[codes.ravel()]
        if default is None:
            return table.axes, hashes
        axes = union((table.axes, default.axes))
        values = self.space.spread(canonical(table.values), table.axes, axes)
        is_default = values == self.space.spread(canonical(default.values), default.axes, axes)
        hashes = self.space.spread(hashes, table.axes, axes)
        return axes, np.where(is_default, np.uint64(0), hashes).ravel()
