"""Declarations of fields: whether a field is compiled in or swept, its valid values, its meaning.

A *part* (data model, network, objective, optimizer, schedule, training) is a frozen dataclass that
is a jax pytree. Its `static` fields are compiled in (shapes, counts, names); its `lane` fields are
scalars that may differ from lane to lane; a `nested` field is itself a part. These declarations are
the only source for bucket keys, batches, parquet columns, ids and error messages.

A static count that is declared `padded` is held as a `Size`: trials of different sizes may share a
program, whose arrays then have the largest of these sizes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType
from typing import Any, Literal, NamedTuple, TypeVar, dataclass_transform, get_args, get_type_hints

import jax

from sweep.padding import Scalar as Scalar  # plugins take it from here
from sweep.padding import Size
from sweep.schema import ColumnInfo

Role = Literal["static", "lane", "nested"]
T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """The declaration of one field of a part.

    `type` is bool, int, float or str, or the family name of a nested field; an absent bound is
    None. `column` is its name in the runs table. `null` is the expression that replaces a null
    value in a grid. `doc` is a definition, `label` a short axis label, `symbol` the letter used on
    the axis, `explanation` a sentence for reports. `prefix` of a nested field stands before the names
    of the fields within.
    """

    name: str
    role: Role
    type: Any
    doc: str
    default: Any = dataclasses.MISSING
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    column: str = ""
    null: str = ""
    optional: bool = False
    padded: bool = False
    prefix: str = ""
    label: str = ""
    symbol: str = ""
    explanation: str = ""

    @property
    def required(self) -> bool:
        """Whether a grid must give a value."""
        return self.default is dataclasses.MISSING


@dataclass(frozen=True)
class Alternative:
    """A name that gives a field in other units (`snr` for `noise`); both become columns.

    `to_field` computes the field from the alternative, `from_field` the alternative from the field;
    both are grid expressions.
    """

    name: str
    field: str
    to_field: str
    from_field: str
    doc: str
    integer: bool = False
    label: str = ""
    symbol: str = ""
    explanation: str = ""


@dataclass(frozen=True)
class Check:
    """A relation between fields that must hold at every grid point.

    `holds` is a grid expression, `what` says what is wrong where it is false, `cure` how to fix it.
    """

    holds: str
    what: str
    cure: str


def _field(role: Role, default: Any, doc: str, **properties: Any) -> Any:
    metadata = {
        # The actual size in a padded `Size` is data, so a padded count is a child of the pytree.
        "pytree_node": role != "static" or properties.get("padded", False),
        "role": role,
        "doc": doc,
        **properties,
    }
    return dataclasses.field(default=default, metadata=metadata)


def static(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] = (),
    null: str = "",
    padded: bool = False,
    label: str = "",
    symbol: str = "",
    explanation: str = "",
) -> Any:
    """A field that is compiled in: trials that differ in it need different programs.

    Args:
        default: The value where a grid gives none; without a default the field is required.
        doc: A definition of the field.
        at_least: The inclusive lower bound.
        at_most: The inclusive upper bound.
        choices: The strings that are valid.
        null: The grid expression that replaces a null value.
        padded: Whether the count is held as a `Size`, so that trials that differ in it can share a
            program.
        label: A short axis label.
        symbol: The letter used on the axis.
        explanation: A sentence for reports.
    """
    bounds = {"at_least": at_least, "at_most": at_most}
    texts = {"label": label, "symbol": symbol, "explanation": explanation}
    return _field(
        "static", default, doc, choices=choices, null=null, padded=padded, **bounds, **texts
    )


def lane(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    integer: bool = False,
    column: str = "",
    label: str = "",
    symbol: str = "",
    explanation: str = "",
) -> Any:
    """A scalar that may differ between the lanes of a compiled program.

    Args:
        default: The value where a grid gives none; None leaves the feature out of the program, and
            without a default the field is required.
        doc: A definition of the field.
        above: The exclusive lower bound.
        at_least: The inclusive lower bound.
        below: The exclusive upper bound.
        at_most: The inclusive upper bound.
        integer: Whether the values are integers rather than floats.
        column: The name in the runs table, by default the field's name.
        label: A short axis label.
        symbol: The letter used on the axis.
        explanation: A sentence for reports.
    """
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    texts = {"label": label, "symbol": symbol, "explanation": explanation}
    return _field("lane", default, doc, integer=integer, column=column, **bounds, **texts)


def nested(family: str, default: Any = dataclasses.MISSING, *, doc: str, prefix: str = "") -> Any:
    """A field that is itself a part; its kind becomes a column.

    Args:
        family: The family of its kinds, such as `schedule`.
        default: The part where a grid gives none; without a default the field is required.
        doc: A definition of the field.
        prefix: Stands before the names of its fields in conditions and tables, which tells two
            nested parts of one family apart.
    """
    return _field("nested", default, doc, family=family, prefix=prefix)


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(static, lane, nested)
)
def part(cls: type[T]) -> type[T]:
    """Make a class a part: a frozen, keyword-only dataclass and a jax pytree of its lane fields."""
    padded = [name for name, value in vars(cls).items() if _is_padded(value)]

    def wrap_sizes(self: Any) -> None:
        for name in padded:
            # Only plain ints: a `Size` is an int too, and jax may put any object in a leaf.
            if type(getattr(self, name)) is int:
                object.__setattr__(self, name, Size(getattr(self, name)))

    if padded:
        cls.__post_init__ = wrap_sizes  # type: ignore[attr-defined]
    part_class = dataclass(frozen=True, kw_only=True)(cls)
    part_class.replace = dataclasses.replace  # type: ignore[attr-defined]
    _register(part_class)
    return part_class


def _register(cls: type) -> None:
    """Register a part as a pytree."""
    # Not `jax.tree_util.register_dataclass`, which flax.struct calls: its tree structures are equal
    # for any two classes with the same fields (jax 0.10 to 0.12), so a program compiled for one
    # class may be reused for another.
    declared = dataclasses.fields(cls)
    leaves = [field.name for field in declared if field.metadata.get("pytree_node", True)]
    static_names = [field.name for field in declared if field.name not in leaves]
    keys = [jax.tree_util.GetAttrKey(name) for name in leaves]

    def flatten(part: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(part, name) for name in leaves], tuple(
            [getattr(part, name) for name in static_names]
        )

    def with_keys(part: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children, static = flatten(part)
        return list(zip(keys, children, strict=True)), static

    def unflatten(static: tuple[Any, ...], children: Iterable[Any]) -> Any:
        static_values = dict(zip(static_names, static, strict=True))
        return cls(**static_values, **dict(zip(leaves, children, strict=True)))

    jax.tree_util.register_pytree_with_keys(cls, with_keys, unflatten, flatten)


def _is_padded(value: Any) -> bool:
    return isinstance(value, dataclasses.Field) and value.metadata.get("padded", False)


def _scalar_type(hint: Any, metadata: Mapping[str, Any]) -> Any:
    if metadata["role"] == "nested":
        return metadata["family"]
    if metadata["role"] == "lane":
        return int if metadata["integer"] else float
    # The type of an optional field is that of its values: `str` for `str | None`.
    return next((option for option in get_args(hint) if option is not NoneType), hint)


@functools.cache
def fields(cls: type) -> Mapping[str, Field]:
    """The declared fields of a part by name, in order of declaration."""
    hints = get_type_hints(cls)
    declared = {}
    for field in dataclasses.fields(cls):
        metadata = dict(field.metadata)
        properties = {
            key: metadata[key]
            for key in metadata
            if key not in ("pytree_node", "integer", "family", "column")
        }
        declared[field.name] = Field(
            name=field.name,
            type=_scalar_type(hints[field.name], metadata),
            default=field.default,
            optional=field.default is None,
            column=metadata.get("column") or field.name,
            **properties,
        )
    # The mapping is cached and shared by all callers, so it must be read-only.
    return MappingProxyType(declared)


class Slot(NamedTuple):
    """A place for a part in a trial: that of a family, or of a nested field of another part.

    `name` is that of the column of its kind: `optimizer`, `schedule`, or `optimizer_inner` for an
    optimizer within an optimizer. `prefix` stands before the names of its fields.
    """

    name: str
    family: str
    prefix: str = ""

    def within(self, field: Field) -> Slot:
        """The place of a nested field of the part that stands here."""
        # Behind the name of the outer part where the families are equal: a column says of what.
        outer = f"{self.name}_" if field.type == self.family else self.prefix
        return Slot(outer + field.name, field.type, self.prefix + field.prefix)


def nested_fields(cls: type) -> dict[str, Field]:
    """The fields of a part that are parts themselves, by name."""
    return {name: field for name, field in fields(cls).items() if field.role == "nested"}


def alternatives(cls: type) -> tuple[Alternative, ...]:
    """The alternative units in which fields of a part may be given."""
    return getattr(cls, "alternatives", ())


def checks(cls: type) -> tuple[Check, ...]:
    """The relations that a part declares between its fields and those of other parts."""
    return getattr(cls, "checks", ())


def column_infos(cls: type, part: str, prefix: str = "") -> dict[str, ColumnInfo]:
    """The meaning of each column of a part, by name: its fields and their alternatives."""
    columns: dict[str, Field | Alternative] = {
        prefix + field.column: field for field in fields(cls).values() if field.role != "nested"
    }
    if not prefix:
        columns |= {alternative.name: alternative for alternative in alternatives(cls)}
    return {
        name: ColumnInfo(
            declared.doc,
            label=declared.label,
            symbol=declared.symbol,
            explanation=declared.explanation,
            part=part,
        )
        for name, declared in columns.items()
    }


def definition(cls: type) -> str:
    """What a kind is, for reports: its `definition`, or else the first line of its docstring."""
    return getattr(cls, "definition", "") or (cls.__doc__ or "").strip().partition("\n")[0]


Registry = Mapping[str, type]
"""The kinds of one family, from the name in a grid to the class."""
