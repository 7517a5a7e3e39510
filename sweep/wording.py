"""Numbers with their nouns and units, as people read them."""

from __future__ import annotations

_MEMORY_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

_TIME_UNITS = ((100, 1, "seconds"), (6000, 60, "minutes"), (48 * 3600, 3600, "hours"))
"""Limit in seconds, length in seconds, and name of each unit below a day."""

_SHORT_UNITS = {"seconds": "s", "minutes": "min", "hours": "h", "days": "days"}


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 cell`, `2 cells`, `1,024 cells`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration_text(seconds: float, short: bool = False) -> str:
    """A duration in the unit that a person would choose, such as `1.7 minutes`, `1.7 min`."""
    fitting = ((size, unit) for limit, size, unit in _TIME_UNITS if seconds < limit)
    size, unit = next(fitting, (86400, "days"))
    value = seconds / size
    text = f"{value:.0f}" if value >= 10 or unit == "seconds" else f"{value:.1f}"
    unit = _SHORT_UNITS[unit] if short else unit
    return f"{text} {unit.removesuffix('s') if text == '1' and not short else unit}"


def memory_text(size: float) -> str:
    """A number of bytes in the unit that a person would choose: `24 KiB`, `1.5 GiB`."""
    for unit in _MEMORY_UNITS:
        if size < 1024 or unit == _MEMORY_UNITS[-1]:
            break
        size /= 1024
    decimals = 1 if size < 10 and unit != "bytes" else 0
    return f"{size:,.{decimals}f} {unit}"


def rounded(number: float) -> str:
    """A positive number to two digits, written out: `310,000`, `42`, `0.4`."""
    short = float(f"{number:.2g}")
    return f"{short:,.0f}" if short >= 10 or short.is_integer() else f"{short:g}"


def first_upper(text: str) -> str:
    """The text as the start of a sentence: with a capital, and otherwise as it is."""
    return text[:1].upper() + text[1:]
