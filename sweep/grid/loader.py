"""Turns grid files into lazy blocks of trials. Entry points: `parse_grid`, `load_grid`."""

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
from sweep.grid.assembly.builder import BlockBuilder, ResolutionError
from sweep.grid.assembly.check_block import Tally, check_block
from sweep.grid.assembly.check_precision import check_precision
from sweep.grid.fields import validation
from sweep.grid.fields.cures import closest_name
from sweep.grid.fields.parts import PartSpec, family_members
from sweep.grid.fields.settings import (
    Settings,
    read_description,
    read_name,
    read_settings,
    value_of,
)
from sweep.grid.fields.validation import show_value
from sweep.grid.fields.values import ComputedValues, GivenValues, Source, sources
from sweep.grid.product.block import Block
from sweep.grid.product.space import MAX_TABLE, TooManyPoints
from sweep.grid.syntax import expressions
from sweep.grid.syntax.changes import apply_changes, write_yaml
from sweep.grid.syntax.expressions import ExpressionError
from sweep.grid.syntax.yaml_reader import MAX_BYTES, Document, Path, Stopped, read_yaml

MAX_BLOCKS = 1_000


@dataclass(frozen=True)
class Grid:
    """A grid: its blocks, its settings, and the type (bool, int, float, str) of each column.

    `text` reads as this grid: that of the file, or with changes a text that has them in it.
    """

    name: str
    description: str
    blocks: tuple[Block, ...]
    settings: Settings
    text: str
    size: int
    columns: dict[str, type]


def load_grid(path: str | FilePath, changes: Sequence[str] = (), dtype: str = "") -> Grid:
    """Read a grid file.

    Args:
        path: the file.
        changes: values that replace those of the file, such as `data.n=100`.
        dtype: `float32` or `float64`, with which it will be trained; "" where it will not be.

    Raises:
        GridError: all errors of the file and of the changes.
    """
    try:
        with open(path, "rb") as file:
            # One byte more than the limit, so that the parser notices a file that is too large.
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise GridError(
            [Problem(str(path), 1, 1, "", what, "Give the path of a readable grid file")]
        ) from None
    return parse_grid(content, str(path), changes, dtype)


def parse_grid(
    text: str | bytes, file: str = "<grid>", changes: Sequence[str] = (), dtype: str = ""
) -> Grid:
    """Parse the content of a grid file.

    Args:
        text: the content of the file.
        file: its name in messages.
        changes: values that replace those of the file, such as `data.n=100`.
        dtype: `float32` or `float64`, with which it will be trained; "" where it will not be.

    Raises:
        GridError: all errors of the text and of the changes.
    """
    return _parse(text, file, changes, dtype)


def _parse(
    text: str | bytes,
    file: str,
    changes: Sequence[str] = (),
    dtype: str = "",
    rounds: bool = False,
) -> Grid:
    document = read_yaml(text, file)
    document.rounds = rounds
    grid = None
    with contextlib.suppress(Stopped):
        apply_changes(document, changes)
        if not document.broken:
            grid = _read_grid(document, write_yaml(document) if changes else text, dtype)
    if grid is None or document.problems:
        raise GridError(document.problems)
    return grid


def parse_kept_grid(text: str | bytes, file: str) -> Grid:
    """Parse a grid that a store keeps; earlier versions rounded formulas of whole numbers.

    Args:
        text: the content of the file.
        file: its name in messages.

    Raises:
        GridError: all errors of the text.
    """
    return _parse(text, file, rounds=True)


_KEYS = (
    "name",
    "description",
    *trial.SEEDS,
    *trial.PARTS,
    "where",
    "zip",
    "coordinates",
    "record",
    "test_points",
    "validation_points",
)


def _read_grid(document: Document, content: str | bytes, dtype: str) -> Grid | None:
    """The grid of a document, to which errors are added; None if it is not a mapping."""
    raw = document.value
    if not isinstance(raw, dict):
        document.add_error(
            (),
            f"a grid is a mapping, got {show_value(raw)}",
            "Write `name: ...`, `data: ...` and so on",
        )
        return None
    for key in raw:
        if key not in _KEYS:
            document.add_error((key,), "is not a key of a grid", closest_name(key, _KEYS), key=True)
    name, description = read_name(document, raw), read_description(document, raw)
    settings = read_settings(document, raw)
    seeds = _seeds(document, raw)
    unions = [family_members(document, family, raw) for family in trial.PARTS]
    wheres, zips = _wheres(document, raw), _zips(document, raw)
    built = _blocks(document, unions, seeds, wheres, zips, settings.coordinates)
    if dtype == "float32":
        check_precision(built)
    blocks = [block for _, block in built]
    _check_fresh_points(document, blocks, settings)
    columns = _columns(document, blocks)
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    return Grid(
        name,
        description,
        tuple(blocks),
        settings,
        text,
        sum(block.size for block in blocks),
        columns,
    )


