"""Pydantic models made from the declarations of the parts: they check the values of a grid and describe it to editors.

Models are made when they are asked for, so that kinds which a plugin added are there.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic import Field as Declared

from sweep import spec, trial
from sweep.block import MAX_TABLE, canonical
from sweep.expressions import Expression, ExpressionError, parse
from sweep.reader import Document, Path

MAX_VALUES = 2**20
"""Most values of one log, lin or range of floats."""

FULL = "full"
"""The word for a missing value that an expression stands for (`batch_size: full`)."""


def seed_field() -> spec.Field:
    """The declaration of the seed, which belongs to the trial and to no part."""
    declared = next(each for each in dataclasses.fields(trial.Trial) if each.name == "seed")
    bounds = {name: declared.metadata[name] for name in ("above", "at_least", "below", "at_most")}
    doc = declared.metadata["doc"]
    return spec.Field("seed", "lane", int, doc, default=declared.default, column="seed", **bounds)


def alternative_field(alternative: spec.Alternative) -> spec.Field:
    """An alternative as a field: a number without bounds, since these stand on the field that it sets."""
    kind = int if alternative.integer else float
    return spec.Field(alternative.name, "lane", kind, alternative.doc, default=None, column=alternative.name)


def declared(cls: type) -> dict[str, spec.Field]:
    """What a grid may give for a part: its fields and their alternatives."""
    return spec.fields(cls) | {each.name: alternative_field(each) for each in spec.alternatives(cls)}


@dataclass(frozen=True)
class Fault:
    """A value that is not allowed: which field, which of its values, what is wrong, and a cure."""

    name: str
    index: int
    what: str
    cure: str


def check(
    fields: Mapping[str, spec.Field], values: Mapping[str, list[Any]]
) -> tuple[dict[str, list[Any]], list[Fault]]:
    """Values converted to their declared types, by field, and what is wrong with others."""
    model = _values_model(tuple(fields[name] for name in values))
    try:
        checked, errors = model.model_validate(dict(values)), []
    except ValidationError as error:
        checked, errors = None, error.errors(include_url=False)
    faults = {(each["loc"][0], each["loc"][1]): each for each in errors}
    bad = {name for name, _ in faults}
    if bad:
        good = {name: given for name, given in values.items() if name not in bad}
        return check(fields, good)[0], [_fault(fields[str(name)], each) for (name, _), each in faults.items()]
    found = {} if checked is None else checked.model_dump(by_alias=True)
    return found, []


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


def _scalar(field: spec.Field) -> Any:
    """The type of one value, with its bounds."""
    if field.type is str and field.choices:
        return Literal[field.choices]
    if field.type in (str, bool):
        return field.type
    finite = None if field.type is int else False
    bounds: dict[str, Any] = {"gt": field.above, "ge": field.at_least, "lt": field.below, "le": field.at_most}
    limits = Declared(strict=True, allow_inf_nan=finite, **bounds)
    return Annotated[int, BeforeValidator(_whole), limits] if field.type is int else Annotated[float, limits]


def _attributes(fields: Iterable[spec.Field], form: Callable[[spec.Field], Any], required: bool) -> dict[str, Any]:
    """Pydantic's fields, under aliases, so that no name of ours can meet a method of theirs."""
    made = {}
    for field in fields:
        default = field.default if isinstance(field.default, bool | int | float | str) else None
        default = ... if required and field.required else default
        made[f"field_{field.name}"] = (form(field), Declared(default, alias=field.name, description=field.doc))
    return made


_STRICT = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


@functools.lru_cache(maxsize=512)
def _values_model(fields: tuple[spec.Field, ...]) -> type[BaseModel]:
    attributes = _attributes(fields, lambda field: list[_scalar(field)], required=True)
    return create_model("Values", __config__=_STRICT, **attributes)


