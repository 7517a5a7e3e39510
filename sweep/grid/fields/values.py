"""Values of fields in a grid file: scalars, lists, forms such as log, and expressions.

They are converted to the types of their fields and checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep import spec
from sweep.grid.fields.forms import is_sample, numbers_of
from sweep.grid.fields.validation import FieldError, check, null_words
from sweep.grid.syntax.expressions import (
    Expression,
    ExpressionError,
    count_words,
    parse_expression,
)
from sweep.grid.syntax.yaml_reader import Document, Path


@dataclass(frozen=True, eq=False)
class GivenValues:
    """Typed values that a file gives to a field; the mask `null` marks those that are null.

    `sampled` values were drawn at random.
    """

    path: Path
    values: np.ndarray
    null: np.ndarray
    sampled: bool = False


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
    sampled: bool = False

    def checked_values(self) -> list[Any]:
        """The values to be checked."""
        if isinstance(self.values, list):
            return self.values
        # Bounds that hold for the smallest and the largest value hold for all.
        return [self.values.min().item(), self.values.max().item()]

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
        return GivenValues(self.path, values, self.null, self.sampled)


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
        array = numbers_of(document, field, raw, path)
        if array is None:
            return None
        return _Draft(path, array, np.zeros(len(array), bool), sampled=is_sample(raw))
    if isinstance(raw, str) and raw.startswith("="):
        return _computed(document, raw[1:], path)
    values = raw if isinstance(raw, list) else [raw]
    nulls = null_words(field)
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


def _computed(document: Document, text: str, path: Path) -> ComputedValues | None:
    """The parsed expression; None after reporting that it is not one."""
    document.count_words(count_words(text), path)
    try:
        return ComputedValues(path, parse_expression(text))
    except ExpressionError as error:
        document.add_error(path, error.what, error.cure)
    return None
