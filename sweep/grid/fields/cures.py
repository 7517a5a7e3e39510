"""What a user may have meant by a text that stands where a grid wants a number, or by a name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

from sweep.grid.syntax.expressions import ExpressionError, parse_expression

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SUFFIXES = {"k": 3, "K": 3, "M": 6, "B": 9, "G": 9}
"""Powers of ten. Not m, which may stand for thousandths or for millions."""


def closest_name(name: str, names: Iterable[str]) -> str:
    """Advice for an unknown name: the closest valid name, and all valid names."""
    candidates = list(names)
    # Cut, since the search is quadratic in the length and the file may hold a text of any length.
    folded = {_fold(candidate): candidate for candidate in candidates}
    close = difflib.get_close_matches(_fold(name[:80]), folded, n=1)
    suggestion = f"Did you mean {folded[close[0]]}? " if close else ""
    return f"{suggestion}There is {', '.join(candidates) or 'none'}"


def _fold(name: str) -> str:
    """A name without the ways of writing that a grid does not know: capitals and hyphens."""
    return name.casefold().replace("-", "_").replace(" ", "_")


def meant_number(text: str) -> str:
    """How to write a text that stands for a number in a grid, as a sentence without a full stop."""
    # Cut, since a file may hold a text of any length.
    text = text.strip()[:80]
    for pattern, written in _READINGS.items():
        found = re.fullmatch(pattern, text)
        if found:
            return f"Write {written(found)}"
    if re.fullmatch(_NUMBER, text):
        return "Write a number, without quotes"
    return _meant_expression(text) or "Write a number, without quotes"


def _meant_expression(text: str) -> str:
    """The cure for an expression without its equals sign, "" for any other text."""
    formula = text.replace("^", "**")
    try:
        expression = parse_expression(formula)
    except ExpressionError:
        return ""
    # A single word is a misspelt number rather than the name of a field.
    if re.fullmatch(r"\w+|'.*'|\".*\"", formula):
        return ""
    return f'Write "={expression.text}", an expression begins with ='


def _scaled(found: re.Match[str]) -> str:
    return _plain(float(found[1]) * 10.0 ** _SUFFIXES[found[2]])


def _span(found: re.Match[str]) -> str:
    """The whole numbers from the first to the last, which is one of them."""
    first, last = int(found[1]), int(found[2])
    if last < first:
        return f"{{range: [{first}, {last - 1}, -1]}}"
    return f"{{range: [{first}, {last + 1}]}}"


def _slice(found: re.Match[str]) -> str:
    """The whole numbers of a slice of Python, which leaves its end out."""
    return f"{{range: [{int(found[1] or 0)}, {int(found[2])}]}}"


def _real_span(found: re.Match[str]) -> str:
    """Ten values from the first to the last, by their logarithm where they are far apart."""
    first, last = float(found[1]), float(found[2])
    form = "log" if min(first, last) > 0 and max(first, last) >= 10 * min(first, last) else "lin"
    return f"{{{form}: [{found[1]}, {found[2]}, 10]}} for ten values from {found[1]} to {found[2]}"


def _list(found: re.Match[str]) -> str:
    return f"[{', '.join(re.findall(_NUMBER, found[0]))}]"


def _plain(number: float) -> str:
    """A number as it is usually written."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.12g}"


_READINGS: dict[str, Callable[[re.Match[str]], str]] = {
    rf"({_NUMBER}) ?([kKMBG])": _scaled,
    rf"({_NUMBER}) ?%": lambda found: _plain(float(found[1]) / 100),
    r"[-+]?\d{1,3}([,' ]\d{3})+": lambda found: re.sub(r"[,' ]", "", found[0]),
    r"(\d{1,15}) ?(?:-|\.{2,3}|–|to) ?(\d{1,15})": _span,
    r"(\d{0,15}) ?: ?(\d{1,15})": _slice,
    r"range\((?:(\d{1,15}), ?)?(\d{1,15})\)": _slice,
    rf"({_NUMBER}) ?(?:-|\.\.|–|:|to) ?({_NUMBER})": _real_span,
    rf"[\[(]?{_NUMBER}(?:[,;] ?{_NUMBER}| {_NUMBER})+[\])]?": _list,
    r"0[xX][0-9a-fA-F]{1,12}": lambda found: str(int(found[0], 16)),
}
"""How numbers are written elsewhere, as patterns, and how a grid writes them. The first one counts."""