def _seeds(document: Document, raw: Mapping[str, Any]) -> dict[str, Source]:
    """The sources of the seeds; `init_seed` is absent where the file leaves it out."""
    given = {"seed": raw.get("seed", 0)}
    if raw.get("init_seed") is not None:
        given["init_seed"] = raw["init_seed"]
    return sources(document, validation.seed_fields(), given, ())


def _texts(document: Document, path: Path, raw: Any, cure: str) -> list[tuple[Path, str]]:
    """The texts of a value that is one text or a list of them, with their positions in the file.

    Anything else in it is reported, with `cure`.
    """
    items = (
        [(path, raw)]
        if not isinstance(raw, list)
        else [((*path, index), item) for index, item in enumerate(raw)]
    )
    for item_path, item in items:
        if not isinstance(item, str):
            document.add_error(item_path, f"expected text, got {show_value(item)}", cure)
    return [(item_path, item) for item_path, item in items if isinstance(item, str)]


def _wheres(document: Document, raw: Mapping[str, Any]) -> list[ComputedValues]:
    """The conditions under `where`, parsed; those that cannot be are reported and left out."""
    conditions = []
    for path, condition in _texts(
        document,
        ("where",),
        value_of(raw, "where", []),
        "Write a condition in quotes, or a list of them",
    ):
        document.count_words(expressions.count_words(condition), path)
        try:
            conditions.append(ComputedValues(path, expressions.parse_expression(condition)))
        except ExpressionError as error:
            document.add_error(path, error.what, error.cure)
    return conditions


def _zips(document: Document, raw: Mapping[str, Any]) -> list[tuple[Path, list[str]]]:
    """The names in each group under `zip`, with the position of the group in the file."""
    raw_zip, cure = value_of(raw, "zip", []), "Write zip: [n, d] or a list of such lists"
    groups: list[tuple[Path, Any]] = [(("zip",), raw_zip)]
    if isinstance(raw_zip, list) and all(isinstance(group, list) for group in raw_zip):
        groups = [(("zip", index), group) for index, group in enumerate(raw_zip)]
    zips = [
        (path, [name for _, name in _texts(document, path, names, cure)]) for path, names in groups
    ]
    for path, names in zips:
        if len(set(names)) < 2:
            document.add_error(path, "a zip needs two different fields or more", cure)
    counts = Counter(name for _, names in zips for name in names)
    for name in sorted(name for name, count in counts.items() if count > 1):
        document.add_error(("zip",), f"{name} stands in it twice", "Name each field once")
    return zips


# From members to blocks.


def _blocks(
    document: Document,
    unions: list[list[PartSpec]],
    seeds: Mapping[str, Source],
    wheres: list[ComputedValues],
    zips: list[tuple[Path, list[str]]],
    requested_coordinates: str,
) -> list[tuple[BlockBuilder, Block]]:
    """The nonempty blocks of the grid, each with its builder."""
    _check_compared_words(document, wheres)
    # Counted before any block is built: a product of unions grows exponentially.
    block_count = functools.reduce(lambda product, members: product * len(members), unions, 1)
    if block_count > MAX_BLOCKS:
        document.add_error(
            (),
            f"the unions make {block_count} blocks",
            f"Keep it below {MAX_BLOCKS}; write lists of values instead",
        )
        return []
    # One tally for all blocks, so that a failing check is reported once and not for each block.
    tally = Tally()
    builders = [BlockBuilder(document, members, seeds) for members in itertools.product(*unions)]
    builders = [builder for builder in builders if not builder.is_excluded(wheres)]
    built = [
        (builder, block)
        for builder in builders
        if (block := _block(builder, zips, wheres, requested_coordinates, tally))
    ]
    tally.report(document)
    _check_zipped_names(document, builders, zips)
    nonempty = [(builder, block) for builder, block in built if block.size]
    # The checks below compare blocks with each other, which needs every block to be valid.
    if document.problems:
        return []
    if not nonempty:
        document.add_error(
            ("where",), "keeps no point of the grid", "Loosen the conditions or change the values"
        )
    check_overlaps.check_overlaps(document, nonempty)
    coordinates.check_coordinates(document, [block for _, block in nonempty])
    return nonempty


