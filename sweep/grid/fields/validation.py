"""Pydantic models of parts: they check the values of a grid and describe grids to editors.

Models are built on request, so that they include the kinds of plugins.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic import Field as Declared

from sweep import spec, trial
from sweep.grid.fields.cures import closest_name, meant_number

FULL = "full"
"""An alias of null for counts with a `null` expression (`batch_size: full`)."""

LARGEST = 2**31 - 1
"""The largest integer of a field that has no bound of its own: devices count in 32 bits."""


_BOUND_NAMES = ("above", "at_least", "below", "at_most")


def seed_fields() -> dict[str, spec.Field]:
    """The declarations of the seeds, fields of the trial rather than of a part."""
    seeds = {
        field.name: spec.Field(
            name=field.name,
            role="lane",
            type=int,
            column=field.name,
            **{name: field.metadata[name] for name in ("doc", "label", *_BOUND_NAMES)},
            default=field.default,
        )
        for field in dataclasses.fields(trial.Trial)
        if field.name in trial.SEEDS
    }
    # Where a grid leaves it out, the initial weights have the seed of the data.
    return {**seeds, "init_seed": dataclasses.replace(seeds["init_seed"], null="seed")}


def alternative_field(alternative: spec.Alternative) -> spec.Field:
    """An alternative as a field."""
    # Without bounds: those of the field that it sets are checked on the computed values.
    kind = int if alternative.integer else float
    return spec.Field(
        alternative.name, "lane", kind, alternative.doc, default=None, column=alternative.name
    )


def null_words(field: spec.Field) -> tuple[Any, ...]:
    """What may be written for null in a field: null and `full`, null alone, or nothing."""
    if field.null and field.role == "static":
        return (None, FULL)
    return (None,) if field.null or field.optional else ()


def declared(cls: type) -> dict[str, spec.Field]:
    """The names that a grid may give for a part: its fields and their alternatives."""
    return {
        **spec.fields(cls),
        **{
            alternative.name: alternative_field(alternative)
            for alternative in spec.alternatives(cls)
        },
    }


@dataclass(frozen=True)
class FieldError:
    """A value that is not valid: its field, its index, what is wrong, and how to fix it."""

    name: str
    index: int
    what: str
    cure: str


def check(
    fields: Mapping[str, spec.Field], values: Mapping[str, list[Any]]
) -> tuple[dict[str, list[Any]], list[FieldError]]:
    """The values of valid fields, converted to their types, and the errors in the other fields."""
    valid, errors = {}, []
    for name, raw_values in values.items():
        try:
            valid[name] = _values(fields[name]).validate_python(raw_values)
        except ValidationError as error:
            # One error per value is enough, however many pydantic reports.
            details = {detail["loc"][0]: detail for detail in error.errors(include_url=False)}
            errors += [_fault(fields[name], detail) for detail in details.values()]
    return valid, errors


def integral(value: Any) -> Any:
    """An integral float as an integer; any other value unchanged."""
    return (
        int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**63
        else value
    )


def _bounds(field: spec.Field) -> dict[str, float | None]:
    """Bounds of a field by `above`, `at least`, `below`, `at most`; an integer always has two."""
    largest = LARGEST if field.type is int and field.below is None else None
    smallest = -LARGEST if field.type is int and field.above is None else None
    return {
        "above": field.above,
        "at least": smallest if field.at_least is None else field.at_least,
        "below": field.below,
        "at most": largest if field.at_most is None else field.at_most,
    }


def _scalar(field: spec.Field) -> Any:
    """The type of one value, with its bounds."""
    if field.type is str and field.choices:
        return Literal[field.choices]
    if field.type in (str, bool):
        return field.type
    # Pydantic rejects `allow_inf_nan` for integers.
    finite = None if field.type is int else False
    bounds = _bounds(field)
    limits = Declared(
        strict=True,
        allow_inf_nan=finite,
        gt=bounds["above"],
        ge=bounds["at least"],
        lt=bounds["below"],
        le=bounds["at most"],
    )
    return (
        Annotated[int, BeforeValidator(integral), limits]
        if field.type is int
        else Annotated[float, limits]
    )


def _attributes(
    fields: Iterable[spec.Field], form: Callable[[spec.Field], Any], required: bool
) -> dict[str, Any]:
    """Fields as arguments of `create_model`."""
    attributes = {}
    for field in fields:
        default = field.default if isinstance(field.default, bool | int | float | str) else None
        default = ... if required and field.required else default
        # The prefix keeps a field from shadowing a method of BaseModel.
        attributes[f"field_{field.name}"] = (
            form(field),
            Declared(default, alias=field.name, description=field.doc),
        )
    return attributes


_STRICT = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


@functools.lru_cache(maxsize=512)
def _values(field: spec.Field) -> TypeAdapter[list[Any]]:
    """The validator of a list of values of a field."""
    # Cached by field, not by part: a file may give the fields of a part in any combination.
    values: Any = list.__class_getitem__(_scalar(field))
    return TypeAdapter(values, config=ConfigDict(strict=True))


EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _fault(field: spec.Field, error: Mapping[str, Any]) -> FieldError:
    """An error of pydantic in the words of a grid."""
    name, index, value = field.name, error["loc"][0], error["input"]
    if error["type"] in _BOUNDS:
        relation, key = _BOUNDS[error["type"]]
        bound = f"{error['ctx'][key]:.12g}"
        return FieldError(
            name,
            index,
            f"{show_value(value)} is not {relation} {bound}",
            f"Take a value {relation} {bound}",
        )
    if error["type"] == "literal_error" and isinstance(value, str):
        return FieldError(
            name,
            index,
            f"{show_value(value)} is none of its words",
            closest_name(value, field.choices),
        )
    if error["type"] == "finite_number":
        return FieldError(
            name, index, f"{show_value(value)} is not a finite number", "Take a finite number"
        )
    what = f"expected {EXPECTED[field.type]}, got {show_value(value)}"
    return FieldError(name, index, what, _type_cure(field, value))


_TRUTHS = {
    **dict.fromkeys(("yes", "on", "y", "1", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "0", "false"), "false"),
}
"""Other words for true and false, as a grid writes them."""


def _type_cure(field: spec.Field, value: Any) -> str:
    """How to fix a value that is not of the type of its field."""
    if value is None:
        return "Give a value or leave the field out"
    if isinstance(value, dict | list):
        return (
            "Write a scalar, a list of scalars, {log: [..]}, {lin: [..]}, {range: [..]}, "
            "{sample: ..} or '=expression'"
        )
    if isinstance(value, str) and value.startswith("="):
        return (
            "Let an expression stand alone, and write the part as a list of mappings "
            "where there are several"
        )
    if isinstance(value, str) and field.type in (int, float):
        return meant_number(value)
    if field.type is bool and str(value).casefold() in _TRUTHS:
        return f"Write {_TRUTHS[str(value).casefold()]}"
    if field.choices:
        return f"Take one of {', '.join(field.choices)}"
    return f"Write {EXPECTED[field.type]}"


def show_value(value: Any) -> str:
    """A value of a grid file as it is quoted in messages."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"'{value if len(value) <= 40 else value[:37] + '...'}'"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


