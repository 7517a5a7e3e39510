"""Rewriting a grid file for other cells and seeds: all else stays verbatim, except for comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from sweep.errors import GridError, SweepError
from sweep.grid.syntax.yaml_reader import read_yaml
from sweep.schema import GRID_FILE

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
    """The text of a grid with its cells and seeds replaced.

    Args:
        text: the text of the grid file.
        name: the name of the new grid.
        cells: one or two columns with their values, one value a cell. Two columns vary together
            (`zip`).
        seeds: the seeds of every cell.
        where: a condition in addition to those of the grid.

    Returns:
        The text of the new grid, without comments.

    Raises:
        GridError: the text is no grid file.
        SweepError: the grid does not set one of the columns, or not in exactly one mapping, so
            that its values cannot be replaced.
    """
    # A folder may come from anyone: this bounds the size, depth and aliases of what follows.
    document = read_yaml(text, GRID_FILE)
    if document.problems:
        raise GridError(document.problems)
    # BaseLoader keeps scalars as text: a grid reads 1e-3 as a number, YAML 1.1 as a string.
    grid = yaml.compose(text, Loader=yaml.BaseLoader)
    if not isinstance(grid, MappingNode):
        raise SweepError(
            "The grid file of this folder is not a mapping. Restore the grid.yaml of the sweep."
        )
    fields = {FIELDS.get(column, column): values for column, values in cells.items()}
    groups = _zip_groups(grid)
    _refuse_zipped(groups, [*fields, "seed"])
    for field, values in fields.items():
        _set_node(_field_mapping(grid, field), field, _scalars(values))
    _set_node(grid, "name", _scalar(name))
    _set_node(grid, "seed", _scalars(seeds))
    if len(fields) > 1:
        _set_node(grid, "zip", _sequence([*groups, _scalars(fields)]))
    if where:
        conditions = [*_members(_get_node(grid, "where")), _scalar(where)]
        _set_node(grid, "where", _sequence(conditions))
    return str(yaml.serialize(grid, Dumper=yaml.BaseDumper, width=110, allow_unicode=True))


def _field_mapping(grid: MappingNode, field: str) -> MappingNode:
    """The mapping that lists the values of a field. Raises SweepError unless there is just one."""
    parts = [part for part in (_get_node(grid, name) for name in PARTS) if part]
    matches = [match for part in parts for match in _field_mappings(part, field, True)]
    if not matches:
        raise SweepError(
            f"The grid does not set {field}: it follows from other fields. Choose an axis that the "
            "grid sets."
        )
    mapping, sole = matches[0]
    if len(matches) > 1 or not sole:
        raise SweepError(
            f"{field} is set in a union of mappings, so no single list varies it. Write a grid "
            f"that sets {field} in the only mapping of its part, and refine its sweep."
        )
    if str(getattr(_get_node(mapping, field), "value", "")).startswith("="):
        raise SweepError(
            f"The grid computes {field} from other fields. Choose one of those as the axis."
        )
    return mapping


def _field_mappings(node: Node, field: str, sole: bool) -> Iterator[tuple[MappingNode, bool]]:
    """Mappings that set a field, each with whether it is the only member of its unions."""
    if isinstance(node, MappingNode):
        if _get_node(node, field) is not None:
            yield node, sole
        for _, value in node.value:
            yield from _field_mappings(value, field, sole)
    elif isinstance(node, SequenceNode):
        for member in node.value:
            yield from _field_mappings(member, field, sole and len(node.value) == 1)


def _zip_groups(grid: MappingNode) -> list[Node]:
    """The lists of names that the grid varies together."""
    zips = _members(_get_node(grid, "zip"))
    # A single group may be written without the outer list: `zip: [n, d]`.
    return [_sequence(zips)] if zips and isinstance(zips[0], ScalarNode) else zips


def _refuse_zipped(groups: Iterable[Node], fields: Sequence[str]) -> None:
    """Raises SweepError if the grid varies one of the fields together with others."""
    for group in groups:
        zipped = [member.value for member in _members(group)]
        for field in fields:
            if field in zipped:
                raise SweepError(
                    f"The grid varies {' and '.join(zipped)} together, so {field} cannot vary on "
                    'its own. Write the others as expressions in it, such as d: "=10*n".'
                )


def _members(node: Node | None) -> list[Node]:
    """The members of a sequence; any other node as a list of one."""
    if node is None or not node.value:
        return []
    return list(node.value) if isinstance(node, SequenceNode) else [node]


def _get_node(mapping: Node, key: str) -> Node | None:
    """The value of a key, None if there is none or the node is no mapping."""
    pairs = mapping.value if isinstance(mapping, MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _set_node(mapping: MappingNode, key: str, node: Node) -> None:
    """Replace the value of a key where it stands; append a new key."""
    names = [name.value for name, _ in mapping.value]
    if key in names:
        index = names.index(key)
        mapping.value[index] = (mapping.value[index][0], node)
    else:
        mapping.value.append((_scalar(key), node))


def _scalars(values: Iterable[Any]) -> SequenceNode:
    """A list of values."""
    # Twelve digits are those of the engine's own axes: the same cell gives the same trial id.
    texts = [f"{value:.12g}" if isinstance(value, float) else str(value) for value in values]
    return _sequence([_scalar(text) for text in texts])


def _sequence(nodes: Sequence[Node]) -> SequenceNode:
    """A list in brackets, on one line."""
    return SequenceNode("tag:yaml.org,2002:seq", list(nodes), flow_style=True)


def _scalar(text: str) -> ScalarNode:
    """A plain value, whose type follows from its text."""
    return ScalarNode("tag:yaml.org,2002:str", text)