_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _fault(field: spec.Field, error: Mapping[str, Any]) -> Fault:
    name, index = error["loc"][0], error["loc"][1]
    value = error["input"]
    if error["type"] in _BOUNDS:
        word, key = _BOUNDS[error["type"]]
        bound = f"{error['ctx'][key]:.12g}"
        return Fault(name, index, f"{shown(value)} is not {word} {bound}", f"Take a value {word} {bound}")
    if error["type"] == "literal_error" and isinstance(value, str):
        return Fault(name, index, f"{shown(value)} is none of its words", choose(value, field.choices))
    if error["type"] == "finite_number":
        return Fault(name, index, f"{shown(value)} is not a finite number", "Take a finite number")
    what = f"expected {_EXPECTED[field.type]}, got {shown(value)}"
    return Fault(name, index, what, _type_cure(field, value))


def _type_cure(field: spec.Field, value: Any) -> str:
    if value is None:
        return "Give a value or leave the field out"
    if isinstance(value, dict | list):
        return "Write a scalar, a list of scalars, {log: [..]}, {lin: [..]}, {range: [..]} or '=expression'"
    if isinstance(value, str) and value.startswith("="):
        return "Let an expression stand alone, and write the part as a list of mappings where there are several"
    if isinstance(value, str) and field.type in (int, float):
        return "Write a number, without quotes"
    if field.choices:
        return f"Take one of {', '.join(field.choices)}"
    return f"Write {_EXPECTED[field.type]}"


def shown(value: Any) -> str:
    """A value of a grid file in a sentence."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"'{value if len(value) <= 40 else value[:37] + '...'}'"
    return (
        str(value).lower() if isinstance(value, bool) else f"{value:.12g}" if isinstance(value, float) else str(value)
    )


def choose(word: str, known: Iterable[str]) -> str:
    """A cure for a word that is not known: the nearest one, and all there are."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"{f'Did you mean {close[0]}? ' if close else ''}There is {', '.join(names) or 'none'}"


def outside(field: spec.Field, numbers: np.ndarray) -> np.ndarray:
    """Which values of a computed column are not allowed."""
    if field.type is str:
        return ~np.isin(numbers, field.choices) if field.choices else np.zeros(numbers.shape, bool)
    if field.type is bool:
        return np.zeros(numbers.shape, bool)
    bad = ~np.isfinite(numbers)
    for bound, breaks in ((field.above, np.less_equal), (field.at_least, np.less)):
        bad |= breaks(numbers, bound) if bound is not None else False
    for bound, breaks in ((field.below, np.greater_equal), (field.at_most, np.greater)):
        bad |= breaks(numbers, bound) if bound is not None else False
    return bad


def allowed(field: spec.Field) -> str:
    """The bounds of a field in words."""
    bounds = {"above": field.above, "at least": field.at_least, "below": field.below, "at most": field.at_most}
    said = " and ".join(f"{word} {bound:.12g}" for word, bound in bounds.items() if bound is not None)
    return f"{_EXPECTED[field.type]} {said}".strip() if not field.choices else f"one of {', '.join(field.choices)}"


@dataclass(frozen=True, eq=False)
class Given:
    """Values that a file gives to a field, typed; `null` marks those that are left open."""

    path: Path
    values: np.ndarray
    null: np.ndarray


@dataclass(frozen=True)
class Computed:
    """An expression that a file gives to a field."""

    path: Path
    expression: Expression


Source = Given | Computed | None
"""Where the values of a field come from; None where the file gives something that is not allowed."""

DTYPES: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64, str: object}


def sources(
    document: Document, fields: Mapping[str, spec.Field], raw: Mapping[str, Any], path: Path
) -> dict[str, Source]:
    """What a mapping of the file gives to fields, with complaints about what is not allowed."""
    drafts = {name: _draft(document, fields[name], value, (*path, name)) for name, value in raw.items()}
    lists = {name: draft for name, draft in drafts.items() if isinstance(draft, _Draft)}
    good, faults = check(fields, {name: draft.tested() for name, draft in lists.items()})
    for name, draft in lists.items():
        _report(document, draft, [fault for fault in faults if fault.name == name])
    return {
        name: draft.typed(fields[name], good) if isinstance(draft, _Draft) else draft for name, draft in drafts.items()
    }


