"""From a grid file to lazy blocks of trials: `parse` and `load` are the way in."""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, create_model
from pydantic import Field as Declared

from sweep import expressions, fieldmodels, schema, spec, trial
from sweep.block import (
    MAX_POINTS,
    MAX_TABLE,
    Axes,
    Block,
    Column,
    Kept,
    Mask,
    Role,
    Space,
    Table,
    TooManyPoints,
    canonical,
    text,
    union,
)
from sweep.errors import GridError, Problem
from sweep.expressions import Expression, ExpressionError
from sweep.fieldmodels import DTYPES, Computed, Given, Source, choose, shown
from sweep.reader import MAX_BYTES, Document, Path, dotted, read

COORDINATES = ("auto", "ambient")
"""Coordinate systems of the first layer that a grid may ask for."""

MAX_BLOCKS = 1_000
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True)
class Settings:
    """What belongs to a sweep and not to a trial."""

    coordinates: str = "auto"
    record_points: int = 32
    record_test: bool = True
    test_points: int = 2000


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


def load(path: str | FilePath) -> Grid:
    """Read a grid file. Raises GridError with all that is wrong."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise GridError([Problem(str(path), 1, 1, "", what, "Give the path of a readable grid file")]) from None
    return _parse(content, str(path))


def parse(text: str, file: str = "<grid>") -> Grid:
    """The grid that a text describes. Raises GridError with all that is wrong."""
    return _parse(text, file)


def _parse(content: str | bytes, file: str) -> Grid:
    document = read(content, file)
    if not document.broken and not isinstance(document.value, dict):
        document.complain(
            (), f"a grid is a mapping, got {shown(document.value)}", "Write `name: ...`, `data: ...` and so on"
        )
        document.broken = True
    if document.broken:
        raise GridError(document.problems)
    grid = _read_grid(document, content if isinstance(content, str) else content.decode("utf-8-sig"))
    if document.problems:
        raise GridError(document.problems)
    return grid


# The top level of a file.

_KEYS = ("name", "description", "seed", *trial.PARTS, "where", "zip", "coordinates", "record", "test_points")
_POINTS = spec.Field("points", "static", int, "points of the recorded curves", default=32, at_least=0)
_TEST = spec.Field("test", "static", bool, "record test observables too", default=True)
_TEST_POINTS = spec.Field(
    "test_points", "static", int, "fresh points that measure a test error", default=2000, at_least=0
)
_COORDINATES = spec.Field("coordinates", "static", str, "how the first layer is stored", default="auto")


def _read_grid(document: Document, content: str) -> Grid:
    raw = document.value
    for key in raw:
        if key not in _KEYS:
            document.complain((key,), "is not a key of a grid", choose(key, _KEYS), key=True)
    name, description = _name(document, raw), _description(document, raw)
    settings = _settings(document, raw)
    seeds = fieldmodels.sources(document, {"seed": fieldmodels.seed_field()}, {"seed": raw.get("seed", 0)}, ())["seed"]
    unions = [_family(document, family, raw) for family in trial.PARTS]
    wheres, zips = _wheres(document, raw), _zips(document, raw)
    blocks = _blocks(document, unions, seeds, wheres, zips)
    columns = _columns(document, blocks)
    return Grid(name, description, tuple(blocks), settings, content, sum(block.size for block in blocks), columns)


def _given(raw: Mapping[str, Any], key: str, default: Any) -> Any:
    return default if raw.get(key) is None else raw[key]


def _name(document: Document, raw: Mapping[str, Any]) -> str:
    name = raw.get("name")
    if isinstance(name, str) and re.fullmatch(NAME, name):
        return name
    what = "is missing" if name is None else f"{shown(name)} cannot name a folder"
    document.complain(("name",), what, "Write name: with letters, digits, dots, _ and -, a letter or digit first")
    return ""


def _description(document: Document, raw: Mapping[str, Any]) -> str:
    description = _given(raw, "description", "")
    if not isinstance(description, str):
        document.complain(
            ("description",), f"expected text, got {shown(description)}", "Write text, in quotes if need be"
        )
    return str(description)


def _settings(document: Document, raw: Mapping[str, Any]) -> Settings:
    record = _given(raw, "record", {})
    if not isinstance(record, dict):
        document.complain(
            ("record",), f"expected a mapping, got {shown(record)}", "Write record: {points: 32, test: true}"
        )
        record = {}
    for key in record:
        if key not in ("points", "test"):
            document.complain(("record", key), "is not a key of record", choose(key, ("points", "test")), key=True)
    coordinates = replace(_COORDINATES, choices=COORDINATES)
    return Settings(
        coordinates=_setting(document, coordinates, raw, ()),
        record_points=_setting(document, _POINTS, record, ("record",)),
        record_test=_setting(document, _TEST, record, ("record",)),
        test_points=_setting(document, _TEST_POINTS, raw, ()),
    )


def _setting(document: Document, field: spec.Field, raw: Mapping[str, Any], path: Path) -> Any:
    given, faults = fieldmodels.check({field.name: field}, {field.name: [raw.get(field.name, field.default)]})
    for fault in faults:
        document.complain((*path, field.name), fault.what, fault.cure)
    return given.get(field.name, [field.default])[0]


def _texts(document: Document, path: Path, raw: Any, cure: str) -> list[tuple[Path, str]]:
    """One text or a list of them, with their places."""
    places = [(path, raw)] if not isinstance(raw, list) else [((*path, at), each) for at, each in enumerate(raw)]
    for place, each in places:
        if not isinstance(each, str):
            document.complain(place, f"expected text, got {shown(each)}", cure)
    return [(place, each) for place, each in places if isinstance(each, str)]


def _wheres(document: Document, raw: Mapping[str, Any]) -> list[Computed]:
    found = []
    for path, condition in _texts(
        document, ("where",), _given(raw, "where", []), "Write a condition in quotes, or a list of them"
    ):
        try:
            found.append(Computed(path, expressions.parse(condition)))
        except ExpressionError as error:
            document.complain(path, error.what, error.cure)
    return found


def _zips(document: Document, raw: Mapping[str, Any]) -> list[tuple[Path, list[str]]]:
    given, cure = _given(raw, "zip", []), "Write zip: [n, d] or a list of such lists"
    groups: list[tuple[Path, Any]] = [(("zip",), given)]
    if isinstance(given, list) and all(isinstance(each, list) for each in given):
        groups = [(("zip", at), each) for at, each in enumerate(given)]
    found = [(path, [name for _, name in _texts(document, path, names, cure)]) for path, names in groups]
    for path, names in found:
        if len(set(names)) < 2:
            document.complain(path, "a zip needs two different fields or more", cure)
    names = [name for _, names in found for name in names]
    for name in sorted({name for name in names if names.count(name) > 1}):
        document.complain(("zip",), f"{name} stands in it twice", "Name each field once")
    return found


# The five parts of a trial: unions of mappings.


@dataclass(frozen=True, eq=False)
class Member:
    """One kind of a family with what the file gives to its fields; of each nested union one member."""

    family: str
    kind: str
    cls: type
    path: Path
    given: dict[str, Source]
    nested: dict[str, Member]
    order: tuple[str, ...] = ()


def _family(document: Document, family: str, raw: Mapping[str, Any]) -> list[Member]:
    defaults: dict[str, Any] = {"objective": {"kind": "logistic"}, "train": {}}
    given = raw.get(family)
    if given is None and family not in defaults:
        document.complain(
            (family,), "is missing", f"Write {family}: {{kind: ...}}. {choose('', trial.FAMILIES[family])}"
        )
        return []
    return _members(document, family, defaults[family] if given is None else given, (family,))


def _members(document: Document, family: str, raw: Any, path: Path) -> list[Member]:
    """The members of a union, or the one of a mapping."""
    if not isinstance(raw, list):
        return _member(document, family, raw, path)
    if not raw:
        document.complain(path, "an empty list makes no trials", f"Write at least one {family}")
    return [member for at, each in enumerate(raw) for member in _member(document, family, each, (*path, at))]


def _member(document: Document, family: str, raw: Any, path: Path) -> list[Member]:
    raw = {"kind": raw} if isinstance(raw, str) and family != "train" else raw
    if not isinstance(raw, dict):
        kind = "" if family == "train" else "kind: ..., "
        document.complain(path, f"expected a mapping, got {shown(raw)}", f"Write {family}: {{{kind}field: value}}")
        return []
    kind = _kind(document, family, raw, path)
    cls = trial.find(family, kind) if kind else None
    if cls is None:
        return []
    nested = {name: field for name, field in spec.fields(cls).items() if field.role == "nested"}
    known = fieldmodels.declared(cls)
    named = {name: value for name, value in raw.items() if name != "kind" or family == "train"}
    _unknown(document, family, kind, [name for name in named if name not in known], known, path)
    scalars = {name: value for name, value in named.items() if name in known and name not in nested}
    given = fieldmodels.sources(document, known, scalars, path)
    _doubled(document, cls, given, path)
    choices = [_nested(document, field, named, path) for field in nested.values()]
    order = tuple(name for name in named if name in known)
    for name, field in known.items():
        if (
            field.required
            and name not in named
            and not any(each.field == name and each.name in named for each in spec.alternatives(cls))
        ):
            document.complain((*path, name), f"is missing ({field.doc})", f"Give {name} a value")
            given[name] = None
    combinations = itertools.product(*choices)
    return [
        Member(family, kind, cls, path, given, dict(zip(nested, each, strict=True)), order) for each in combinations
    ]


def _kind(document: Document, family: str, raw: Mapping[str, Any], path: Path) -> str:
    if family == "train":
        return "train"
    kind, kinds = raw.get("kind"), trial.FAMILIES[family]
    if isinstance(kind, str) and trial.find(family, kind):
        return kind
    if kind is None:
        document.complain(path, "kind is missing", f"Write kind: .... {choose('', kinds)}")
    elif isinstance(kind, str):
        place = (*path, "kind") if (*path, "kind") in document.places else path
        more = "; optax.NAME is any optimizer of optax with a learning_rate" if family == "optimizer" else ""
        document.complain(place, f"there is no {family} '{kind}'", choose(kind, kinds) + more)
    else:
        cure = "Write one word; for several kinds write the part as a list of mappings"
        document.complain((*path, "kind"), f"expected a word, got {shown(kind)}", cure)
    return ""


def _unknown(document: Document, family: str, kind: str, names: list[str], known: Iterable[str], path: Path) -> None:
    for name in names:
        others = {
            other
            for other, kinds in trial.FAMILIES.items()
            for cls in kinds.values()
            if name in fieldmodels.declared(cls)
        }
        hint = f"It is a field of {' and '.join(sorted(others - {family}))}. " if others - {family} else ""
        what = f"is not a field of {family if kind == family else f'{family} {kind}'}"
        document.complain((*path, name), what, hint + choose(name, known), key=True)


def _doubled(document: Document, cls: type, given: dict[str, Source], path: Path) -> None:
    for each in spec.alternatives(cls):
        if each.name in given and each.field in given:
            what = f"{each.name} and {each.field} are given, and each sets the other"
            document.complain((*path, each.name), what, f"Give {each.name} or {each.field}", key=True)
            given[each.name] = given[each.field] = None


def _nested(document: Document, field: spec.Field, named: Mapping[str, Any], path: Path) -> list[Member]:
    if field.name in named:
        return _members(document, field.type, named[field.name], (*path, field.name))
    if field.required:
        return []
    return [_default_member(field, path)]


def _default_member(field: spec.Field, path: Path) -> Member:
    """The member that a nested field has where the file gives none."""
    cls = type(field.default)
    given: dict[str, Source] = {}
    for name, each in spec.fields(cls).items():
        value = getattr(field.default, name)
        if each.role != "nested" and value is not None and (each.required or value != each.default):
            given[name] = Given(path, np.array([value], DTYPES[each.type]), np.zeros(1, bool))
    nested = {
        name: _default_member(replace(each, default=getattr(field.default, name)), path)
        for name, each in spec.fields(cls).items()
        if each.role == "nested"
    }
    return Member(field.type, _kind_of(field), cls, path, given, nested, tuple(given))


def _kind_of(field: spec.Field) -> str:
    """The name of a nested field's default kind, "" where it has none."""
    kinds = trial.FAMILIES[field.type].items()
    return next((kind for kind, cls in kinds if cls is type(field.default)), "")


