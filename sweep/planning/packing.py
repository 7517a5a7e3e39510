"""Which trials of a block share a program: equal static fields, or similar sizes padded to one.

A padded trial wastes time on zeros, a program takes seconds to compile: groups are joined while
that saves more than it wastes. The packing depends on the grid alone, so that a resumed sweep
repeats it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep import spec
from sweep.grid import Block, Settings
from sweep.models.base import AbstractFiltered
from sweep.planning import cost_model
from sweep.planning.cost_model import Cost

MOST_PAIRED = 32
"""With more groups than this, only neighbours in the order of sizes are candidates to join."""


@dataclass(frozen=True)
class Group:
    """Trials of a block that share a program; see `bucket.Bucket`.

    Attributes:
        statics: the static fields, a padded size at its maximum over the trials.
        pieces: arrays of row numbers, which together are the group's rows.
        steps: mean number of updates of a trial, estimated from a sample.
        cost: the cost of one padded trial.
        useful: seconds that all trials would take without padding.
        sizes: names of the padded static fields.
    """

    statics: Mapping[str, Any]
    pieces: tuple[np.ndarray, ...]
    steps: float
    cost: Cost
    useful: float
    sizes: tuple[str, ...] = ()

    @property
    def rows(self) -> np.ndarray:
        """Rows of the block that belong to the group, (count,)."""
        return self.pieces[0] if len(self.pieces) == 1 else np.concatenate(self.pieces)

    @functools.cached_property
    def count(self) -> int:
        """Number of trials."""
        return sum(map(len, self.pieces))

    @property
    def seconds(self) -> float:
        """Estimated seconds of all its trials."""
        return self.count * self.cost.seconds

    @property
    def waste(self) -> float:
        """The fraction of the work that is padding."""
        return 1 - self.useful / self.seconds


def packed_groups(source: Block, settings: Settings) -> list[Group]:
    """The groups of a block."""
    return _Packer(source, settings).joined() if source.size else []


class _Packer:
    """Groups the rows of one block.

    Attributes:
        measured: number of fresh points that a trial is measured on.
        exact: groups of equal static fields.
        paddable: static fields in which the trials of one program may differ.
    """

    def __init__(self, source: Block, settings: Settings) -> None:
        self.source = source
        points = settings.test_points + settings.validation_points
        self.measured = points * (1 + settings.record_points * settings.record_test)
        self.exact = self._exact()
        self.paddable = self._paddable()

    def joined(self) -> list[Group]:
        """Exact groups, joined where only paddable fields differ and it saves time."""
        families: dict[str, list[Group]] = {}
        for group in self.exact:
            items = sorted(group.statics.items())
            unpaddable = [(name, value) for name, value in items if name not in self.paddable]
            families.setdefault(repr(unpaddable), []).append(group)
        return [group for family in families.values() for group in self._join(family)]

    def _exact(self) -> list[Group]:
        """Groups of equal static fields."""
        _, statics = self.source.statics(np.zeros(0, np.int64))
        rows = self._rows_by_code(len(statics))
        return [
            self._exact_group(group_statics, group_rows)
            for group_statics, group_rows in zip(statics, rows, strict=True)
        ]

    def _rows_by_code(self, count: int) -> list[np.ndarray]:
        """The rows of each of `count` codes of static fields, ascending."""
        # Counted first, and filled into arrays of that size: a grid of a billion trials leaves no
        # memory for a second copy of its row numbers.
        counts = sum(np.bincount(codes, minlength=count) for _, codes in self._coded_rows())
        row_type = np.min_scalar_type(self.source.points)
        rows_by_code = [np.empty(size, row_type) for size in np.asarray(counts)]
        filled = np.zeros(count, np.int64)
        for rows, codes in self._coded_rows():
            # Radix sort, which numpy uses for small integers only.
            order = np.argsort(codes.astype(np.min_scalar_type(count)), kind="stable")
            present, starts = np.unique(codes[order], return_index=True)
            for code, piece in zip(present, np.split(rows[order], starts[1:]), strict=True):
                rows_by_code[code][filled[code] : filled[code] + len(piece)] = piece
                filled[code] += len(piece)
        return rows_by_code

    def _coded_rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the block, a chunk at a time, and the codes of their static fields."""
        return ((rows, self.source.statics(rows)[0]) for rows in self.source.rows())

    def _exact_group(self, statics: Mapping[str, Any], rows: np.ndarray) -> Group:
        """The group of the rows with these static fields, without padding."""
        # None is a full batch, whose program has no draws of batches.
        batch_size = statics["batch_size"] if statics["batch_size"] < statics["n"] else None
        sample = rows[:: max(1, len(rows) // 100)]
        steps = float(np.mean(self.source.values(sample)["steps"]))
        return self._group({**statics, "batch_size": batch_size}, (rows,), steps)

    def _group(
        self,
        statics: Mapping[str, Any],
        pieces: tuple[np.ndarray, ...],
        steps: float,
        *parts: Group,
    ) -> Group:
        """A group with its cost; `parts` are the groups that it joins."""
        cost = cost_model.estimate(self.source.example(statics), steps, self.measured)
        useful = sum(part.useful for part in parts) or sum(map(len, pieces)) * cost.seconds
        sizes = tuple(
            name
            for name in (self.paddable if parts else ())
            if any(name in part.sizes or part.statics[name] != statics[name] for part in parts)
        )
        return Group(statics, pieces, steps, cost, useful, sizes)

    def _paddable(self) -> tuple[str, ...]:
        """Static fields in which the trials of one program may differ."""
        example = self.source.example({**self.source.lane_values(), **self.exact[0].statics})
        # Padding is invisible only if weights without a gradient stay where they are.
        if not np.all(example.optimizer.resting()):
            return ()
        declared = [
            name
            for part in (example.data, example.model)
            for name, field in spec.fields(type(part)).items()
            if field.padded
        ]
        full_batch = not any(group.statics["batch_size"] for group in self.exact)
        allowed = {
            "n": example.model.pointwise and full_batch,
            "d": isinstance(example.model, AbstractFiltered),
        }
        return tuple(name for name in declared if allowed.get(name, True))

    def _join(self, groups: list[Group]) -> list[Group]:
        """Join greedily the two groups whose joining saves most, until nothing is saved."""
        by_size = sorted(groups, key=lambda group: [group.statics[name] for name in self.paddable])
        remaining = dict(enumerate(by_size))
        savings: dict[tuple[int, int], tuple[float, Group]] = {}
        while len(remaining) > 1:
            pairs = _candidate_pairs(list(remaining))
            for first, second in pairs:
                if (first, second) not in savings:
                    savings[first, second] = self._saving(remaining[first], remaining[second])
            first, second = max(pairs, key=lambda pair: savings[pair][0])
            saved_seconds, joined = savings[first, second]
            if saved_seconds <= 0:
                break
            remaining = _replace_pair(remaining, first, second, joined)
        return list(remaining.values())

    def _saving(self, first: Group, second: Group) -> tuple[float, Group]:
        """Seconds that joining two groups saves, and the joined group."""
        largest = {name: max(first.statics[name], second.statics[name]) for name in self.paddable}
        count = first.count + second.count
        steps = (first.steps * first.count + second.steps * second.count) / count
        pieces = first.pieces + second.pieces
        joined = self._group({**first.statics, **largest}, pieces, steps, first, second)
        return cost_model.COMPILE + first.seconds + second.seconds - joined.seconds, joined


def _candidate_pairs(keys: list[int]) -> list[tuple[int, int]]:
    """Pairs of groups that may be joined next, given the keys of the groups in order of size."""
    reach = 1 if len(keys) > MOST_PAIRED else len(keys)
    return [
        (first, second)
        for position, first in enumerate(keys)
        for second in keys[position + 1 : position + 1 + reach]
    ]


def _replace_pair(
    groups: dict[int, Group], first: int, second: int, joined: Group
) -> dict[int, Group]:
    """The groups with the first of a pair replaced by the joined one and the second removed."""
    # A new key, since savings are remembered by key.
    key = 1 + max(groups)
    replaced: dict[int, Group] = {}
    for old_key, group in groups.items():
        if old_key == first:
            replaced[key] = joined
        elif old_key != second:
            replaced[old_key] = group
    return replaced
