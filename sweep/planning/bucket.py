"""A bucket: trials that share one compiled program, and the slices in which workers claim them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweep.grid import Block
from sweep.planning.cost_model import Cost
from sweep.trial import Trial

TITLE_FIELDS = ("n", "d", "sparsity", "width", "batch_size")
"""Static fields that the title of a bucket shows."""


LATER = {"curriculum": "everything", "sampling": "permutation", "odd": False}
LATER_FIELDS = {"sampling", "odd", "gain"}
"""Kinds and fields younger than the stores that may be resumed: by default they change no name of a
program."""


@dataclass(frozen=True)
class Bucket:
    """Trials that share one compiled program: rows of a block with equal static fields.

    Attributes:
        source: the block.
        statics: the static fields; of a padded size the largest, for which arrays are allocated.
        rows: row numbers of the trials that are left to do.
        planned: number of trials before finished ones were taken away.
        sizes: names of the padded sizes, the only static fields in which trials may differ.
        cost: the cost of one padded trial.
        waste: the fraction of the estimated work that is padding.
        bytes: memory of a lane.
        lanes: number of trials on the device of a worker at once; no part of the bits of a result.
        block: number of lanes under one vmap; part of the bits of a result.
        name: tells it from buckets of other blocks and shares that have the same program.
        span: workers claim its trials in slices of this many rows of the block.
    """

    source: Block
    statics: Mapping[str, Any]
    rows: np.ndarray
    planned: int
    sizes: tuple[str, ...]
    cost: Cost
    waste: float = 0.0
    bytes: int = 0
    lanes: int = 1
    block: int = 1
    name: str = ""
    span: int = 1

    @functools.cached_property
    def id(self) -> str:
        """Name of its program: 16 hexadecimal digits."""
        lane_fields = sorted(self.source.values(np.zeros(0, np.int64)).keys() - LATER_FIELDS)
        named = (self.source.kinds, self.statics)
        kinds, statics = (sorted(part.items() - LATER.items()) for part in named)
        text = repr((kinds, statics, self.sizes, lane_fields))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def title(self) -> str:
        """A short description for people: kinds, sizes and coordinates."""
        named = {slot: kind for slot, kind in self.source.kinds.items() if slot != "schedule"}
        kinds = [kind for slot, kind in named.items() if (slot, kind) not in LATER.items()]
        fields = [name for name in TITLE_FIELDS if self.statics.get(name)]
        signs = {name: "<=" if name in self.sizes else "=" for name in fields}
        sizes = [f"{name}{sign}{self.statics[name]}" for name, sign in signs.items()]
        return f"{' '.join(kinds)} {' '.join(sizes)} {self.statics['coordinates']}"

    def trials(self) -> Trial:
        """All its trials as one batch: lane fields are arrays (trials,), static fields scalars."""
        return self.source.trial(self.rows, self.statics, self.sizes)

    def slices(self) -> Iterator[tuple[str, np.ndarray]]:
        """Its trials in slices: a name on which all workers agree, and indices into `rows`."""
        if len(self.rows) == 0:
            return
        # By row number, not by position: positions shift as trials finish, names must not.
        slice_numbers = self.rows // self.span
        order = np.argsort(slice_numbers, kind="stable")
        numbers, starts = np.unique(slice_numbers[order], return_index=True)
        for number, indices in zip(numbers, np.split(order, starts[1:]), strict=True):
            yield f"{self.name}-{number}", indices

    def smaller(self) -> Bucket | None:
        """The same with half the lanes, for a device too small; None if it has one lane only."""
        if self.lanes > self.block:
            return replace(self, lanes=self.block * max(1, self.lanes // self.block // 2))
        half = self.block // 2
        return replace(self, block=half, lanes=half) if half else None

    def seconds(self) -> float:
        """Estimated seconds on one core, without compilation."""
        return len(self.rows) * self.cost.seconds
