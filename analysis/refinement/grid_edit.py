"""A grid file at other cells and seeds; everything else stays letter for letter as it was written, but for comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from sweep.errors import SweepError

PARTS = ("data", "model", "objective", "optimizer", "train")
FIELDS = {"max_steps": "steps"}
"""Column -> the field of a grid that it shows, where the names differ."""


def grid_with_cells(
    text: str,
    name: str,
    cells: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    where: str | None = None,
) -> str:
    """The grid of a text, called `name`, at some cells and seeds instead of its own.

    `cells` maps one or two columns to values, one a cell: they vary together (`zip`), and every cell gets all `seeds`.
    `where` is one more condition. Values are read as text, as `1e-3` is a number in a grid and a word in YAML 1.1.
    Raises SweepError where the grid does not give a column as a field of its own, once.
    """
    grid = yaml.compose(text, Loader=yaml.BaseLoader)
    if not isinstance(grid, MappingNode):
        raise SweepError(
            "The grid file of this folder is no mapping. Put the grid.yaml of the sweep back."
        )
    fields = {FIELDS.get(column, column): values for column, values in cells.items()}
    groups = _groups(grid)
    _refuse_ties(groups, [*fields, "seed"])
    for field, values in fields.items():
        _put(_home(grid, field), field, _list(values))
    _put(grid, "name", _word(name))
    _put(grid, "seed", _list(seeds))
    if len(fields) > 1:
        _put(grid, "zip", _sequence([*groups, _list(fields)]))
    if where:
        _put(grid, "where", _sequence([*_several(_get(grid, "where")), _word(where)]))
    return str(yaml.serialize(grid, Dumper=yaml.BaseDumper, width=110, allow_unicode=True))


def _home(grid: MappingNode, field: str) -> MappingNode:
    """The one mapping that gives a field as values. Raises SweepError where there is none or there are several."""
    found = [
        home for part in PARTS if (node := _get(grid, part)) for home in _homes(node, field, True)
    ]
    if not found:
        raise SweepError(
            f"The grid gives no {field}: it follows from other fields. Take an axis that the grid gives."
        )
    home, alone = found[0]
    if len(found) > 1 or not alone:
        cure = f"Write a grid that gives {field} in a mapping without others beside it, and refine its sweep"
        raise SweepError(
            f"{field} stands in a union of mappings, so that no one list varies it. {cure}."
        )
    if str(getattr(_get(home, field), "value", "")).startswith("="):
        raise SweepError(
            f"The grid computes {field} from other fields. Take one of those as the axis."
        )
    return home


def _homes(node: Node, field: str, alone: bool) -> Iterator[tuple[MappingNode, bool]]:
    """Mappings that give a field, each with whether no other mapping of a union stands beside it."""
    if isinstance(node, MappingNode):
        if _get(node, field) is not None:
            yield node, alone
        for _, value in node.value:
            yield from _homes(value, field, alone)
    elif isinstance(node, SequenceNode):
        for member in node.value:
            yield from _homes(member, field, alone and len(node.value) == 1)


def _groups(grid: MappingNode) -> list[Node]:
    """The lists of names that the grid varies together."""
    zips = _several(_get(grid, "zip"))
    return [_sequence(zips)] if zips and isinstance(zips[0], ScalarNode) else zips


def _refuse_ties(groups: Iterable[Node], fields: Iterable[str]) -> None:
    for group in groups:
        tied = [each.value for each in _several(group)]
        for field in fields:
            if field in tied:
                cure = 'Write the others as expressions in it, such as d: "=10*n"'
                raise SweepError(
                    f"The grid varies {' and '.join(tied)} together, so {field} cannot go alone. {cure}."
                )


def _several(node: Node | None) -> list[Node]:
    """The members of a sequence; anything else is its only one."""
    if node is None or not node.value:
        return []
    return list(node.value) if isinstance(node, SequenceNode) else [node]


def _get(mapping: Node, key: str) -> Node | None:
    pairs = mapping.value if isinstance(mapping, MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _put(mapping: MappingNode, key: str, node: Node) -> None:
    """Give a key another value; a new key comes last."""
    names = [name.value for name, _ in mapping.value]
    if key in names:
        at = names.index(key)
        mapping.value[at] = (mapping.value[at][0], node)
    else:
        mapping.value.append((_word(key), node))


def _list(values: Iterable[Any]) -> SequenceNode:
    return _sequence(
        [_word(f"{each:.12g}" if isinstance(each, float) else str(each)) for each in values]
    )


def _sequence(nodes: Sequence[Node]) -> SequenceNode:
    return SequenceNode("tag:yaml.org,2002:seq", list(nodes), flow_style=True)


def _word(text: str) -> ScalarNode:
    return ScalarNode("tag:yaml.org,2002:str", text)
