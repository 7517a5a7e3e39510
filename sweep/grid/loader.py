"""From a grid file to lazy blocks of trials: `parse_grid` and `load_grid` are the way in."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from sweep import schema, trial
from sweep.errors import GridError, Problem
from sweep.grid.assembly import check_overlaps, coordinates
from sweep.grid.assembly.builder import BlockBuilder, Failed
from sweep.grid.assembly.check_block import Tally, check_block
from sweep.grid.fields import validation
from sweep.grid.fields.parts import PartSpec, family_members
from sweep.grid.fields.settings import (
    Settings,
    read_description,
    read_name,
    read_settings,
    value_of,
)
from sweep.grid.fields.validation import closest_name, show_value
from sweep.grid.fields.values import ComputedValues, GivenValues, Source, sources
from sweep.grid.product.block import Block
from sweep.grid.product.space import MAX_TABLE, TooManyPoints
from sweep.grid.syntax import expressions
from sweep.grid.syntax.expressions import ExpressionError
from sweep.grid.syntax.yaml_reader import MAX_BYTES, Document, Path, Stopped, read_yaml

MAX_BLOCKS = 1_000


@dataclass(frozen=True)
class Grid:
    """A whole grid: its blocks, its settings, and every column of its trials with bool, int, float or str."""

    name: str
    description: str
    blocks: tuple[Block, ...]
    settings: Settings
    text: str
    size: int
    columns: dict[str, type]


def load_grid(path: str | FilePath) -> Grid:
    """Read a grid file. Raises GridError with all that is wrong."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise GridError(
            [Problem(str(path), 1, 1, "", what, "Give the path of a readable grid file")]
        ) from None
    return _parse(content, str(path))


def parse_grid(text: str, file: str = "<grid>") -> Grid:
    """The grid that a text describes. Raises GridError with all that is wrong."""
    return _parse(text, file)


def _parse(content: str | bytes, file: str) -> Grid:
    document = read_yaml(content, file)
    try:
        grid = None if document.broken else _read_grid(document, content)
    except Stopped:
        grid = None
    if grid is None or document.problems:
        raise GridError(document.problems)
    return grid


_KEYS = (
    "name",
    "description",
    "seed",
    *trial.PARTS,
    "where",
    "zip",
    "coordinates",
    "record",
    "test_points",
)


def _read_grid(document: Document, content: str | bytes) -> Grid | None:
    raw = document.value
    if not isinstance(raw, dict):
        document.complain(
            (),
            f"a grid is a mapping, got {show_value(raw)}",
            "Write `name: ...`, `data: ...` and so on",
        )
        return None
    for key in raw:
        if key not in _KEYS:
            document.complain((key,), "is not a key of a grid", closest_name(key, _KEYS), key=True)
    name, description = read_name(document, raw), read_description(document, raw)
    settings = read_settings(document, raw)
    seeds = sources(document, {"seed": validation.seed_field()}, {"seed": raw.get("seed", 0)}, ())[
        "seed"
    ]
    unions = [family_members(document, family, raw) for family in trial.PARTS]
    wheres, zips = _wheres(document, raw), _zips(document, raw)
    blocks = _blocks(document, unions, seeds, wheres, zips, settings.coordinates)
    columns = _columns(document, blocks)
    written = content if isinstance(content, str) else content.decode("utf-8-sig")
    return Grid(
        name,
        description,
        tuple(blocks),
        settings,
        written,
        sum(block.size for block in blocks),
        columns,
    )


def _texts(document: Document, path: Path, raw: Any, cure: str) -> list[tuple[Path, str]]:
    """One text or a list of them, with their places."""
    places = (
        [(path, raw)]
        if not isinstance(raw, list)
        else [((*path, at), each) for at, each in enumerate(raw)]
    )
    for place, each in places:
        if not isinstance(each, str):
            document.complain(place, f"expected text, got {show_value(each)}", cure)
    return [(place, each) for place, each in places if isinstance(each, str)]


def _wheres(document: Document, raw: Mapping[str, Any]) -> list[ComputedValues]:
    found = []
    for path, condition in _texts(
        document,
        ("where",),
        value_of(raw, "where", []),
        "Write a condition in quotes, or a list of them",
    ):
        document.spend(2_500 * len(condition), path)
        try:
            found.append(ComputedValues(path, expressions.parse_expression(condition)))
        except ExpressionError as error:
            document.complain(path, error.what, error.cure)
    return found


