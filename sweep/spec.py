"""The one declaration of a field: is it compiled in or swept, what may it be, what does it mean.

A *part* (data model, network, objective, optimizer, schedule, training) is a frozen dataclass that is a jax pytree.
Its `static` fields are compiled in (shapes, counts, names); its `lane` fields are scalars that may differ from lane to
lane; a `nested` field is a part of its own. Bucket keys, batches, parquet columns, ids and error texts read nothing
else.

A static count that is declared `padded` is a `Size` in a part: trials of different sizes may share a program, whose
arrays then have the largest of them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType
from typing import Any, Literal, TypeVar, dataclass_transform, get_args, get_type_hints

import jax

from sweep.padding import Scalar as Scalar  # plugins take it from here
from sweep.padding import Size
from sweep.schema import ColumnInfo

Role = Literal["static", "lane", "nested"]
T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """What is declared about one field of a part.

    `type` is bool, int, float or str, or the name of the family of a nested field; bounds are None where there is none.
    `column` is its name in the runs table. `null` is the expression that stands for a missing value in a grid. `doc` is
    a definition, `label` a short name for an axis, `symbol` its letter there, `explanation` a sentence for a report.
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
    label: str = ""
    symbol: str = ""
    explanation: str = ""

    @property
    def required(self) -> bool:
        """True where a grid has to give a value."""
        return self.default is dataclasses.MISSING


@dataclass(frozen=True)
class Alternative:
    """A name by which a grid may give a field in other units (`snr` for `noise`); both become columns.

    `to_field` computes the field from the name and `from_field` the name from the field, as expressions of a grid.
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
    """A relation between fields that every point of a grid has to satisfy, in the grid's expression language."""

    holds: str
    what: str
    cure: str


def _field(role: Role, default: Any, doc: str, **more: Any) -> Any:
    metadata = {
        "pytree_node": role != "static" or more.get("padded", False),
        "role": role,
        "doc": doc,
        **more,
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

    `padded` declares a count of which a part may hold a `Size`, so that trials that differ in it can share a program.
    """
    bounds = {"at_least": at_least, "at_most": at_most}
    words = {"label": label, "symbol": symbol, "explanation": explanation}
    return _field(
        "static", default, doc, choices=choices, null=null, padded=padded, **bounds, **words
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
    """A scalar that may differ from lane to lane of one compiled program. A default of None leaves the feature out."""
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    words = {"label": label, "symbol": symbol, "explanation": explanation}
    return _field("lane", default, doc, integer=integer, column=column, **bounds, **words)


def nested(family: str, default: Any = dataclasses.MISSING, *, doc: str) -> Any:
    """A field that is a part of its own, of the named family (`schedule`); its kind becomes a column."""
    return _field("nested", default, doc, family=family)


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(static, lane, nested)
)
def part(cls: type[T]) -> type[T]:
    """Make a class a part: a frozen dataclass with keyword arguments that is a jax pytree of its lane fields."""
    padded = [name for name, value in vars(cls).items() if _is_padded(value)]

    def sized(self: Any) -> None:
        for name in padded:
            if type(getattr(self, name)) is int:
                object.__setattr__(self, name, Size(getattr(self, name)))

    if padded:
        cls.__post_init__ = sized  # type: ignore[attr-defined]
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.replace = dataclasses.replace  # type: ignore[attr-defined]
    _register(made)
    return made


def _register(cls: type) -> None:
    """Make a part a pytree by functions of ours.

    `jax.tree_util.register_dataclass`, which flax.struct calls, gives structures that are equal for any two classes of
    the same fields (jax 0.10 to 0.12), so that a program compiled for one may be taken for the other.
    """
    own = dataclasses.fields(cls)
    leaves = [each.name for each in own if each.metadata.get("pytree_node", True)]
    others = [each.name for each in own if each.name not in leaves]
    keys = [jax.tree_util.GetAttrKey(name) for name in leaves]

    def flatten(part: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(part, name) for name in leaves], tuple(
            [getattr(part, name) for name in others]
        )

    def with_keys(part: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children, static = flatten(part)
        return list(zip(keys, children, strict=True)), static

    def unflatten(static: tuple[Any, ...], children: Iterable[Any]) -> Any:
        return cls(
            **dict(zip(others, static, strict=True)), **dict(zip(leaves, children, strict=True))
        )

    jax.tree_util.register_pytree_with_keys(cls, with_keys, unflatten, flatten)


def _is_padded(value: Any) -> bool:
    return isinstance(value, dataclasses.Field) and value.metadata.get("padded", False)


def _scalar_type(hint: Any, metadata: Mapping[str, Any]) -> Any:
    if metadata["role"] == "nested":
        return metadata["family"]
    if metadata["role"] == "lane":
        return int if metadata["integer"] else float
    return next((option for option in get_args(hint) if option is not NoneType), hint)


@functools.cache
def fields(cls: type) -> Mapping[str, Field]:
    """The declared fields of a part, by name, in order."""
    hints = get_type_hints(cls)
    found = {}
    for each in dataclasses.fields(cls):
        metadata = dict(each.metadata)
        kept = {
            key: metadata[key]
            for key in metadata
            if key not in ("pytree_node", "integer", "family", "column")
        }
        found[each.name] = Field(
            name=each.name,
            type=_scalar_type(hints[each.name], metadata),
            default=each.default,
            optional=each.default is None,
            column=metadata.get("column") or each.name,
            **kept,
        )
    return MappingProxyType(found)


def alternatives(cls: type) -> tuple[Alternative, ...]:
    """Other units in which fields of this part may be given."""
    return getattr(cls, "alternatives", ())


def checks(cls: type) -> tuple[Check, ...]:
    """Relations between fields of this part (and of others) that must hold at every point."""
    return getattr(cls, "checks", ())


def column_infos(cls: type, part: str) -> dict[str, ColumnInfo]:
    """What the columns of a part mean, by column name: those of its fields and of its alternatives."""
    columns = {field.column: field for field in fields(cls).values() if field.role != "nested"}
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
    """What a kind is, for readers of a report: its `definition` if it has one, else the first line of its docstring."""
    return getattr(cls, "definition", "") or (cls.__doc__ or "").strip().partition("\n")[0]


Registry = Mapping[str, type]
"""Kinds of one family: name in the grid -> class."""
