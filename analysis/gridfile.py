"""A grid file like another one, at other points of two of its axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("data", "model", "objective", "optimizer", "train")
"""The keys of a grid that hold fields."""


def refined(text: str, points: pd.DataFrame, x: str, y: str | None, runs: pd.DataFrame, why: str) -> str:
    """The grid `text` with the cells `points` (columns y and x) and the seeds of their attrs in place of its own.

    Everything else stays as it is written, expressions too; an axis of which the `runs` have one value gets that value,
    and optimizers that the runs lack are left out. The part with the axes becomes a union: a block for each y with its
    own list of x. `why` is the comment at the top. Raises SweepError where x and y stand in no one part, where the
    grid varies something else, or ties its fields together by `zip`.
    """
    grid = _mapping(yaml.safe_load(text))
    if "zip" in grid:
        raise SweepError(
            "The grid varies fields together by zip, so single points cannot be taken out. Refine another."
        )
    part, block = _home(grid, [name for name in (x, y) if name is not None])
    for name, place in _swept(grid):
        if name not in (x, y):
            own = runs[runs["optimizer"] == place["kind"]] if place.get("kind") in set(runs["optimizer"]) else runs
            place[name] = _only(own, name)
    first, last = points.attrs["seeds"]
    grid["seed"] = {"range": [first, last]}
    grid["optimizer"] = _ran(grid["optimizer"], runs)
    grid[part] = list(_blocks(block, points, x, y))
    return f"# {why}\n{yaml.safe_dump(grid, sort_keys=False, allow_unicode=True, width=110)}"


def _mapping(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise SweepError("The grid of this folder is no mapping. Put the grid file of the sweep there.")
    return found


def _home(grid: dict[str, Any], axes: list[str]) -> tuple[str, dict[str, Any]]:
    """The part in which the axes are given, and its block."""
    for part in PARTS:
        blocks = grid.get(part)
        blocks = [each for each in (blocks if isinstance(blocks, list) else [blocks]) if isinstance(each, dict)]
        having = [block for block in blocks if set(axes) <= set(block)]
        if having and len(blocks) > 1:
            raise SweepError(f"{part} is a list of {len(blocks)} blocks. Write a grid with the one to refine alone.")
        if having:
            return part, having[0]
    names = " and ".join(axes)
    raise SweepError(f"No part of the grid gives {names} together. Take axes that stand in one part of the grid file.")


def _swept(grid: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that has several values in the grid, with the block that it stands in."""
    for part in PARTS:
        blocks = grid.get(part)
        for block in blocks if isinstance(blocks, list) else [blocks]:
            if isinstance(block, dict):
                several = [name for name, value in block.items() if isinstance(value, list | dict)]
                yield from ((name, block) for name in several if name != "schedule")


def _only(runs: pd.DataFrame, name: str) -> Any:
    """The one value of a column that the grid varies. Raises SweepError where there are several."""
    if name not in runs or runs[name].nunique() != 1:
        raise SweepError(f'The grid varies {name} too. Keep one value of it with where="{name} == ...".')
    return runs[name].dropna().iloc[0].item()


def _ran(optimizers: Any, runs: pd.DataFrame) -> Any:
    """The optimizers of the grid that the runs have."""
    if not isinstance(optimizers, list):
        return optimizers
    return [each for each in optimizers if not isinstance(each, dict) or each.get("kind") in set(runs["optimizer"])]


def _blocks(block: dict[str, Any], points: pd.DataFrame, x: str, y: str | None) -> Iterator[dict[str, Any]]:
    if y is None:
        yield {**block, x: points[x].tolist()}
        return
    for _, own in points.groupby(y):
        yield {**block, y: own[y].tolist()[0], x: own[x].tolist()}