def _zips(document: Document, raw: Mapping[str, Any]) -> list[tuple[Path, list[str]]]:
    given, cure = value_of(raw, "zip", []), "Write zip: [n, d] or a list of such lists"
    groups: list[tuple[Path, Any]] = [(("zip",), given)]
    if isinstance(given, list) and all(isinstance(each, list) for each in given):
        groups = [(("zip", at), each) for at, each in enumerate(given)]
    found = [
        (path, [name for _, name in _texts(document, path, names, cure)]) for path, names in groups
    ]
    for path, names in found:
        if len(set(names)) < 2:
            document.complain(path, "a zip needs two different fields or more", cure)
    counts = Counter(name for _, names in found for name in names)
    for name in sorted(name for name, count in counts.items() if count > 1):
        document.complain(("zip",), f"{name} stands in it twice", "Name each field once")
    return found


# From members to blocks.


def _blocks(
    document: Document,
    unions: list[list[PartSpec]],
    seeds: Source,
    wheres: list[ComputedValues],
    zips: list[tuple[Path, list[str]]],
    asked: str,
) -> list[Block]:
    """The blocks of the grid that keep any point."""
    _words(document, wheres)
    count = functools.reduce(lambda product, members: product * len(members), unions, 1)
    if count > MAX_BLOCKS:
        document.complain(
            (),
            f"the unions make {count} blocks",
            f"Keep it below {MAX_BLOCKS}; write lists of values instead",
        )
        return []
    tally = Tally()
    assemblies = [BlockBuilder(document, members, seeds) for members in itertools.product(*unions)]
    assemblies = [each for each in assemblies if not each.dropped(wheres)]
    made = [
        (each, block) for each in assemblies if (block := _block(each, zips, wheres, asked, tally))
    ]
    tally.complain(document)
    _zipped(document, assemblies, zips)
    kept = [(assembly, block) for assembly, block in made if block.size]
    if document.problems:
        return []
    if not kept:
        document.complain(
            ("where",), "keeps no point of the grid", "Loosen the conditions or change the values"
        )
    check_overlaps.check_overlaps(document, kept)
    coordinates.check_coordinates(document, [block for _, block in kept])
    return [block for _, block in kept]


def _block(
    assembly: BlockBuilder,
    zips: list[tuple[Path, list[str]]],
    wheres: list[ComputedValues],
    asked: str,
    tally: Tally,
) -> Block | None:
    """The block of an assembly, None where something in it is wrong."""
    try:
        assembly.lay_axes(zips)
    except Failed:
        return None
    for name in assembly.names:
        with contextlib.suppress(Failed):
            assembly.table(name)
    try:
        kept = assembly.keep(wheres)
        if assembly.failed:
            return None
        check_block(assembly, kept, tally)
        return Block(
            assembly.kinds,
            assembly.columns(),
            kept,
            coordinates.choose_coordinates(asked, assembly.kinds),
        )
    except TooManyPoints:
        what = f"conditions, checks or compiled-in fields depend on more than {MAX_TABLE} points together"
        assembly.document.complain(
            ("where",), what, "Give fewer values to the fields that they ask for"
        )
    except Failed:
        pass
    return None


def _words(document: Document, wheres: Iterable[ComputedValues]) -> None:
    """Complain about kinds in conditions that do not exist."""
    for where in wheres:
        for family, kind in where.expression.words():
            if (
                family in trial.FAMILIES
                and family != "train"
                and trial.find_kind(family, kind) is None
            ):
                document.complain(
                    where.path,
                    f"there is no {family} '{kind}'",
                    closest_name(kind, trial.FAMILIES[family]),
                )


def _zipped(
    document: Document, assemblies: Sequence[BlockBuilder], zips: list[tuple[Path, list[str]]]
) -> None:
    """Complain about names in a zip that are nowhere varied."""
    known = dict.fromkeys(name for each in assemblies for name in each.names)
    listed = {
        name
        for each in assemblies
        for name in each.order
        if isinstance(each.names[name].source, GivenValues)
    }
    broken = {name for each in assemblies for name in each.order if each.names[name].source is None}
    for path, names in zips if assemblies else ():
        for name in names:
            if name not in known:
                document.complain(path, f"there is no field {name}", closest_name(name, known))
            elif name not in listed | broken:
                document.complain(
                    path,
                    f"{name} is not given as a list of values",
                    f"Give {name} a list, or take it out",
                )


def _columns(document: Document, blocks: Sequence[Block]) -> dict[str, type]:
    """Every column beside the fixed ones with its type, part by part."""
    found: dict[str, type] = {}
    for part in ("seed", *trial.PARTS):
        for column in (each for block in blocks for each in block.fields if each.part == part):
            if column.column in schema.KINDS:
                continue
            kinds = {found.get(column.column, column.type), column.type}
            if len(kinds) > 1 and kinds != {int, float}:
                what = f"the column {column.column} would hold {' and '.join(sorted(kind.__name__ for kind in kinds))}"
                document.complain((part,), what, "Put the two kinds into two grids")
            found[column.column] = float if len(kinds) > 1 else column.type
    return found
