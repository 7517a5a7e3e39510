"""Detects blocks of a union that contain the same trial."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sweep.grid.assembly.builder import BlockBuilder
from sweep.grid.fields.parts import flat
from sweep.grid.product.block import Block
from sweep.grid.product.common_trial import find_common_trial, may_share_trials
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
                example = find_common_trial(first, second, document.count_sorted)
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
                location = f"{dotted(first_path)} {document.place(first_path)}"
                document.add_error(path, claim.format(location) + detail, cure)


def _pairs(document: Document, group: list[BuiltBlock]) -> Iterator[tuple[BuiltBlock, BuiltBlock]]:
    """Pairs of blocks that may share trials."""
    if len(group) < 2:
        return
    document.count_sorted(sum(block.table_size for _, block in group))
    # Blocks that share a trial share a value of each field, so the field that separates most will do.
    pairs: Iterable[tuple[int, int]] = itertools.combinations(range(len(group)), 2)
    fewest_pairs, best = math.comb(len(group), 2), ""
    for name in group[0][1].value_sets:
        uses = Counter(itertools.chain.from_iterable(block.value_sets[name] for _, block in group))
        count = sum(math.comb(blocks, 2) for blocks in uses.values() if blocks > 1)
        if count < fewest_pairs:
            fewest_pairs, best = count, name
    if best:
        pairs = _sharing([block.value_sets[best] for _, block in group])
    # Blocks that share several values form the same pair several times.
    for first, second in dict.fromkeys(pairs):
        if may_share_trials(group[first][1], group[second][1]):
            document.count_words(len(group[first][1].id_fields))
            yield group[first], group[second]


def _sharing(value_sets: Sequence[set[Any]]) -> Iterator[tuple[int, int]]:
    """Pairs of sets that have a value in common, once for each such value."""
    members_by_value: dict[Any, list[int]] = {}
    for index, values in enumerate(value_sets):
        for value in values:
            members_by_value.setdefault(value, []).append(index)
    for members in members_by_value.values():
        yield from itertools.combinations(members, 2)
