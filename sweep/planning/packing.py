"""Which trials of a block share a program: those of equal static fields, and others of like sizes by padding.

A padded trial computes on zeros what it does not have, a program costs seconds to compile: groups are joined as long
as that saves more than it wastes. The packing depends on the grid alone, so that a resume repeats it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from sweep import spec, trial
from sweep.grid import Block, Settings
from sweep.models.base import AbstractFiltered
from sweep.padding import Size
from sweep.planning import cost_model
from sweep.planning.cost_model import Cost
from sweep.trial import Trial

MOST_PAIRED = 32
"""Up to so many groups any two may be joined; of more, only neighbours in the order of their cost."""


@dataclass(frozen=True)
class Group:
    """Trials of a block that share a program; see `plan.Bucket`. `useful` is what they would cost unpadded."""

    statics: Mapping[str, Any]
    pieces: tuple[np.ndarray, ...]
    steps: float
    cost: Cost
    useful: float
    sizes: tuple[str, ...] = ()

    @property
    def rows(self) -> np.ndarray:
        """Rows of the block that belong to it."""
        return self.pieces[0] if len(self.pieces) == 1 else np.concatenate(self.pieces)

    @functools.cached_property
    def count(self) -> int:
        """How many trials there are."""
        return sum(map(len, self.pieces))

    @property
    def seconds(self) -> float:
        """Estimated seconds of all its trials."""
        return self.count * self.cost.seconds

    @property
    def waste(self) -> float:
        """The share of the work that padding adds."""
        return 1 - self.useful / self.seconds


def batch_of(source: Block, statics: Mapping[str, Any], sizes: tuple[str, ...], rows: np.ndarray) -> Trial:
    """Trials of a block with the given static fields and sizes, as one batch: lane fields are arrays (trials,)."""
    values = source.values(rows)
    lanes = {name: _as_lane(name, column) for name, column in values.items() if name not in statics}
    padded = {name: Size(statics[name], _as_lane(name, values[name])) for name in sizes}
    made = trial.build_trial(source.kinds, {**lanes, **statics, **padded})
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, len(rows)), made)


def _as_lane(name: str, column: np.ndarray) -> np.ndarray:
    if name == "seed":
        return column.astype(np.uint32)
    small = column.dtype.kind == "i" and column.max(initial=0) < 2**31
    return column.astype(np.int32 if small else jax.dtypes.canonicalize_dtype(float))


def packed_groups(source: Block, settings: Settings) -> list[Group]:
    """The groups of a block."""
    return _Packer(source, settings).joined() if source.size else []


class _Packer:
    """One block on its way to groups."""

    def __init__(self, source: Block, settings: Settings) -> None:
        self.source = source
        self.measured = settings.test_points * (1 + settings.record_points * settings.record_test)
        first = source.values(next(source.rows(1)))
        self.example = {name: values.tolist()[0] for name, values in first.items()}
        self.exact = self._exact()
        self.paddable = self._paddable()

    def joined(self) -> list[Group]:
        """Groups of equal static fields, joined where only paddable ones differ and it pays."""
        alike: dict[str, list[Group]] = {}
        for group in self.exact:
            rest = {name: value for name, value in group.statics.items() if name not in self.paddable}
            alike.setdefault(repr(sorted(rest.items())), []).append(group)
        return [group for family in alike.values() for group in self._join(family)]

    def _exact(self) -> list[Group]:
        """Groups of equal static fields. Counted first, so that every row number is kept once."""
        _, statics = self.source.statics(np.zeros(0, np.int64))
        counts = sum(np.bincount(codes, minlength=len(statics)) for _, codes in self._coded())
        small = np.min_scalar_type(self.source.points)
        found = [np.empty(count, small) for count in np.asarray(counts)]
        filled = np.zeros(len(found), np.int64)
        for rows, codes in self._coded():
            order = np.argsort(codes.astype(np.min_scalar_type(len(found))), kind="stable")
            here, starts = np.unique(codes[order], return_index=True)
            for code, piece in zip(here, np.split(rows[order], starts[1:]), strict=True):
                found[code][filled[code] : filled[code] + len(piece)] = piece
                filled[code] += len(piece)
        return [self._first(each, (rows,)) for each, rows in zip(statics, found, strict=True)]

    def _coded(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the block, a chunk at a time, and the code of their static fields."""
        return ((rows, self.source.statics(rows)[0]) for rows in self.source.rows())

    def _first(self, statics: Mapping[str, Any], pieces: tuple[np.ndarray, ...]) -> Group:
        size = statics["batch_size"] if statics["batch_size"] < statics["n"] else None
        some = np.concatenate([piece[:: max(1, len(piece) // 100)] for piece in pieces])
        steps = float(np.mean(self.source.values(some)["steps"]))
        return self._group({**statics, "batch_size": size}, pieces, steps)

    def _group(self, statics: Mapping[str, Any], pieces: tuple[np.ndarray, ...], steps: float, *parts: Group) -> Group:
        made = trial.build_trial(self.source.kinds, {**self.example, **statics})
        cost = cost_model.estimate(made, steps, self.measured)
        useful = sum(part.useful for part in parts) or sum(map(len, pieces)) * cost.seconds
        sizes = tuple(
            name
            for name in (self.paddable if parts else ())
            if any(name in part.sizes or part.statics[name] != statics[name] for part in parts)
        )
        return Group(statics, pieces, steps, cost, useful, sizes)

    def _paddable(self) -> tuple[str, ...]:
        """Fields in which trials of one program may differ."""
        made = trial.build_trial(
            self.source.kinds, {**self.example, **self.source.occurring(), **self.exact[0].statics}
        )
        if not np.all(made.optimizer.resting()):
            return ()
        parts = (made.data, made.model)
        declared = [name for part in parts for name, field in spec.fields(type(part)).items() if field.padded]
        whole = made.model.pointwise and not any(group.statics["batch_size"] for group in self.exact)
        kept = {"n": whole, "d": isinstance(made.model, AbstractFiltered)}
        return tuple(name for name in declared if kept.get(name, True))

    def _join(self, found: list[Group]) -> list[Group]:
        """Join always the two groups whose joining saves most, until nothing is saved."""
        left = dict(enumerate(sorted(found, key=lambda group: [group.statics[name] for name in self.paddable])))
        known: dict[tuple[int, int], tuple[float, Group]] = {}
        while len(left) > 1:
            near = 1 if len(left) > MOST_PAIRED else len(left)
            order = list(left)
            pairs = [(one, other) for at, one in enumerate(order) for other in order[at + 1 : at + 1 + near]]
            for one, other in pairs:
                if (one, other) not in known:
                    known[one, other] = self._saving(left[one], left[other])
            one, other = max(pairs, key=lambda pair: known[pair][0])
            if known[one, other][0] <= 0:
                break
            both, name = known[one, other][1], 1 + max(left)
            left = {**{(name if each == one else each): (both if each == one else left[each]) for each in left}}
            del left[other]
        return list(left.values())

    def _saving(self, one: Group, other: Group) -> tuple[float, Group]:
        """Seconds that joining two groups saves, and the joined group."""
        largest = {name: max(one.statics[name], other.statics[name]) for name in self.paddable}
        steps = (one.steps * one.count + other.steps * other.count) / (one.count + other.count)
        both = self._group({**one.statics, **largest}, one.pieces + other.pieces, steps, one, other)
        return cost_model.COMPILE + one.seconds + other.seconds - both.seconds, both