# From members to blocks.


@dataclass(frozen=True, eq=False)
class _Name:
    """What a block knows of one of its names before it has values."""

    field: spec.Field
    role: Role
    part: str
    path: Path
    source: Source = None
    given: bool = False
    setter: spec.Alternative | None = None
    usual: str = ""


@dataclass(frozen=True, eq=False)
class _Doubt:
    """Values of an expression that are not allowed, should `where` keep them."""

    name: _Name
    expression: Expression
    axes: Axes
    bad: np.ndarray
    found: np.ndarray


class _Failed(Exception):
    """There are no values; why has been said already."""


class _Assembly:
    """One block in the making: names, axes, then a table for each name."""

    def __init__(self, document: Document, members: Sequence[Member], seeds: Source) -> None:
        self.document, self.members = document, members
        self.names: dict[str, _Name] = {}
        self.kinds: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.order: list[str] = []
        self.axes: dict[str, int] = {}
        self.space = Space(())
        self.tables: dict[str, Table | None] = {}
        self.failed: set[str] = set()
        self.open: list[str] = []
        self.doubts: list[_Doubt] = []
        self.tainted: dict[str, Mask] = {}
        for member in members:
            self._declare(member, member.family, member.family, "")
            self.order += _order(member)
        self._add(_Name(fieldmodels.seed_field(), "lane", "seed", ("seed",), seeds, given=True))
        self.order.append("seed")

    def _declare(self, member: Member, part: str, name: str, usual: str) -> None:
        """Add the names of a member: its kind, its fields with those of nested members, its alternatives."""
        if member.family in self.kinds:
            what = f"a second {member.family} stands beside that of another part"
            self.document.complain(member.path, what, "Take another kind, or use a family of its own in the plugin")
        if member.family != "train":
            kind = spec.Field(name, "static", str, "", default=member.kind, column=name)
            self._add(_Name(kind, "kind", part, member.path, usual=usual))
            self.words[name] = self.kinds[member.family] = member.kind
        setters = {each.field: each for each in spec.alternatives(member.cls) if each.name in member.given}
        for inner, field in spec.fields(member.cls).items():
            if field.role == "nested":
                self._declare(member.nested[inner], part, inner, _kind_of(field))
            else:
                self._declare_field(member, part, field, field.role, setters.get(inner))
        for each in spec.alternatives(member.cls):
            self._declare_field(member, part, fieldmodels.alternative_field(each), "alternative", each)

    def _declare_field(
        self, member: Member, part: str, field: spec.Field, role: Role, setter: spec.Alternative | None
    ) -> None:
        given = field.name in member.given
        path = (*member.path, setter.name if setter and not given else field.name)
        self._add(_Name(field, role, part, path, member.given.get(field.name), given, setter))

    def _add(self, name: _Name) -> None:
        columns = {each.field.column for each in self.names.values()} | schema.FIXED - {"seed", *schema.KINDS}
        if name.field.name in self.names or name.field.column in columns:
            what = f"the name {name.field.name} is taken, by another part or by a column of the results"
            self.document.complain(name.path, what, "Take another kind, or rename the field in the plugin")
        self.names[name.field.name] = name

    def title(self) -> str:
        """The kinds of the block in words."""
        return ", ".join(f"{name}: {kind}" for name, kind in self.words.items())

    def lay_axes(self, zips: Sequence[tuple[Path, list[str]]]) -> None:
        """Give every list of values an axis, and those of a zip the same one."""
        lists = {name: len(each.null) for name in self.order if isinstance(each := self.names[name].source, Given)}
        together: dict[str, str] = {}
        for path, names in zips:
            self._equally_many(path, {name: lists[name] for name in names if name in lists})
            together |= dict.fromkeys(names, dotted(path))
        sizes: dict[str, int] = {together.get(name, name): count for name, count in lists.items() if count > 1}
        places = {group: place for place, group in enumerate(sizes)}
        self.axes = {name: places[together.get(name, name)] for name, count in lists.items() if count > 1}
        self.space = Space(tuple(sizes.values()))
        if self.space.points > MAX_POINTS:
            self.document.complain((), f"the grid has {self.space.points:.3g} points", "Keep it below 2^62 points")
            raise _Failed

    def _equally_many(self, path: Path, counts: Mapping[str, int]) -> None:
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in counts.items())
            self.document.complain(
                path, f"zipped fields need equally many values, but {said}", "Make the lists equally long"
            )
            raise _Failed

    def table(self, name: str) -> Table | None:
        """The values of a name, None where it is null. Raises _Failed where there are none."""
        if name in self.failed:
            raise _Failed
        if name in self.open:
            self._cycle(self.open[self.open.index(name) :])
        if name not in self.tables:
            self.open.append(name)
            try:
                self.tables[name] = self._table(self.names[name])
            except _Failed:
                self.failed.add(name)
                raise
            finally:
                self.open.pop()
        return self.tables[name]

    def _cycle(self, circle: list[str]) -> None:
        computed = [name for name in circle if isinstance(self.names[name].source, Computed)]
        first = min(computed, key=lambda name: self.document.place(self.names[name].path), default=circle[0])
        start, origin = circle.index(first), self.names[first].path
        said = " -> ".join([*circle[start:], *circle[: start + 1]])
        self.document.complain(origin, f"expressions need each other: {said}", "Give one of these fields as numbers")
        raise _Failed

    def _table(self, name: _Name) -> Table | None:
        source, setter = name.source, name.setter
        if name.role == "kind":
            return Table((), np.array([name.field.default], object))
        if isinstance(source, Given):
            return self._given(name, source)
        if isinstance(source, Computed):
            return self._compute(name, source.expression, source.path)
        if name.given:
            raise _Failed
        if setter and name.role == "alternative":
            return self._compute(name, _internal(setter.from_field), name.path, strict=False)
        if setter:
            return self._compute(name, _internal(setter.to_field), name.path)
        return self._default(name)

    def _default(self, name: _Name) -> Table | None:
        """The default of a field: what counts nothing in an id."""
        field = name.field
        if name.role == "alternative" or field.required:
            return None
        if name.role == "kind":
            return Table((), np.array([name.usual], object)) if name.usual else None
        if field.default is None:
            return self._compute(name, _internal(field.null), name.path) if field.null else None
        return Table((), np.array([field.default], DTYPES[field.type]))

    def _given(self, name: _Name, source: Given) -> Table | None:
        axes = (self.axes[name.field.name],) if name.field.name in self.axes else ()
        if not source.null.any():
            return Table(axes, source.values)
        standing = self._default(name)
        if standing is None:
            return None
        both = union((axes, standing.axes))
        null, values = (self.space.spread(each, axes, both) for each in (source.null, source.values))
        return Table(both, np.where(null, self.space.spread(standing.values, standing.axes, both), values).ravel())

    def _needs(self, expression: Expression, path: Path) -> dict[str, Table]:
        """The tables of the names that an expression uses."""
        for name in expression.names:
            if name not in self.names:
                what = f"there is no field {name} here ({self.title()})"
                self.document.complain(path, what, self._absent(name, path[:1] == ("where",)))
        if not set(expression.names) <= set(self.names):
            raise _Failed
        tables = {}
        for name in expression.names:
            table = tables[name] = self.table(name)
            if table is None:
                self.document.complain(path, f"{name} is null here", f"Give {name} a value, or leave it out here")
                raise _Failed
        return tables

    def _absent(self, name: str, where: bool) -> str:
        """A cure for a name that this block does not have."""
        for family, kinds in trial.FAMILIES.items():
            if family in self.words and any(name in fieldmodels.declared(cls) for cls in kinds.values()):
                this = f"== '{self.words[family]}'"
                drop = f"{family} !{this[1:]} in where drops the others"
                keep = f", {family} {this} or (...) keeps them" if where else ""
                return f"Only some kinds of {family} have it: {drop}{keep}"
        return choose(name, self.names)

    def evaluate(self, expression: Expression, path: Path) -> tuple[Axes, np.ndarray]:
        """An expression over the axes that it depends on."""
        for name, word in expression.words():
            choices = self.names[name].field.choices if name in self.names else ()
            if choices and word not in choices:
                self.document.complain(path, f"{name} is never '{word}'", choose(word, choices))
        tables = self._needs(expression, path)
        axes = union(table.axes for table in tables.values())
        try:
            shape = self.space.shape(axes)
            columns = {name: self.space.spread(table.numbers, table.axes, axes) for name, table in tables.items()}
            return axes, np.broadcast_to(expressions.evaluate(expression, columns), shape)
        except TooManyPoints:
            what = f"{', '.join(expression.names)} have more than {MAX_TABLE} combinations"
            self.document.complain(path, what, "Let it depend on fewer fields, or give fewer values")
        except ExpressionError as error:
            self.document.complain(path, error.what, error.cure)
        raise _Failed

    def _compute(self, name: _Name, expression: Expression, path: Path, strict: bool = True) -> Table:
        """The values that an expression gives to a field; what is not allowed waits until `where` is known."""
        expression = expressions.settle(expression, self.words)
        axes, found = self.evaluate(expression, path)
        field, found = name.field, found.ravel()
        words = {"b": "true or false", "O": "text", "f": "a number"}
        expected = {bool: "b", str: "O"}.get(field.type, "f")
        if found.dtype.kind != expected:
            what = f"`{expression.text}` gives {words[found.dtype.kind]}, expected {words[expected]}"
            self.document.complain(path, what, f"Write an expression that gives {words[expected]}")
            raise _Failed
        values = np.rint(found) if field.type is int else canonical(found)
        if strict:
            self._doubt(_Doubt(replace(name, path=path), expression, axes, fieldmodels.outside(field, values), found))
        if field.type is not int:
            return Table(axes, values)
        exact = np.isfinite(values) & (np.abs(values) < 2.0**63)
        return Table(axes, np.where(exact, values, 0).astype(np.int64), np.where(exact, values, np.nan))

    def _doubt(self, doubt: _Doubt) -> None:
        """Keep bad values in mind, but for those that come from bad values of other fields."""
        inherited = np.zeros(self.space.shape(doubt.axes), bool)
        for name in doubt.expression.names:
            if name in self.tainted:
                inherited |= self.space.spread(self.tainted[name][1], self.tainted[name][0], doubt.axes)
        own = doubt.bad & ~inherited.ravel()
        self.tainted[doubt.name.field.name] = (doubt.axes, doubt.bad | inherited.ravel())
        if own.any():
            self.doubts.append(replace(doubt, bad=own))

    def keep(self, wheres: Sequence[Computed]) -> Kept:
        """The points at which all conditions of the grid hold. Raises _Failed where one cannot be asked."""
        masks, failed = [], False
        for where in wheres:
            try:
                masks += self._masks(where)
            except _Failed:
                failed = True
        if failed:
            raise _Failed
        return Kept(self.space, masks)

    def dropped(self, wheres: Sequence[Computed]) -> bool:
        """True where the kinds alone decide that no point is kept."""
        settled = (expressions.settle(where.expression, self.words) for where in wheres)
        return any(isinstance(each.tree, ast.Constant) and each.tree.value is False for each in settled)

    def _masks(self, where: Computed) -> list[Mask]:
        masks = []
        for each in expressions.conjuncts(expressions.settle(where.expression, self.words)):
            axes, holds = self.evaluate(each, where.path)
            if holds.dtype != bool:
                what = f"`{where.expression.text}` is not a condition"
                self.document.complain(where.path, what, "Compare with something, such as sparsity <= d")
                raise _Failed
            masks.append((axes, holds))
        return masks

    def judge(self, kept: Kept, tally: _Tally) -> None:
        """Look for what is wrong at kept points only."""
        for doubt in self.doubts:
            bad = np.flatnonzero(doubt.bad & kept.project(doubt.axes).ravel())
            if len(bad):
                self._regret(doubt, int(bad[0]))
        if not self.doubts:
            for member in _flat(self.members):
                for check in spec.checks(member.cls):
                    self._check(member, check, kept, tally)
        for axis in range(len(self.space.sizes)):
            self._repeats(axis, kept)

    def _regret(self, doubt: _Doubt, place: int) -> None:
        at = ", ".join(f"{name}={self._shown(name, doubt.axes, place)}" for name in doubt.expression.names)
        field = doubt.name.field
        what = f"{field.name} = {doubt.expression.text} is {text(doubt.found[place])}{f' at {at}' if at else ''}"
        cure = f"Make it {fieldmodels.allowed(field)}, or keep only points where it is by means of where"
        self.document.complain(doubt.name.path, what, cure)

    def _shown(self, name: str, axes: Axes, place: int) -> str:
        table = self.table(name)
        assert table is not None
        wide = np.broadcast_to(self.space.spread(table.values, table.axes, axes), self.space.shape(axes))
        return text(wide.flat[place])

    def _check(self, member: Member, check: spec.Check, kept: Kept, tally: _Tally) -> None:
        expression = _internal(check.holds)
        if any(name not in self.names or self.table(name) is None for name in expression.names):
            return
        axes, holds = self.evaluate(expression, member.path)
        broken = kept.also([(axes, ~holds)])
        written = [self.names[name].path for name in expression.names if self.names[name].path in self.document.places]
        example = ""
        if broken.count:
            row = next(broken.rows(1))
            place = int(self.space.index(axes, row)[0])
            example = ", ".join(f"{name}={self._shown(name, axes, place)}" for name in expression.names)
        tally.add(written[0] if written else member.path, check, broken.count, kept.count, example)

    def _repeats(self, axis: int, kept: Kept) -> None:
        """Complain where two values of an axis make the same trial."""
        names = [name for name, place in self.axes.items() if place == axis]
        targets = [
            each.setter.field if (each := self.names[name]).setter and each.role == "alternative" else name
            for name in names
        ]
        tables = [table for name in targets if (table := self.table(name))]
        axes = union([(axis,), *(table.axes for table in tables)])
        shape = self.space.shape(axes)
        codes = np.zeros(shape, np.int64)
        for table in tables:
            found, inverse = np.unique(canonical(table.values), return_inverse=True)
            codes = codes * len(found) + self.space.spread(inverse, table.axes, axes)
            codes = np.unique(codes, return_inverse=True)[1].reshape(shape)
        codes = np.where(kept.project(axes), codes, -1 - np.arange(codes.size).reshape(shape))
        lines = np.moveaxis(codes, axes.index(axis), -1).reshape(-1, self.space.sizes[axis])
        order = np.argsort(lines, axis=1, kind="stable")
        ascending = np.take_along_axis(lines, order, axis=1)
        twice = np.argwhere(ascending[:, 1:] == ascending[:, :-1])
        if len(twice):
            line, place = twice[0]
            self._repeated(names, int(order[line, place]), int(order[line, place + 1]))

    def _repeated(self, names: list[str], first: int, second: int) -> None:
        path = self.names[names[0]].path
        path = (*path, second) if (*path, second) in self.document.places else path
        what = f"values {first + 1} and {second + 1} of {', '.join(names)} make the same trials"
        self.document.complain(path, what, "Take one of them out")

    def columns(self) -> list[Column]:
        """All names with their tables, part by part."""
        return [
            Column(
                name=each.field.name,
                column=each.field.column,
                role=each.role,
                type=each.field.type,
                part=each.part,
                shared=each.part in trial.PROBLEM,
                table=self.table(each.field.name),
                default=self._default(each),
            )
            for each in self.names.values()
        ]


