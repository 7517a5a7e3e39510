"""The parts of a grid file: unions of mappings, each one kind with what the file gives to its fields."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweep import spec, trial
from sweep.grid.fields import validation
from sweep.grid.fields.validation import closest_name, show_value
from sweep.grid.fields.values import DTYPES, GivenValues, Source, sources
from sweep.grid.syntax.yaml_reader import Document, Path


@dataclass(frozen=True, eq=False)
class PartSpec:
    """One kind of a family with what the file gives to its fields; of each nested union one member."""

    family: str
    kind: str
    cls: type
    path: Path
    given: dict[str, Source]
    nested: dict[str, PartSpec]
    order: tuple[str, ...] = ()


def family_members(document: Document, family: str, raw: Mapping[str, Any]) -> list[PartSpec]:
    defaults: dict[str, Any] = {"objective": {"kind": "logistic"}, "train": {}}
    given = raw.get(family)
    if given is None and family not in defaults:
        document.complain(
            (family,),
            "is missing",
            f"Write {family}: {{kind: ...}}. {closest_name('', trial.FAMILIES[family])}",
        )
        return []
    return _members(document, family, defaults[family] if given is None else given, (family,))


def _members(document: Document, family: str, raw: Any, path: Path) -> list[PartSpec]:
    """The members of a union, or the one of a mapping."""
    if not isinstance(raw, list):
        return _member(document, family, raw, path)
    if not raw:
        document.complain(path, "an empty list makes no trials", f"Write at least one {family}")
    return [
        member
        for at, each in enumerate(raw)
        for member in _member(document, family, each, (*path, at))
    ]


def _member(document: Document, family: str, raw: Any, path: Path) -> list[PartSpec]:
    document.spend(20_000, path)
    raw = {"kind": raw} if isinstance(raw, str) and family != "train" else raw
    if not isinstance(raw, dict):
        kind = "" if family == "train" else "kind: ..., "
        document.complain(
            path,
            f"expected a mapping, got {show_value(raw)}",
            f"Write {family}: {{{kind}field: value}}",
        )
        return []
    kind = _kind(document, family, raw, path)
    cls = trial.find_kind(family, kind) if kind else None
    if cls is None:
        return []
    nested = {name: field for name, field in spec.fields(cls).items() if field.role == "nested"}
    known = validation.declared(cls)
    named = {name: value for name, value in raw.items() if name != "kind" or family == "train"}
    _unknown(document, family, kind, [name for name in named if name not in known], known, path)
    scalars = {name: value for name, value in named.items() if name in known and name not in nested}
    given = sources(document, known, scalars, path)
    _doubled(document, cls, given, path)
    choices = [_nested(document, field, named, path) for field in nested.values()]
    order = tuple(name for name in named if name in known)
    for name, field in known.items():
        if (
            field.required
            and name not in named
            and not any(
                each.field == name and each.name in named for each in spec.alternatives(cls)
            )
        ):
            document.complain((*path, name), f"is missing ({field.doc})", f"Give {name} a value")
            given[name] = None
    combinations = itertools.product(*choices)
    return [
        PartSpec(family, kind, cls, path, given, dict(zip(nested, each, strict=True)), order)
        for each in combinations
    ]


def _kind(document: Document, family: str, raw: Mapping[str, Any], path: Path) -> str:
    if family == "train":
        return "train"
    kind, kinds = raw.get("kind"), trial.FAMILIES[family]
    if isinstance(kind, str) and trial.find_kind(family, kind):
        return kind
    if kind is None:
        document.complain(path, "kind is missing", f"Write kind: .... {closest_name('', kinds)}")
    elif isinstance(kind, str):
        place = (*path, "kind") if (*path, "kind") in document.places else path
        more = (
            "; optax.NAME is any optimizer of optax with a learning_rate"
            if family == "optimizer"
            else ""
        )
        document.complain(
            place, f"there is no {family} {show_value(kind)}", closest_name(kind, kinds) + more
        )
    else:
        cure = "Write one word; for several kinds write the part as a list of mappings"
        document.complain((*path, "kind"), f"expected a word, got {show_value(kind)}", cure)
    return ""


def _unknown(
    document: Document, family: str, kind: str, names: list[str], known: Iterable[str], path: Path
) -> None:
    for name in names:
        others = {
            other
            for other, kinds in trial.FAMILIES.items()
            for cls in kinds.values()
            if name in validation.declared(cls)
        }
        hint = (
            f"It is a field of {' and '.join(sorted(others - {family}))}. "
            if others - {family}
            else ""
        )
        what = f"is not a field of {family if kind == family else f'{family} {kind}'}"
        document.complain((*path, name), what, hint + closest_name(name, known), key=True)


def _doubled(document: Document, cls: type, given: dict[str, Source], path: Path) -> None:
    for each in spec.alternatives(cls):
        if each.name in given and each.field in given:
            what = f"{each.name} and {each.field} are given, and each sets the other"
            document.complain(
                (*path, each.name), what, f"Give {each.name} or {each.field}", key=True
            )
            given[each.name] = given[each.field] = None


def _nested(
    document: Document, field: spec.Field, named: Mapping[str, Any], path: Path
) -> list[PartSpec]:
    if field.name in named:
        return _members(document, field.type, named[field.name], (*path, field.name))
    if field.required:
        return []
    return [_default_member(field, path)]


def _default_member(field: spec.Field, path: Path) -> PartSpec:
    """The member that a nested field has where the file gives none."""
    cls = type(field.default)
    given: dict[str, Source] = {}
    for name, each in spec.fields(cls).items():
        value = getattr(field.default, name)
        if each.role != "nested" and value is not None and (each.required or value != each.default):
            given[name] = GivenValues(path, np.array([value], DTYPES[each.type]), np.zeros(1, bool))
    nested = {
        name: _default_member(replace(each, default=getattr(field.default, name)), path)
        for name, each in spec.fields(cls).items()
        if each.role == "nested"
    }
    return PartSpec(field.type, kind_of(field), cls, path, given, nested, tuple(given))


def kind_of(field: spec.Field) -> str:
    """The name of a nested field's default kind, "" where it has none."""
    kinds = trial.FAMILIES[field.type].items()
    return next((kind for kind, cls in kinds if cls is type(field.default)), "")


def order_of(member: PartSpec) -> list[str]:
    """Names in the order of the file."""
    each = [
        order_of(member.nested[name]) if name in member.nested else [name] for name in member.order
    ]
    return list(itertools.chain(*each))


def flat(members: Iterable[PartSpec]) -> list[PartSpec]:
    """Members and those nested in them."""
    return [each for member in members for each in (member, *flat(member.nested.values()))]
