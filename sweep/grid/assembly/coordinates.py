"""In which coordinates the trials of a block may train their first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweep import filters, trial
from sweep.grid.product.block import Block, Coordinates
from sweep.grid.product.space import Selection
from sweep.grid.syntax.yaml_reader import Document


def choose_coordinates(asked: str, kinds: Mapping[str, str]) -> Coordinates:
    """The coordinates of a block of such kinds, resolved from its static fields where `auto` is asked for."""
    data, model, optimizer = (
        trial.find_kind(family, kinds[family]) for family in ("data", "model", "optimizer")
    )
    assert data and model and optimizer
    return Coordinates(asked, filters.default_coordinates(model, optimizer), data.noise_vectors)


def check_coordinates(document: Document, blocks: Sequence[Block]) -> None:
    """Complain where blocks, of which none is empty, cannot be trained in the coordinates that the grid asks for."""
    known: dict[str, str | None] = {}
    for block in blocks:
        asked = block.coordinates.asked
        reason = None if asked in ("auto", "ambient") else _reason(document, block, asked, known)
        if reason:
            parts = ", ".join(block.kinds[family] for family in ("data", "model", "optimizer"))
            cure = "Write coordinates: auto, or give these parts a grid of their own"
            document.complain(("coordinates",), f"{asked} cannot train {parts}: {reason}", cure)


def _reason(
    document: Document, block: Block, asked: str, known: dict[str, str | None]
) -> str | None:
    """Why it cannot. Parts of equal kinds and static fields have one answer, which takes milliseconds of tracing."""
    values, example = block.first_values, block.example()
    key = (
        f"{block.kinds} {[values.get(each.name) for each in block.fields if each.role == 'static']}"
    )
    if key not in known:
        document.spend(6_000_000)
        try:
            known[key] = filters.incompatibility(
                asked, example.data, example.model, example.optimizer
            )
        except Exception as error:  # whatever jax raises at sizes beyond its own, the answer is no
            known[key] = f"they cannot be made ({str(error).partition('.')[0].strip()})"
    reason = known[key]
    if reason is None and asked == "support" and not example.optimizer.linear and _any(block, "l2"):
        return "l2 is not 0, so that each weight that no data touches moves in its own way"
    return reason


def _any(block: Block, name: str) -> bool:
    """Is a field anywhere not 0 among the kept points?"""
    table = next((each.table for each in block.fields if each.name == name), None)
    return table is not None and bool(np.any(table.values[_kept(block.selection, table.axes)] != 0))


def _kept(kept: Selection, axes: tuple[int, ...]) -> np.ndarray:
    return kept.project(axes).ravel() if axes else np.ones(1, bool)