def _order(member: Member) -> list[str]:
    """Names in the order of the file."""
    each = [_order(member.nested[name]) if name in member.nested else [name] for name in member.order]
    return list(itertools.chain(*each))


def _flat(members: Iterable[Member]) -> list[Member]:
    """Members and those nested in them."""
    return [each for member in members for each in (member, *_flat(member.nested.values()))]


@functools.lru_cache(maxsize=256)
def _internal(text: str) -> Expression:
    return expressions.parse(text)


class _Tally:
    """Points at which checks fail, counted over all blocks."""

    def __init__(self) -> None:
        self.found: dict[tuple[Path, spec.Check], tuple[int, int, str]] = {}

    def add(self, path: Path, check: spec.Check, failing: int, points: int, example: str) -> None:
        """Add the points of one block."""
        before = self.found.get((path, check), (0, 0, ""))
        self.found[path, check] = (before[0] + failing, before[1] + points, before[2] or example)

    def complain(self, document: Document) -> None:
        """Say which checks fail, and where."""
        for (path, check), (failing, points, example) in self.found.items():
            if failing:
                what = f"{check.what}: at {failing} of {points} points, for example at {example}"
                document.complain(path, what, check.cure)


def _blocks(
    document: Document,
    unions: list[list[Member]],
    seeds: Source,
    wheres: list[Computed],
    zips: list[tuple[Path, list[str]]],
) -> list[Block]:
    """The blocks of the grid that keep any point."""
    _words(document, wheres)
    count = functools.reduce(lambda product, members: product * len(members), unions, 1)
    if count > MAX_BLOCKS:
        document.complain(
            (), f"the unions make {count} blocks", f"Keep it below {MAX_BLOCKS}; write lists of values instead"
        )
        return []
    tally = _Tally()
    assemblies = [_Assembly(document, members, seeds) for members in itertools.product(*unions)]
    assemblies = [each for each in assemblies if not each.dropped(wheres)]
    made = [(each, block) for each in assemblies if (block := _block(each, zips, wheres, tally))]
    tally.complain(document)
    _zipped(document, assemblies, zips)
    kept = [(assembly, block) for assembly, block in made if block.size]
    if document.problems:
        return []
    if not kept:
        document.complain(("where",), "keeps no point of the grid", "Loosen the conditions or change the values")
    _overlaps(document, kept)
    return [block for _, block in kept]


