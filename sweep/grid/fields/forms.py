"""Forms of many numbers in a grid file: `log`, `lin`, `range`, and `sample` for random ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sweep import spec
from sweep.grid.fields.cures import closest_name
from sweep.grid.fields.validation import EXPECTED, integral, show_value
from sweep.grid.product.space import MAX_TABLE, canonical
from sweep.grid.syntax.yaml_reader import Document, Path

MAX_VALUES = 2**20
"""The maximal number of values of a log, lin, sample or range of floats."""

_FORMS = {
    "log": "{log: [first, last, count]}",
    "lin": "{lin: [first, last, count]}",
    "range": "{range: [first, end, step]}",
    "sample": "{sample: {log: [first, last]}, count: 50}",
}
_SAMPLE_KEYS = ("sample", "count", "seed")


def is_sample(raw: Mapping[str, Any]) -> bool:
    """Whether a mapping that stands for numbers asks for random ones."""
    return "sample" in raw


def numbers_of(
    document: Document, field: spec.Field, raw: dict[str, Any], path: Path
) -> np.ndarray | None:
    """The numbers of a form, None after reporting that it is none.

    Args:
        document: Collects the errors.
        field: The field that takes them; those of an integer field are rounded.
        raw: The form.
        path: Its position in the file.
    """
    form = "sample" if is_sample(raw) else next(iter(raw)) if len(raw) == 1 else ""
    if form not in _FORMS:
        what = "expected one of log, lin, range and sample"
        form_path = (*path, *raw) if len(raw) == 1 else path
        document.add_error(
            form_path,
            what + (f", got {', '.join(raw)}" if raw else ""),
            f"Write {', '.join(_FORMS.values())}",
            key=len(raw) == 1,
        )
        return None
    if field.type not in (int, float):
        what = f"{form} makes numbers, expected {EXPECTED[field.type]}"
        document.add_error(path, what, "Write a list")
        return None
    integer = field.type is int
    try:
        if form == "sample":
            return _sample(document, field.name, raw, path, integer)
        return _numbers(document, form, raw[form], integer)
    except ValueError as error:
        document.add_error((*path, form), str(error), f"Write {_FORMS[form]}")
        return None


def _sample(
    document: Document, name: str, raw: dict[str, Any], path: Path, integer: bool
) -> np.ndarray | None:
    """The numbers of `{sample: .., count: .., seed: ..}`. Raises ValueError on a wrong one."""
    for key in raw:
        if key not in _SAMPLE_KEYS:
            cure = closest_name(key, _SAMPLE_KEYS)
            document.add_error((*path, key), "is not a key of a sample", cure, key=True)
            return None
    law, seed = raw["sample"], integral(raw.get("seed", 0))
    form = next(iter(law)) if isinstance(law, dict) and len(law) == 1 else ""
    if form not in ("log", "lin"):
        raise ValueError("a sample is taken from log or lin, the law of the numbers")
    low, high = _arguments(form, law[form], (2,))
    if not low < high:
        raise ValueError(f"{show_value(low)} is not below {show_value(high)}")
    if form == "log" and not low > 0:
        raise ValueError(f"log needs ends above 0, got {show_value(low)} and {show_value(high)}")
    if "count" not in raw:
        raise ValueError("count is missing, the number of random values")
    count = _count(raw["count"])
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(
            f"the seed of a sample is a whole number below 2^32, got {show_value(seed)}"
        )
    document.count_rounded(count)
    share = _uniform(name, seed, count)
    if form == "log":
        drawn = np.exp((1 - share) * np.log(low) + share * np.log(high))
    else:
        drawn = (1 - share) * low + share * high
    return _rounded(document, drawn, integer)


def _uniform(name: str, seed: int, count: int) -> np.ndarray:
    """Random numbers in [0, 1): number i depends on the field, the seed and i alone."""
    # The raw bits of a generator are the same in every version of numpy (its NEP 19), unlike the
    # numbers that `Generator` makes of them; and more of them begin with fewer.
    key = hashlib.blake2b(f"sample {seed} {name}".encode(), digest_size=16).digest()
    bits = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(count)
    return (bits >> np.uint64(11)) * 2.0**-53


def _arguments(form: str, arguments: Any, lengths: tuple[int, ...]) -> list[Any]:
    """The finite numbers that a form takes. Raises ValueError for anything else."""
    if not isinstance(arguments, list) or len(arguments) not in lengths:
        counts = " or ".join(map(str, lengths))
        raise ValueError(f"{form} takes a list of {counts} numbers, got {show_value(arguments)}")
    for value in arguments:
        # A bool is an int in Python, but `true` is no number in a grid.
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"expected a number, got {show_value(value)}")
    return arguments


def _count(value: Any) -> int:
    """A number of values. Raises ValueError if it is none."""
    count = integral(value)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_VALUES:
        raise ValueError(
            f"the count has to be a whole number from 1 to {MAX_VALUES}, got {show_value(count)}"
        )
    return count


def _rounded(document: Document, values: np.ndarray, integer: bool) -> np.ndarray:
    """Numbers of 12 digits, whole ones for an integer field that can hold them."""
    values = canonical(values, document.count_sorted)
    if integer and np.all(np.abs(values) < 2.0**63):
        return np.rint(values).astype(np.int64)
    return values


def _numbers(document: Document, form: str, arguments: Any, integer: bool) -> np.ndarray:
    """The numbers of a log, lin or range. Raises ValueError with what is wrong with it."""
    arguments = _arguments(form, arguments, (2, 3) if form == "range" else (3,))
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
    low, high = (integral(value) for value in arguments[:2])
    count = _count(arguments[2])
    if form == "log" and not (low > 0 and high > 0):
        raise ValueError(f"log needs ends above 0, got {show_value(low)} and {show_value(high)}")
    document.count_rounded(count)
    spaced = (np.geomspace if form == "log" else np.linspace)(low, high, count, dtype=np.float64)
    return _rounded(document, spaced, integer)


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
