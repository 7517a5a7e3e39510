"""The parts of a grid file: unions of mappings, each with a kind and sources of its fields."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweep import spec, trial
from sweep.grid.fields import validation
from sweep.grid.fields.cures import closest_name
from sweep.grid.fields.validation import show_value
from sweep.grid.fields.values import DTYPES, GivenValues, Source, sources
from sweep.grid.syntax.yaml_reader import Document, Path


@dataclass(frozen=True, eq=False)
class PartSpec:
    """A kind of a family, the sources of its fields, and one member of each nested union.

    `order` holds the names of its fields in the order of the file.
    """

    family: str
    kind: str
    cls: type
    path: Path
    sources: dict[str, Source]
    nested: dict[str, PartSpec]
    order: tuple[str, ...] = ()


def family_members(document: Document, family: str, raw: Mapping[str, Any]) -> list[PartSpec]:
    """The members of a family's union in a grid file.

    Args:
        document: Collects the errors.
        family: The name of the family.
        raw: The top level of the file.
    """
    defaults: dict[str, Any] = {"objective": {"kind": "logistic"}, "train": {}}
    raw_family = raw.get(family)
    if raw_family is None and family not in defaults:
        document.add_error(
            (family,),
            "is missing",
            f"Write {family}: {{kind: ...}}. {closest_name('', trial.FAMILIES[family])}",
        )
        return []
    return _members(
        document, family, defaults[family] if raw_family is None else raw_family, (family,)
    )


def _members(document: Document, family: str, raw: Any, path: Path) -> list[PartSpec]:
    """The members of a list, or the members that a single mapping stands for."""
    if not isinstance(raw, list):
        return _member(document, family, raw, path)
    if not raw:
        document.add_error(path, "an empty list makes no trials", f"Write at least one {family}")
    return [
        member
        for index, item in enumerate(raw)
        for member in _member(document, family, item, (*path, index))
    ]


def _member(document: Document, family: str, raw: Any, path: Path) -> list[PartSpec]:
    raw = {"kind": raw} if isinstance(raw, str) and family != "train" else raw
    if not isinstance(raw, dict):
        kind = "" if family == "train" else "kind: ..., "
        document.add_error(
            path,
            f"expected a mapping, got {show_value(raw)}",
            f"Write {family}: {{{kind}field: value}}",
        )
        return []
    kind = _kind(document, family, raw, path)
    # An unknown kind is already an error; its fields cannot be checked.
    cls = trial.find_kind(family, kind) if kind else None
    if cls is None:
        return []
    nested = {name: field for name, field in spec.fields(cls).items() if field.role == "nested"}
    fields = validation.declared(cls)
    document.count_words(1 + len(fields), path)
    raw_fields = {name: value for name, value in raw.items() if name != "kind" or family == "train"}
    _check_unknown(
        document, family, kind, [name for name in raw_fields if name not in fields], fields, path
    )
    scalars = {
        name: value for name, value in raw_fields.items() if name in fields and name not in nested
    }
    values = sources(document, fields, scalars, path)
    _check_conflicts(document, cls, values, path)
    choices = [_nested(document, field, raw_fields, path) for field in nested.values()]
    if "schedule" in nested and not getattr(cls, "scheduled", True):
        _check_unscheduled(document, kind, nested["schedule"], itertools.chain(*choices))
    order = tuple(name for name in raw_fields if name in fields)
    for name, field in fields.items():
        if (
            field.required
            and name not in raw_fields
            and not any(
                alternative.field == name and alternative.name in raw_fields
                for alternative in spec.alternatives(cls)
            )
        ):
            document.add_error((*path, name), f"is missing ({field.doc})", f"Give {name} a value")
            values[name] = None
    # One member for each combination, since a block has a single kind of each nested family.
    combinations = itertools.product(*choices)
    return [
        PartSpec(
            family, kind, cls, path, values, dict(zip(nested, alternative, strict=True)), order
        )
        for alternative in combinations
    ]


def _kind(document: Document, family: str, raw: Mapping[str, Any], path: Path) -> str:
    if family == "train":
        return "train"
    kind, kinds = raw.get("kind"), trial.FAMILIES[family]
    if isinstance(kind, str) and trial.find_kind(family, kind):
        return kind
    if kind is None:
        document.add_error(path, "kind is missing", f"Write kind: .... {closest_name('', kinds)}")
    elif isinstance(kind, str):
        kind_path = (*path, "kind") if (*path, "kind") in document.positions else path
        hint = (
            "; optax.NAME is any optimizer of optax with a learning_rate"
            if family == "optimizer"
            else ""
        )
        document.add_error(
            kind_path, f"there is no {family} {show_value(kind)}", closest_name(kind, kinds) + hint
        )
    else:
        cure = "Write one word; for several kinds write the part as a list of mappings"
        document.add_error((*path, "kind"), f"expected a word, got {show_value(kind)}", cure)
    return ""


def _check_unknown(
    document: Document,
    family: str,
    kind: str,
    names: list[str],
    declared: Iterable[str],
    path: Path,
) -> None:
    for name in names:
        families = {
            candidate
            for candidate, kinds in trial.FAMILIES.items()
            for cls in kinds.values()
            if name in validation.declared(cls)
        }
        hint = (
            f"It is a field of {' and '.join(sorted(families - {family}))}. "
            if families - {family}
            else ""
        )
        what = f"is not a field of {family if kind == family else f'{family} {kind}'}"
        document.add_error((*path, name), what, hint + closest_name(name, declared), key=True)


def _check_conflicts(document: Document, cls: type, values: dict[str, Source], path: Path) -> None:
    for alternative in spec.alternatives(cls):
        if alternative.name in values and alternative.field in values:
            what = f"{alternative.name} and {alternative.field} are given, and each sets the other"
            document.add_error(
                (*path, alternative.name),
                what,
                f"Give {alternative.name} or {alternative.field}",
                key=True,
            )
            # Neither is used, so that one mistake is not reported again by later checks.
            values[alternative.name] = values[alternative.field] = None


def _check_unscheduled(
    document: Document, kind: str, field: spec.Field, members: Iterable[PartSpec]
) -> None:
    constant = kind_of(field)
    for member in members:
        if member.family == field.type and member.kind != constant:
            what = f"{kind} takes no schedule: its step size is one number"
            cure = "Leave schedule out, or write another optimizer"
            document.add_error(member.path, what, cure)


def _nested(
    document: Document, field: spec.Field, raw_fields: Mapping[str, Any], path: Path
) -> list[PartSpec]:
    if field.name in raw_fields:
        return _members(document, field.type, raw_fields[field.name], (*path, field.name))
    if field.required:
        # The missing field is reported by the caller; no combination exists without it.
        return []
    return [_default_member(field, path)]


def _default_member(field: spec.Field, path: Path) -> PartSpec:
    """The member of a nested field that the file leaves out."""
    cls = type(field.default)
    values: dict[str, Source] = {}
    for name, inner in spec.fields(cls).items():
        value = getattr(field.default, name)
        # A value that the inner field has by default is left out, as it would be in a file.
        if (
            inner.role != "nested"
            and value is not None
            and (inner.required or value != inner.default)
        ):
            values[name] = GivenValues(
                path, np.array([value], DTYPES[inner.type]), np.zeros(1, bool)
            )
    nested = {
        name: _default_member(replace(inner, default=getattr(field.default, name)), path)
        for name, inner in spec.fields(cls).items()
        if inner.role == "nested"
    }
    return PartSpec(field.type, kind_of(field), cls, path, values, nested, tuple(values))


def kind_of(field: spec.Field) -> str:
    """The name of a nested field's default kind, or "" if it has none."""
    kinds = trial.FAMILIES[field.type].items()
    return next((kind for kind, cls in kinds if cls is type(field.default)), "")


def order_of(member: PartSpec) -> list[str]:
    """Names of the fields of a member and of its nested members, in the order of the file."""
    names = [
        order_of(member.nested[name]) if name in member.nested else [name] for name in member.order
    ]
    return list(itertools.chain(*names))


def flat(members: Iterable[PartSpec]) -> list[PartSpec]:
    """The members together with those nested in them."""
    return [part for member in members for part in (member, *flat(member.nested.values()))]