_BREAKS = {
    "above": np.less_equal,
    "at least": np.less,
    "below": np.greater_equal,
    "at most": np.greater,
}
"""What a number is to a bound that it does not keep."""


def outside(field: spec.Field, numbers: np.ndarray) -> np.ndarray:
    """A mask of the computed values that are not valid for a field."""
    if field.type is str:
        return ~np.isin(numbers, field.choices) if field.choices else np.zeros(numbers.shape, bool)
    if field.type is bool:
        return np.zeros(numbers.shape, bool)
    # Vectorized, unlike `check`: a computed column may have millions of values.
    bad = ~np.isfinite(numbers)
    for relation, bound in _bounds(field).items():
        if bound is not None:
            bad |= _BREAKS[relation](numbers, bound)
    return bad


def is_fraction(numbers: np.ndarray) -> np.ndarray:
    """A mask of the finite numbers that are not whole, up to the rounding of a formula."""
    with np.errstate(invalid="ignore"):
        distance = np.abs(numbers - np.rint(numbers))
    return distance > 1e-9 * np.maximum(1.0, np.abs(numbers))


def allowed(field: spec.Field) -> str:
    """The valid values of a field, as text for messages."""
    limits = " and ".join(
        f"{relation} {bound:.12g}"
        for relation, bound in _bounds(field).items()
        if bound is not None
    )
    return (
        f"{EXPECTED[field.type]} {limits}".strip()
        if not field.choices
        else f"one of {', '.join(field.choices)}"
    )


