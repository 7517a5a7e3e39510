"""The import graph of the folders, and a drawing of it.

`python docs/scripts/imports.py FILE.svg` writes the drawing.
The documentation draws it anew at every build.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("sweep", "analysis")

BOX_WIDTH, BOX_HEIGHT, GAP, LAYER_HEIGHT, MARGIN = 138, 30, 22, 74, 24
"""Sizes in pixels."""

COLORS = {"sweep": "#dbe4ff", "analysis": "#d3f9d8"}

Graph = dict[str, set[str]]


def import_graph(root: Path = ROOT) -> Graph:
    """The imports of each folder or top-level module: `{"sweep.grid": {"sweep.trial"}}`."""
    graph: Graph = defaultdict(set)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            node = _node(path.relative_to(root).with_suffix("").parts)
            targets = {_node(parts) for parts in _imports(path)}
            graph[node] |= {target for target in targets if target != node and target != "sweep"}
    return {node: targets for node, targets in graph.items() if node != "sweep"}


def _node(parts: tuple[str, ...]) -> str:
    return ".".join(part for part in parts[:2] if part != "__init__")


def _imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The dotted names of this project that a file imports, wherever in the file it does."""
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            yield from (_parts(alias.name) for alias in statement.names if _is_ours(alias.name))
        elif isinstance(statement, ast.ImportFrom) and _is_ours(statement.module or ""):
            module = _parts(statement.module or "")
            is_package = len(module) == 1
            yield from (
                (*module, alias.name) if is_package else module for alias in statement.names
            )


def _parts(name: str) -> tuple[str, ...]:
    return tuple(name.split("."))


def _is_ours(name: str) -> bool:
    return _parts(name)[0] in PACKAGES


def only_modules(graph: Graph, root: Path = ROOT) -> Graph:
    """The graph without names that are no modules: `analysis.load` becomes `analysis`."""

    def module(name: str) -> str:
        path = root.joinpath(*name.split("."))
        return name if path.is_dir() or path.with_suffix(".py").exists() else name.split(".")[0]

    return {
        node: {module(target) for target in targets} - {node, "sweep"}
        for node, targets in graph.items()
    }


def layers(graph: Graph) -> list[list[str]]:
    """The nodes from the ground up: each lies one layer above the highest that it imports.

    Raises graphlib.CycleError where folders import each other in a circle.
    """
    height: dict[str, int] = {}
    for node in graphlib.TopologicalSorter(graph).static_order():
        height[node] = 1 + max((height[target] for target in graph.get(node, ())), default=-1)
    count = 1 + max(height.values())
    return [sorted(node for node in height if height[node] == level) for level in range(count)]


def reduce_graph(graph: Graph) -> Graph:
    """The graph without imports that follow from others, so that a drawing of it can be read."""
    reach: Graph = {}
    for node in graphlib.TopologicalSorter(graph).static_order():
        targets = graph.get(node, set())
        reach[node] = targets.union(*(reach[target] for target in targets))
    return {
        node: {
            target
            for target in targets
            if not any(target in reach[via] for via in targets - {target})
        }
        for node, targets in graph.items()
    }


def draw_graph(graph: Graph) -> str:
    """The graph as SVG, importers above what they import."""
    levels = layers(graph)
    width = max(len(level) for level in levels) * (BOX_WIDTH + GAP) - GAP + 2 * MARGIN
    height = len(levels) * LAYER_HEIGHT - (LAYER_HEIGHT - BOX_HEIGHT) + 2 * MARGIN
    corners = _corners(levels, width)
    lines = [
        _line(corners[node], corners[target])
        for node, targets in sorted(reduce_graph(graph).items())
        for target in sorted(targets)
    ]
    boxes = [_box(node, corner) for node, corner in sorted(corners.items())]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="13" role="img">'
    )
    background = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join(
        [head, "<title>Imports between folders</title>", background, *lines, *boxes, "</svg>\n"]
    )


def _corners(levels: list[list[str]], width: int) -> Mapping[str, tuple[float, float]]:
    """The upper left corner of each box; a layer is centred."""
    corners = {}
    for level, nodes in enumerate(levels):
        left = (width - len(nodes) * (BOX_WIDTH + GAP) + GAP) / 2
        top = MARGIN + (len(levels) - 1 - level) * LAYER_HEIGHT
        for column, node in enumerate(nodes):
            corners[node] = (left + column * (BOX_WIDTH + GAP), top)
    return corners


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A curve from the lower edge of a box to the upper edge of one below it."""
    x1, y1 = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    x2, y2 = end[0] + BOX_WIDTH / 2, end[1]
    bend = LAYER_HEIGHT / 2
    curve = f"M{x1:g} {y1:g} C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
    return f'<path d="{curve}" fill="none" stroke="#868e96"/>'


def _box(node: str, corner: tuple[float, float]) -> str:
    color = COLORS[node.split(".")[0]]
    rect = (
        f'<rect width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="{color}" stroke="#495057"/>'
    )
    text = f'<text x="{BOX_WIDTH / 2:g}" y="20" text-anchor="middle">{escape(node)}</text>'
    return f'<g transform="translate({corner[0]:g} {corner[1]:g})">{rect}{text}</g>'


def architecture_svg() -> str:
    """The drawing of this repository."""
    return draw_graph(only_modules(import_graph()))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(architecture_svg(), encoding="utf-8")
