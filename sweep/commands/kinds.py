"""The field reference of every kind, written from the declarations of the parts.

`sweep kinds` prints it and the documentation shows it, so that neither can differ from what a
grid accepts.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator

import optax
import optax.contrib

from sweep import spec, trial
from sweep.errors import SweepError
from sweep.optimizers.aliases import PREFIX

TYPE_NAMES = {bool: "true or false", int: "integer", float: "number", str: "word"}


def list_kinds() -> str:
    """All registered kinds by family, one line each, as Markdown."""
    sections = []
    for family, registry in trial.FAMILIES.items():
        lines = [f"- `{kind}`: {_summary(cls)}" for kind, cls in registry.items()]
        if family == "optimizer":
            lines.append(
                "- `optax.NAME`: an optimizer of optax with a learning rate, such as `optax.nadam`"
            )
        sections.append("\n".join([f"## {family}", "", *lines]))
    return "\n\n".join(sections)


def describe_kind(name: str) -> str:
    """The field reference of a kind, in every family that has one of that name, as Markdown.

    Raises SweepError where no family has it.
    """
    families = [family for family in trial.FAMILIES if trial.find_kind(family, name) is not None]
    if not families:
        raise SweepError(f"There is no kind {name!r}. {_suggestion(name)}")
    return "\n\n".join(
        f"## {family} {name}\n\n{field_reference(family, name)}" for family in families
    )


def field_reference(family: str, kind: str) -> str:
    """Definition, fields, other units and checks of a kind, as Markdown.

    Raises SweepError where the family has no such kind.
    """
    cls = trial.find_kind(family, kind)
    if cls is None:
        raise SweepError(f"There is no {family} {kind!r}. {_suggestion(kind)}")
    sections = [
        inspect.getdoc(cls) or "",
        "\n".join(_describe_field(field) for field in spec.fields(cls).values())
        or "It has no fields.",
        "\n".join(_describe_alternative(alternative) for alternative in spec.alternatives(cls)),
        "\n".join(_describe_check(check) for check in spec.checks(cls)),
    ]
    return "\n\n".join(section for section in sections if section)


def optax_kinds() -> list[str]:
    """Every `optax.NAME` and `optax.contrib.NAME` that is a kind, in alphabetical order.

    Each candidate is traced once, abstractly.
    """
    modules = {PREFIX: optax, f"{PREFIX}contrib.": optax.contrib}
    candidates = [
        prefix + name for prefix, module in modules.items() for name in sorted(vars(module))
    ]
    return [kind for kind in candidates if trial.find_kind("optimizer", kind) is not None]


def _summary(cls: type) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def _describe_field(field: spec.Field) -> str:
    """A line on a field: name, properties and meaning."""
    properties = ", ".join(_properties(field))
    return f"- `{field.name}` ({properties}): {field.doc}"


def _properties(field: spec.Field) -> Iterator[str]:
    """Type, default, bounds and role of a field, in words."""
    if field.role == "nested":
        yield f"a {field.type}"
    elif field.choices:
        yield f"one of {', '.join(field.choices)}"
    else:
        yield TYPE_NAMES[field.type]
    yield _default(field)
    bounds = {
        "above": field.above,
        "at least": field.at_least,
        "below": field.below,
        "at most": field.at_most,
    }
    yield from (f"{relation} {bound:g}" for relation, bound in bounds.items() if bound is not None)
    if field.role == "static":
        yield "static"
    if field.column != field.name and field.column:
        yield f"column `{field.column}`"


def _default(field: spec.Field) -> str:
    """The default of a field in words, or that it has none."""
    if field.required:
        return "required"
    if field.role == "nested":
        return f"default {_kind_of(field)}"
    if field.default is None:
        return f"default {field.null}" if field.null else "left out by default"
    text = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return f"default {text}"


def _kind_of(field: spec.Field) -> str:
    """The name in a grid of the default of a nested field."""
    registry = trial.FAMILIES[field.type]
    return next(kind for kind, cls in registry.items() if cls is type(field.default))


def _describe_alternative(alternative: spec.Alternative) -> str:
    """A line on a name that a grid may set instead of a field, and the formula between the two."""
    names = f"`{alternative.name}` instead of `{alternative.field}`"
    formula = f"`{alternative.field} = {alternative.to_field}`"
    return f"- {names}: {alternative.doc}; sets {formula}"


def _describe_check(check: spec.Check) -> str:
    """A line on a condition that the fields have to satisfy."""
    return f"- Must hold: `{check.holds}`. Otherwise {check.what}."


def _suggestion(name: str) -> str:
    """The kind with the most similar name, if there is one, and where all are listed."""
    kinds = [kind for registry in trial.FAMILIES.values() for kind in registry]
    matches = difflib.get_close_matches(name, kinds, n=1)
    hint = f"Did you mean {matches[0]}? " if matches else ""
    return f"{hint}`sweep kinds` lists them."