def _block(
    assembly: _Assembly, zips: list[tuple[Path, list[str]]], wheres: list[Computed], tally: _Tally
) -> Block | None:
    """The block of an assembly, None where something in it is wrong."""
    try:
        assembly.lay_axes(zips)
    except _Failed:
        return None
    for name in assembly.names:
        with contextlib.suppress(_Failed):
            assembly.table(name)
    try:
        kept = assembly.keep(wheres)
        if assembly.failed:
            return None
        assembly.judge(kept, tally)
        return Block(assembly.kinds, assembly.columns(), kept)
    except TooManyPoints:
        what = f"conditions and checks depend on more than {MAX_TABLE} points together"
        assembly.document.complain(("where",), what, "Give fewer values to the fields that they ask for")
    except _Failed:
        pass
    return None


def _words(document: Document, wheres: Iterable[Computed]) -> None:
    """Complain about kinds in conditions that do not exist."""
    for where in wheres:
        for family, kind in where.expression.words():
            if family in trial.FAMILIES and family != "train" and trial.find(family, kind) is None:
                document.complain(where.path, f"there is no {family} '{kind}'", choose(kind, trial.FAMILIES[family]))


def _zipped(document: Document, assemblies: Sequence[_Assembly], zips: list[tuple[Path, list[str]]]) -> None:
    """Complain about names in a zip that are nowhere varied."""
    known = dict.fromkeys(name for each in assemblies for name in each.names)
    listed = {name for each in assemblies for name in each.order if isinstance(each.names[name].source, Given)}
    broken = {name for each in assemblies for name in each.order if each.names[name].source is None}
    for path, names in zips if assemblies else ():
        for name in names:
            if name not in known:
                document.complain(path, f"there is no field {name}", choose(name, known))
            elif name not in listed | broken:
                document.complain(
                    path, f"{name} is not given as a list of values", f"Give {name} a list, or take it out"
                )


