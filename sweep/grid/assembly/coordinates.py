"""Chooses and checks the coordinates in which blocks train their first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweep import filters, trial
from sweep.grid.product.block import Block, Coordinates
from sweep.grid.product.space import Selection
from sweep.grid.syntax.yaml_reader import Document

MAX_TRACED = 100
"""The most blocks, of different kinds or sizes, that are tried in coordinates that a file asks for.

A block takes some 50 ms of tracing, so that all of them take about five seconds."""


def choose_coordinates(requested: str, kinds: Mapping[str, str]) -> Coordinates:
    """The coordinates of a block; its static fields resolve `auto`."""
    # Examples and not classes: a part around another one answers for that.
    data, model, optimizer = (
        trial.example_part(family, kinds) for family in ("data", "model", "optimizer")
    )
    default = filters.default_coordinates(data, model, optimizer)
    return Coordinates(requested, default, data.noise_vectors)


def check_coordinates(document: Document, blocks: Sequence[Block]) -> None:
    """Report nonempty blocks that cannot be trained in the requested coordinates."""
    reasons: dict[str, str | None] = {}
    for block in blocks:
        requested = block.coordinates.asked
        reason = (
            None
            if requested in ("auto", "ambient")
            else _reason(document, block, requested, reasons)
        )
        if reason:
            parts = ", ".join(block.kinds[family] for family in ("data", "model", "optimizer"))
            cure = "Write coordinates: auto, or give these parts a grid of their own"
            document.add_error(
                ("coordinates",), f"{requested} cannot train {parts}: {reason}", cure
            )


def _reason(
    document: Document, block: Block, requested: str, reasons: dict[str, str | None]
) -> str | None:
    """Why a block cannot be trained in the requested coordinates, or None."""
    values, example = block.first_values, block.example()
    statics = [values.get(field.name) for field in block.fields if field.role == "static"]
    # Cached by kinds and static fields, since each answer takes milliseconds of tracing.
    key = f"{block.kinds} {statics}"
    if key not in reasons:
        if len(reasons) == MAX_TRACED:
            reason = f"{requested} has to be tried with more than {MAX_TRACED} sizes and kinds"
            document.stop_slow(
                ("coordinates",), reason, "Give fewer sizes, or write coordinates: auto"
            )
        try:
            reasons[key] = filters.incompatibility(
                requested, example.data, example.model, example.optimizer
            )
        except Exception as error:  # whatever jax raises at sizes beyond its own, the answer is no
            reasons[key] = f"they cannot be made ({str(error).partition('.')[0].strip()})"
    reason = reasons[key]
    if (
        reason is None
        and requested == "support"
        and not example.optimizer.stays_in_span
        and _any_nonzero(block, "l2")
    ):
        return "l2 is not 0, so that each weight that no data touches moves in its own way"
    return reason


def _any_nonzero(block: Block, name: str) -> bool:
    """Whether a field is nonzero at any kept point."""
    table = next((field.table for field in block.fields if field.name == name), None)
    return table is not None and bool(
        np.any(table.values[_selected_mask(block.selection, table.axes)] != 0)
    )


def _selected_mask(selection: Selection, axes: tuple[int, ...]) -> np.ndarray:
    """A mask of a flat table over these axes: which of its values occur at a kept point."""
    return selection.project(axes).ravel() if axes else np.ones(1, bool)
