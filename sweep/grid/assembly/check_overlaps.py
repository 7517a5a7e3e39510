"""Detects blocks of a union that contain the same trial."""

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

BuiltBlock = tuple[BlockBuilder, Block]


def check_overlaps(document: Document, built: Sequence[BuiltBlock]) -> None:
    """Report pairs of blocks that contain the same trial."""
    # The kinds contribute to an id, so only blocks of equal kinds can share a trial.
    groups: dict[tuple[tuple[str, str], ...], list[BuiltBlock]] = {}
    for entry in built:
        groups.setdefault(tuple(entry[1].kinds.items()), []).append(entry)
    for group in groups.values():
        for (first_builder, first), (second_builder, second) in _pairs(document, group):
            try:
                example = find_common_trial(first, second, document.charge)
                values = ", ".join(
                    f"{name}={canonical_text(value)}" for name, value in (example or {}).items()
                )
                claim, detail = (
                    "makes a trial that {} makes too",
                    f", with {values}" if values else "",
                )
                cure = "Take it out of one of them, or join the two"
            except TooManyPoints:
                example, claim = {}, "may repeat a trial of {}"
                detail = f": to tell it, more than {MAX_TABLE} points have to be looked at together"
                cure = "Give fewer values to the fields of conditions and expressions"
            if example is not None:
                pairs = zip(flat(first_builder.members), flat(second_builder.members), strict=True)
                first_path, path = next(
                    ((a.path, b.path) for a, b in pairs if a.path != b.path), ((), ())
                )
                location = f"{dotted(first_path)} in line {document.position(first_path)[0]}"
                document.add_error(path, claim.format(location) + detail, cure)


def _pairs(document: Document, group: list[BuiltBlock]) -> Iterator[tuple[BuiltBlock, BuiltBlock]]:
    """Pairs of blocks that share a value of the field that separates the most blocks."""
    if len(group) < 2:
        return
    document.charge(400 * sum(block.table_size for _, block in group))
    fewest_pairs = math.comb(len(group), 2)
    pairs: Iterable[tuple[int, int]] = itertools.combinations(range(len(group)), 2)
    for name in group[0][1].value_sets:
        members_by_value: dict[Any, list[int]] = {}
        for index, (_, block) in enumerate(group):
            for value in block.value_sets[name]:
                members_by_value.setdefault(value, []).append(index)
        count = sum(math.comb(len(members), 2) for members in members_by_value.values())
        if count < fewest_pairs:
            fewest_pairs = count
            pairs = (
                pair
                for members in members_by_value.values()
                for pair in itertools.combinations(members, 2)
            )
    # Blocks that share several values form the same pair several times.
    for first, second in dict.fromkeys(pairs):
        document.charge(5_000)
        yield group[first], group[second]