@dataclass(frozen=True, eq=False)
class _Draft:
    """Values of the file before they are checked: those that are not null, and which are."""

    path: Path
    values: list[Any] | np.ndarray
    null: np.ndarray
    listed: bool = False

    def tested(self) -> list[Any]:
        """What stands for all values in a check: the ends of an ascending or descending array."""
        return self.values if isinstance(self.values, list) else [self.values[0].item(), self.values[-1].item()]

    def place(self, index: int) -> Path:
        """Where a tested value stands in the file."""
        return (*self.path, int(np.flatnonzero(~self.null)[index])) if self.listed else self.path

    def typed(self, field: spec.Field, good: Mapping[str, list[Any]]) -> Given | None:
        """The values in the field's own type, or None where they were found to be wrong."""
        if field.name not in good:
            return None
        values = np.zeros(self.null.shape, DTYPES[field.type])
        values[~self.null] = self.values if isinstance(self.values, np.ndarray) else good[field.name]
        return Given(self.path, values, self.null)


def _report(document: Document, draft: _Draft, faults: list[Fault], most: int = 3) -> None:
    for fault in faults[:most]:
        document.complain(draft.place(fault.index), fault.what, fault.cure)
    if len(faults) > most:
        document.complain(draft.path, f"{len(faults) - most} more of its values are not allowed", faults[most].cure)


def _draft(document: Document, field: spec.Field, raw: Any, path: Path) -> _Draft | Computed | None:
    if isinstance(raw, dict):
        array = _spaced(document, field, raw, path)
        return None if array is None else _Draft(path, array, np.zeros(len(array), bool))
    if isinstance(raw, str) and raw.startswith("="):
        return _computed(document, raw[1:], path)
    values = raw if isinstance(raw, list) else [raw]
    words = (None, FULL) if field.null else (None,) if field.optional else ()
    null = np.array([any(value == word for word in words) for value in values], bool)
    if not values:
        document.complain(path, "an empty list makes no trials", "Give at least one value")
    elif null.any() and not null.all() and not field.null:
        cure = "Write the part as a list of two mappings, one with null and one with the numbers"
        document.complain(path, "null and values stand in one list", cure)
    else:
        return _Draft(
            path, [value for value, left in zip(values, null, strict=True) if not left], null, isinstance(raw, list)
        )
    return None


def _computed(document: Document, text: str, path: Path) -> Computed | None:
    try:
        return Computed(path, parse(text))
    except ExpressionError as error:
        document.complain(path, error.what, error.cure)
    return None


_FORMS = {
    "log": "{log: [first, last, count]}",
    "lin": "{lin: [first, last, count]}",
    "range": "{range: [first, end, step]}",
}


def _spaced(document: Document, field: spec.Field, raw: dict[str, Any], path: Path) -> np.ndarray | None:
    """Values of {log: ..}, {lin: ..} or {range: ..}."""
    form = next(iter(raw)) if len(raw) == 1 else ""
    if form not in _FORMS:
        what = "expected one of log, lin and range" + (f", got {', '.join(raw)}" if raw else "")
        place = (*path, *raw) if len(raw) == 1 else path
        document.complain(place, what, f"Write {', '.join(_FORMS.values())}", key=len(raw) == 1)
        return None
    if field.type not in (int, float):
        document.complain(path, f"{form} makes numbers, expected {_EXPECTED[field.type]}", "Write a list")
        return None
    try:
        return _numbers(form, raw[form], field.type is int)
    except ValueError as error:
        document.complain((*path, form), str(error), f"Write {_FORMS[form]}")
        return None


def _numbers(form: str, given: Any, whole: bool) -> np.ndarray:
    lengths = (2, 3) if form == "range" else (3,)
    if not isinstance(given, list) or len(given) not in lengths:
        raise ValueError(f"{form} takes a list of {' or '.join(map(str, lengths))} numbers, got {shown(given)}")
    for value in given:
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"expected a number, got {shown(value)}")
    with np.errstate(all="ignore"):
        values = _range(given, whole) if form == "range" else _steps(form, given, whole)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("the numbers become too large")
    return values