class Log(BaseModel, extra="forbid"):
    """Values evenly spaced in the logarithm."""

    log: tuple[float, float, int] = Declared(description="first, last, count")


class Lin(BaseModel, extra="forbid"):
    """Evenly spaced values."""

    lin: tuple[float, float, int] = Declared(description="first, last, count")


class Range(BaseModel, extra="forbid"):
    """Values from the first to below the last."""

    range: tuple[float, float] | tuple[float, float, float] = Declared(
        description="first, end (left out), step"
    )


class LogLaw(BaseModel, extra="forbid"):
    """Random numbers whose logarithm is uniform."""

    log: tuple[float, float] = Declared(description="lower end, upper end")


class LinLaw(BaseModel, extra="forbid"):
    """Uniform random numbers."""

    lin: tuple[float, float] = Declared(description="lower end, upper end")


class Sample(BaseModel, extra="forbid"):
    """Random values; a larger count keeps those of a smaller one."""

    sample: LogLaw | LinLaw
    count: int = Declared(ge=1, description="number of values")
    seed: int = Declared(0, ge=0, lt=2**32, description="another seed gives other values")


Formula = Annotated[str, Declared(pattern="^=", description="computed from other fields")]


def as_written(field: spec.Field) -> Any:
    """The type of all forms in which a grid may give a field."""
    if field.role == "nested":
        return family_model(field.type)
    words = null_words(field)
    null = [None if word is None else Literal[word] for word in words]
    scalar = Union[(_scalar(field), *null)]
    forms = [Log, Lin, Range, Sample] if field.type in (int, float) else []
    return Union[(scalar, Formula, list[scalar], *forms)]


def part_model(family: str, kind: str, cls: type) -> type[BaseModel]:
    """The model of one kind of a family in a grid file.

    Args:
        family: The name of the family.
        kind: The name of the kind.
        cls: The class of the kind.
    """
    settable = {field.field for field in spec.alternatives(cls)}
    fields = declared(cls).values()
    # A required field may be left out of the file where an alternative sets it.
    relaxed = [
        dataclasses.replace(field, default=None)
        if field.required and field.name in settable
        else field
        for field in fields
    ]
    attributes = _attributes(relaxed, as_written, required=True)
    if family != "train":
        attributes = {"kind": (Literal[kind], ...), **attributes}
    return create_model(f"{family}_{kind}", __config__=_STRICT, __doc__=cls.__doc__, **attributes)


class Optax(BaseModel, extra="allow"):
    """Any optimizer of optax by its name, with optax's arguments; `lr` is its learning rate."""

    kind: str = Declared(pattern=r"^optax\.")


def family_model(family: str) -> Any:
    """The type of a part of a family, or of a list of parts as a union."""
    kinds = trial.FAMILIES[family]
    models = [part_model(family, kind, cls) for kind, cls in kinds.items()]
    member: Any = Union[tuple(models)]  # noqa: UP007
    if len(models) > 1:
        member = Annotated[member, Declared(discriminator="kind")]
    if family == "optimizer":
        member = Union[member, Optax]  # noqa: UP007
    # A kind without required fields may be written as its name alone.
    bare_kinds = tuple(
        kind
        for kind, cls in kinds.items()
        if not any(field.required for field in spec.fields(cls).values())
    )
    if bare_kinds and family != "train":
        member = Union[member, Literal[bare_kinds]]  # noqa: UP007
    return Union[member, Annotated[list[member], Declared(min_length=1)]]  # noqa: UP007


def settings_model(name: str, fields: Iterable[spec.Field]) -> type[BaseModel]:
    """A model of fields that each have a single plain value."""
    return create_model(name, __config__=_STRICT, **_attributes(fields, _scalar, required=False))