def _overlaps(document: Document, kept: Sequence[tuple[_Assembly, Block]]) -> None:
    """Complain where two blocks of a union contain the same trial."""
    groups: dict[tuple[tuple[str, str], ...], list[tuple[_Assembly, Block]]] = {}
    for each in kept:
        groups.setdefault(tuple(each[1].kinds.items()), []).append(each)
    for group in groups.values():
        for (one, first), (other, second) in itertools.combinations(group, 2):
            example = first.meets(second)
            if example is not None:
                pairs = zip(_flat(one.members), _flat(other.members), strict=True)
                before, path = next(((a.path, b.path) for a, b in pairs if a.path != b.path), ((), ()))
                said = ", ".join(f"{name}={text(value)}" for name, value in example.items())
                line = document.place(before)[0]
                what = f"makes a trial that {dotted(before)} in line {line} makes too{f', with {said}' if said else ''}"
                document.complain(path, what, "Take it out of one of them, or join the two")


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


# For editors.


def json_schema() -> dict[str, Any]:
    """The JSON Schema of grid files, with the kinds that are registered now."""
    return file_model().model_json_schema()


def file_model() -> type[BaseModel]:
    """The pydantic model of grid files as they are written, without what only the points can tell."""
    condition, names = Annotated[str, Declared(description="a condition on fields")], list[str]
    parts = {
        "name": (
            Annotated[str, Declared(pattern=f"^{NAME}$")],
            Declared(description="names the folder of the results"),
        ),
        "description": (str, Declared("", description="what the grid is for")),
        "seed": (fieldmodels.written(fieldmodels.seed_field()), Declared(0, description=fieldmodels.seed_field().doc)),
        "data": (fieldmodels.family_model("data"), Declared(description="distribution of the points")),
        "model": (fieldmodels.family_model("model"), Declared(description="network")),
        "objective": (
            fieldmodels.family_model("objective"),
            Declared({"kind": "logistic"}, description="loss and l2 term"),
        ),
        "optimizer": (fieldmodels.family_model("optimizer"), Declared(description="rule of the updates")),
        "train": (fieldmodels.family_model("train"), Declared({}, description="how long and on what batches")),
        "where": (condition | list[condition], Declared([], description="keeps the points where it holds")),
        "zip": (names | list[names], Declared([], description="fields that vary together")),
        "coordinates": (Literal[COORDINATES], Declared("auto", description=_COORDINATES.doc)),
        "record": (fieldmodels.settings_model("Record", (_POINTS, _TEST)), Declared({}, description="recorded curves")),
        "test_points": (int, Declared(2000, ge=0, description=_TEST_POINTS.doc)),
    }
    attributes: dict[str, Any] = parts
    return create_model("Grid", __config__=ConfigDict(extra="forbid", protected_namespaces=()), **attributes)