def _steps(form: str, given: list[Any], whole: bool) -> np.ndarray:
    low, high, count = (_whole(value) for value in given)
    if not isinstance(count, int) or not 1 <= count <= MAX_VALUES:
        raise ValueError(f"the count has to be a whole number from 1 to {MAX_VALUES}, got {shown(count)}")
    if form == "log" and not (low > 0 and high > 0):
        raise ValueError(f"log needs ends above 0, got {shown(low)} and {shown(high)}")
    values = canonical((np.geomspace if form == "log" else np.linspace)(low, high, count, dtype=np.float64))
    if whole and np.all(np.abs(values) < 2.0**63):
        return np.rint(values).astype(np.int64)
    return values


def _range(given: list[Any], whole: bool) -> np.ndarray:
    low, high, step = (_whole(value) for value in (*given, 1)[:3])
    if step == 0:
        raise ValueError("the step is 0")
    ints = all(isinstance(value, int) for value in (low, high, step))
    if whole and not ints:
        raise ValueError("a range of whole numbers needs whole numbers")
    count = -((low - high) // step) if ints else np.ceil((high - low) / step)
    most = MAX_TABLE if whole else MAX_VALUES
    if not 1 <= count <= most:
        raise ValueError("the range is empty" if count < 1 else f"the range has more than {most} values")
    if ints:
        values = low + step * np.arange(count, dtype=np.int64)
        return values if whole else values.astype(np.float64)
    values = canonical(low + step * np.arange(int(count)))
    return values[values < high] if step > 0 else values[values > high]


# How values are written, for editors.


class Log(BaseModel, extra="forbid"):
    """Values evenly spaced in the logarithm."""

    log: tuple[float, float, int] = Declared(description="first, last, count")


class Lin(BaseModel, extra="forbid"):
    """Evenly spaced values."""

    lin: tuple[float, float, int] = Declared(description="first, last, count")


class Range(BaseModel, extra="forbid"):
    """Values from the first to below the last."""

    range: tuple[float, float] | tuple[float, float, float] = Declared(description="first, end (left out), step")


Formula = Annotated[str, Declared(pattern="^=", description="computed from other fields")]


def written(field: spec.Field) -> Any:
    """All ways in which a grid may give a field."""
    if field.role == "nested":
        return family_model(field.type)
    null = [Literal["full"], None] if field.null else [None] if field.optional else []
    scalar = Union[tuple([_scalar(field), *null])]  # noqa: UP007
    forms = [Log, Lin, Range] if field.type in (int, float) else []
    return Union[tuple([scalar, Formula, list[scalar], *forms])]  # noqa: UP007


def part_model(family: str, kind: str, cls: type) -> type[BaseModel]:
    """The model of one kind of a family, as a grid writes it."""
    settable = {each.field for each in spec.alternatives(cls)}
    fields = declared(cls).values()
    eased = [
        dataclasses.replace(each, default=None) if each.required and each.name in settable else each for each in fields
    ]
    attributes = _attributes(eased, written, required=True)
    if family != "train":
        attributes = {"kind": (Literal[kind], ...), **attributes}
    return create_model(f"{family}_{kind}", __config__=_STRICT, __doc__=cls.__doc__, **attributes)


class Optax(BaseModel, extra="allow"):
    """Any optimizer of optax by its name, with optax's arguments; `lr` is its learning rate."""

    kind: str = Declared(pattern=r"^optax\.")


def family_model(family: str) -> Any:
    """One part of a family, or a list of them as a union."""
    kinds = trial.FAMILIES[family]
    models = [part_model(family, kind, cls) for kind, cls in kinds.items()]
    one: Any = Union[tuple(models)]  # noqa: UP007
    if len(models) > 1:
        one = Annotated[one, Declared(discriminator="kind")]
    if family == "optimizer":
        one = Union[one, Optax]  # noqa: UP007
    plain = tuple(kind for kind, cls in kinds.items() if not any(each.required for each in spec.fields(cls).values()))
    if plain and family != "train":
        one = Union[one, Literal[plain]]  # noqa: UP007
    return Union[one, Annotated[list[one], Declared(min_length=1)]]  # noqa: UP007


def settings_model(name: str, fields: Iterable[spec.Field]) -> type[BaseModel]:
    """A model of plain values, one a field."""
    return create_model(name, __config__=_STRICT, **_attributes(fields, _scalar, required=False))
