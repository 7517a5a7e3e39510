"""Values of fields in a grid file: scalars, lists, log, lin, range and expressions.

They are converted to the types of their fields and checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep import spec
from sweep.grid.fields.validation import EXPECTED, FieldError, check, integral, show_value
from sweep.grid.product.space import MAX_TABLE, canonical
from sweep.grid.syntax.expressions import (
    Expression,
    ExpressionError,
    count_words,
    parse_expression,
)
from sweep.grid.syntax.yaml_reader import Document, Path

MAX_VALUES = 2**20
"""The maximal number of values of a log, lin or range of floats."""

FULL = "full"
"""An alias of null for fields with a `null` expression (`batch_size: full`)."""


@dataclass(frozen=True, eq=False)
class GivenValues:
    """Typed values that a file gives to a field; the mask `null` marks those that are null."""

    path: Path
    values: np.ndarray
    null: np.ndarray


@dataclass(frozen=True)
class ComputedValues:
    """An expression that a file gives to a field."""

    path: Path
    expression: Expression


Source = GivenValues | ComputedValues | None
"""Where the values of a field come from; None where the file is not valid."""

DTYPES: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64, str: object}


def sources(
    document: Document, fields: Mapping[str, spec.Field], raw: Mapping[str, Any], path: Path
) -> dict[str, Source]:
    """The sources of the fields in a mapping of the file.

    Args:
        document: Collects the errors.
        fields: Declarations by field name.
        raw: The values of the file by field name.
        path: The position of the mapping in the file.
    """
    drafts = {
        name: _draft(document, fields[name], value, (*path, name)) for name, value in raw.items()
    }
    lists = {name: draft for name, draft in drafts.items() if isinstance(draft, _Draft)}
    valid, errors = check(fields, {name: draft.checked_values() for name, draft in lists.items()})
    for name, draft in lists.items():
        _report(document, draft, [error for error in errors if error.name == name])
    return {
        name: draft.typed(fields[name], valid) if isinstance(draft, _Draft) else draft
        for name, draft in drafts.items()
    }


@dataclass(frozen=True, eq=False)
class _Draft:
    """Unchecked values of the file: those that are not null, and a mask of the null ones."""

    path: Path
    values: list[Any] | np.ndarray
    null: np.ndarray
    listed: bool = False

    def checked_values(self) -> list[Any]:
        """The values to be checked."""
        if isinstance(self.values, list):
            return self.values
        # An array is monotonic, and bounds that hold at both ends hold in between.
        return [self.values[0].item(), self.values[-1].item()]

    def value_path(self, index: int) -> Path:
        """The position in the file of a checked value."""
        return (*self.path, int(np.flatnonzero(~self.null)[index])) if self.listed else self.path

    def typed(self, field: spec.Field, valid: Mapping[str, list[Any]]) -> GivenValues | None:
        """The values in the type of the field, or None where the check failed."""
        if field.name not in valid:
            return None
        values = np.zeros(self.null.shape, DTYPES[field.type])
        values[~self.null] = (
            self.values if isinstance(self.values, np.ndarray) else valid[field.name]
        )
        return GivenValues(self.path, values, self.null)


def _report(document: Document, draft: _Draft, errors: list[FieldError], limit: int = 3) -> None:
    """Report the first `limit` errors of a field, and the number of the others."""
    for error in errors[:limit]:
        document.add_error(draft.value_path(error.index), error.what, error.cure)
    if len(errors) > limit:
        document.add_error(
            draft.path,
            f"{len(errors) - limit} more of its values are not allowed",
            errors[limit].cure,
        )


def _draft(
    document: Document, field: spec.Field, raw: Any, path: Path
) -> _Draft | ComputedValues | None:
    """The unchecked values, or the expression, of a field; None after reporting an error."""
    if isinstance(raw, dict):
        array = _spaced(document, field, raw, path)
        return None if array is None else _Draft(path, array, np.zeros(len(array), bool))
    if isinstance(raw, str) and raw.startswith("="):
        return _computed(document, raw[1:], path)
    values = raw if isinstance(raw, list) else [raw]
    nulls = _null_values(field)
    null = np.array([any(value == alias for alias in nulls) for value in values], bool)
    if not values:
        document.add_error(path, "an empty list makes no trials", "Give at least one value")
    elif null.any() and not null.all() and not field.null:
        # Null leaves a feature out of the program, so it cannot share a block with numbers.
        cure = "Write the part as a list of two mappings, one with null and one with the numbers"
        document.add_error(path, "null and values stand in one list", cure)
    else:
        return _Draft(
            path,
            [value for value, is_null in zip(values, null, strict=True) if not is_null],
            null,
            isinstance(raw, list),
        )
    return None


def _null_values(field: spec.Field) -> tuple[Any, ...]:
    """What may be written for null in a field: null and `full`, null alone, or nothing."""
    if field.null:
        return (None, FULL)
    return (None,) if field.optional else ()


def _computed(document: Document, text: str, path: Path) -> ComputedValues | None:
    """The parsed expression; None after reporting that it is not one."""
    document.count_words(count_words(text), path)
    try:
        return ComputedValues(path, parse_expression(text))
    except ExpressionError as error:
        document.add_error(path, error.what, error.cure)
    return None


_FORMS = {
    "log": "{log: [first, last, count]}",
    "lin": "{lin: [first, last, count]}",
    "range": "{range: [first, end, step]}",
}


def _spaced(
    document: Document, field: spec.Field, raw: dict[str, Any], path: Path
) -> np.ndarray | None:
    """Values of {log: ..}, {lin: ..} or {range: ..}."""
    form = next(iter(raw)) if len(raw) == 1 else ""
    if form not in _FORMS:
        what = "expected one of log, lin and range" + (f", got {', '.join(raw)}" if raw else "")
        form_path = (*path, *raw) if len(raw) == 1 else path
        document.add_error(
            form_path, what, f"Write {', '.join(_FORMS.values())}", key=len(raw) == 1
        )
        return None
    if field.type not in (int, float):
        document.add_error(
            path, f"{form} makes numbers, expected {EXPECTED[field.type]}", "Write a list"
        )
        return None
    try:
        return _numbers(document, form, raw[form], field.type is int)
    except ValueError as error:
        document.add_error((*path, form), str(error), f"Write {_FORMS[form]}")
        return None


def _numbers(document: Document, form: str, arguments: Any, integer: bool) -> np.ndarray:
    """The numbers of a log, lin or range. Raises ValueError with what is wrong with it."""
    lengths = (2, 3) if form == "range" else (3,)
    if not isinstance(arguments, list) or len(arguments) not in lengths:
        counts = " or ".join(map(str, lengths))
        raise ValueError(f"{form} takes a list of {counts} numbers, got {show_value(arguments)}")
    for value in arguments:
        # A bool is an int in Python, but `true` is no number in a grid.
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"expected a number, got {show_value(value)}")
    with np.errstate(all="ignore"):
        values = (
            _range(document, arguments, integer)
            if form == "range"
            else _steps(document, form, arguments, integer)
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("the numbers become too large")
    return values


def _steps(document: Document, form: str, arguments: list[Any], integer: bool) -> np.ndarray:
    """The numbers of `log` or `lin`: `arguments` are first, last and count."""
    low, high, count = (integral(value) for value in arguments)
    if not isinstance(count, int) or not 1 <= count <= MAX_VALUES:
        raise ValueError(
            f"the count has to be a whole number from 1 to {MAX_VALUES}, got {show_value(count)}"
        )
    if form == "log" and not (low > 0 and high > 0):
        raise ValueError(f"log needs ends above 0, got {show_value(low)} and {show_value(high)}")
    document.count_rounded(count)
    spaced = (np.geomspace if form == "log" else np.linspace)(low, high, count, dtype=np.float64)
    values = canonical(spaced, document.count_sorted)
    if integer and np.all(np.abs(values) < 2.0**63):
        return np.rint(values).astype(np.int64)
    return values


def _range(document: Document, arguments: list[Any], integer: bool) -> np.ndarray:
    """The numbers of `range`: `arguments` are first, end (left out) and step (1 by default)."""
    low, high, step = (integral(value) for value in (*arguments, 1)[:3])
    if step == 0:
        raise ValueError("the step is 0")
    exact = all(isinstance(value, int) for value in (low, high, step))
    if integer and not exact:
        raise ValueError("a range of whole numbers needs whole numbers")
    # The ceiling of (high - low) / step, in exact integer arithmetic where that is possible.
    count = -((low - high) // step) if exact else np.ceil((high - low) / step)
    limit = MAX_TABLE if integer else MAX_VALUES
    if not 1 <= count <= limit:
        raise ValueError(
            "the range is empty" if count < 1 else f"the range has more than {limit} values"
        )
    document.count_rounded(int(count))
    if exact:
        values = low + step * np.arange(count, dtype=np.int64)
        return values if integer else values.astype(np.float64)
    values = canonical(low + step * np.arange(int(count)), document.count_sorted)
    # A rounding error in the count may have added a value that equals the excluded end.
    return values[values < high] if step > 0 else values[values > high]
