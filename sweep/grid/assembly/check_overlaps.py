"""Which blocks of a union make the same trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sweep.grid.assembly.builder import BlockBuilder
from sweep.grid.fields.parts import flat
from sweep.grid.product.block import Block
from sweep.grid.product.common_trial import find_common_trial
from sweep.grid.product.hashing import canonical_text
from sweep.grid.product.space import MAX_TABLE, TooManyPoints
from sweep.grid.syntax.yaml_reader import Document, dotted

Made = tuple[BlockBuilder, Block]


def check_overlaps(document: Document, kept: Sequence[Made]) -> None:
    """Complain where two blocks of a union contain the same trial."""
    groups: dict[tuple[tuple[str, str], ...], list[Made]] = {}
    for each in kept:
        groups.setdefault(tuple(each[1].kinds.items()), []).append(each)
    for group in groups.values():
        for (one, first), (other, second) in _pairs(document, group):
            try:
                example = find_common_trial(first, second, document.spend)
                said = ", ".join(
                    f"{name}={canonical_text(value)}" for name, value in (example or {}).items()
                )
                how, more = "makes a trial that {} makes too", f", with {said}" if said else ""
                cure = "Take it out of one of them, or join the two"
            except TooManyPoints:
                example, how = {}, "may repeat a trial of {}"
                more = f": to tell it, more than {MAX_TABLE} points have to be looked at together"
                cure = "Give fewer values to the fields of conditions and expressions"
            if example is not None:
                pairs = zip(flat(one.members), flat(other.members), strict=True)
                before, path = next(
                    ((a.path, b.path) for a, b in pairs if a.path != b.path), ((), ())
                )
                twin = f"{dotted(before)} in line {document.place(before)[0]}"
                document.complain(path, how.format(twin) + more, cure)


def _pairs(document: Document, group: list[Made]) -> Iterator[tuple[Made, Made]]:
    """Pairs of blocks that have a value in common in the field that keeps most of them apart."""
    if len(group) < 2:
        return
    document.spend(400 * sum(block.table_size for _, block in group))
    fewest = math.comb(len(group), 2)
    pairs: Iterable[tuple[int, int]] = itertools.combinations(range(len(group)), 2)
    for name in group[0][1].value_sets:
        owners: dict[Any, list[int]] = {}
        for place, (_, block) in enumerate(group):
            for value in block.value_sets[name]:
                owners.setdefault(value, []).append(place)
        count = sum(math.comb(len(each), 2) for each in owners.values())
        if count < fewest:
            fewest = count
            pairs = (pair for each in owners.values() for pair in itertools.combinations(each, 2))
    for one, other in dict.fromkeys(pairs):
        document.spend(5_000)
        yield group[one], group[other]
