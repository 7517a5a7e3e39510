"""Settings of a sweep rather than a trial: name, description, what is recorded and measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sweep import spec
from sweep.filters import COORDINATES
from sweep.grid.fields import validation
from sweep.grid.fields.cures import closest_name
from sweep.grid.fields.validation import show_value
from sweep.grid.syntax.yaml_reader import Document, Path

WORDS = ("auto", *COORDINATES)
"""The valid values of `coordinates` in a grid."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""A pattern for names of grids; they name folders, hence no slash and no leading dot."""

POINTS = spec.Field(
    "points",
    "static",
    int,
    "points of the recorded curves",
    default=32,
    at_least=0,
    # The records of a single lane then fit into the memory of any machine.
    at_most=1_000_000,
)
TEST = spec.Field("test", "static", bool, "record test observables too", default=True)
TEST_POINTS = spec.Field(
    "test_points", "static", int, "fresh points that measure a test error", default=2000, at_least=0
)
VALIDATION_POINTS = spec.Field(
    "validation_points",
    "static",
    int,
    "fresh points apart from those of the test, by which a step size may be chosen",
    default=0,
    at_least=0,
)
SYSTEM = spec.Field("coordinates", "static", str, "how the first layer is stored", default="auto")


@dataclass(frozen=True)
class Settings:
    """Settings of a sweep that are not fields of a trial."""

    coordinates: str = "auto"
    record_points: int = 32
    record_test: bool = True
    test_points: int = 2000
    validation_points: int = 0


def value_of(raw: Mapping[str, Any], key: str, default: Any) -> Any:
    """The value of a key, or the default where it is absent or null.

    Args:
        raw: A mapping of the file.
        key: The key.
        default: The value of an absent key.
    """
    return default if raw.get(key) is None else raw[key]


def read_name(document: Document, raw: Mapping[str, Any]) -> str:
    """The name of the sweep, or "" where it is not valid."""
    name = raw.get("name")
    if isinstance(name, str) and re.fullmatch(NAME, name):
        return name
    what = "is missing" if name is None else f"{show_value(name)} cannot name a folder"
    cure = "Write name: with up to 100 letters, digits, dots, _ and -, a letter or digit first"
    document.add_error(("name",), what, cure)
    return ""


def read_description(document: Document, raw: Mapping[str, Any]) -> str:
    """The description of the sweep."""
    description = value_of(raw, "description", "")
    if not isinstance(description, str):
        document.add_error(
            ("description",),
            f"expected text, got {show_value(description)}",
            "Write text, in quotes if need be",
        )
    return str(description)


def read_settings(document: Document, raw: Mapping[str, Any]) -> Settings:
    """The other settings; a value that is not valid is reported and replaced by its default."""
    record = value_of(raw, "record", {})
    if not isinstance(record, dict):
        document.add_error(
            ("record",),
            f"expected a mapping, got {show_value(record)}",
            "Write record: {points: 32, test: true}",
        )
        # Reading goes on, so that all errors of a file are reported together.
        record = {}
    for key in record:
        if key not in ("points", "test"):
            document.add_error(
                ("record", key),
                "is not a key of record",
                closest_name(key, ("points", "test")),
                key=True,
            )
    return Settings(
        coordinates=_setting(document, replace(SYSTEM, choices=WORDS), raw, ()),
        record_points=_setting(document, POINTS, record, ("record",)),
        record_test=_setting(document, TEST, record, ("record",)),
        test_points=_setting(document, TEST_POINTS, raw, ()),
        validation_points=_setting(document, VALIDATION_POINTS, raw, ()),
    )


def _setting(document: Document, field: spec.Field, raw: Mapping[str, Any], path: Path) -> Any:
    values, errors = validation.check(
        {field.name: field}, {field.name: [raw.get(field.name, field.default)]}
    )
    for error in errors:
        document.add_error((*path, field.name), error.what, error.cure)
    return values.get(field.name, [field.default])[0]