def _block(
    builder: BlockBuilder,
    zips: list[tuple[Path, list[str]]],
    wheres: list[ComputedValues],
    requested_coordinates: str,
    tally: Tally,
) -> Block | None:
    """Build a block; None if it contains an error."""
    try:
        builder.assign_axes(zips)
    except ResolutionError:
        return None
    # Resolve every name despite errors, so that all errors are reported together.
    for name in builder.names:
        with contextlib.suppress(ResolutionError):
            builder.table(name)
    try:
        selection = builder.select(wheres)
        if builder.failed:
            return None
        check_block(builder, selection, tally)
        return Block(
            builder.kinds,
            builder.columns(),
            selection,
            coordinates.choose_coordinates(requested_coordinates, builder.kinds),
        )
    except TooManyPoints:
        what = (
            "conditions, checks or compiled-in fields depend on "
            f"more than {MAX_TABLE} points together"
        )
        builder.document.add_error(
            ("where",), what, "Give fewer values to the fields that they ask for"
        )
    except ResolutionError:
        pass
    return None


def _check_compared_words(document: Document, wheres: Iterable[ComputedValues]) -> None:
    """Report nonexistent kinds in conditions."""
    for where in wheres:
        for family, kind in where.expression.compared_words():
            if (
                family in trial.FAMILIES
                and family != "train"
                and trial.find_kind(family, kind) is None
            ):
                document.add_error(
                    where.path,
                    f"there is no {family} '{kind}'",
                    closest_name(kind, trial.FAMILIES[family]),
                )


def _check_zipped_names(
    document: Document, builders: Sequence[BlockBuilder], zips: list[tuple[Path, list[str]]]
) -> None:
    """Report zipped names that no block gives as a list."""
    declared = dict.fromkeys(name for builder in builders for name in builder.names)
    listed = {
        name
        for builder in builders
        for name in builder.order
        if isinstance(builder.names[name].source, GivenValues)
    }
    invalid = {
        name for builder in builders for name in builder.order if builder.names[name].source is None
    }
    for path, names in zips if builders else ():
        for name in names:
            if name not in declared:
                document.add_error(path, f"there is no field {name}", closest_name(name, declared))
            elif name not in listed | invalid:
                document.add_error(
                    path,
                    f"{name} is not given as a list of values",
                    f"Give {name} a list, or take it out",
                )


def _check_fresh_points(document: Document, blocks: Sequence[Block], settings: Settings) -> None:
    """Report fresh points that are asked of data that has none."""
    kinds = dict.fromkeys(block.kinds["data"] for block in blocks)
    counts = {
        "test_points": settings.test_points,
        "validation_points": settings.validation_points,
    }
    for kind in kinds:
        cls = trial.find_kind("data", kind)
        if cls is None or getattr(cls, "has_fresh_points", True):
            continue
        for name, count in counts.items():
            if count:
                what = f"{kind} has no points but those of the training set, and {name} is {count}"
                document.add_error((name,), what, f"Write {name}: 0")


def _columns(document: Document, blocks: Sequence[Block]) -> dict[str, type]:
    """The type of the column of each field, by column name, seed first and then by part.

    A column with integers in some blocks and floats in others holds floats; any other mixture of
    types is reported.
    """
    types: dict[str, type] = {}
    for part in ("seed", *trial.PARTS):
        for column in (field for block in blocks for field in block.fields if field.part == part):
            if column.column in schema.KINDS:
                continue
            kinds = {types.get(column.column, column.type), column.type}
            if len(kinds) > 1 and kinds != {int, float}:
                type_names = " and ".join(sorted(kind.__name__ for kind in kinds))
                what = f"the column {column.column} would hold {type_names}"
                document.add_error((part,), what, "Put the two kinds into two grids")
            types[column.column] = float if len(kinds) > 1 else column.type
    return types
