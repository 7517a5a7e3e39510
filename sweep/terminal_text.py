"""Text on its way to a terminal: escaped, and in characters that the terminal has."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_SUBSTITUTES = (
    {"→": "->", "←": "<-", "↑": "^", "↓": "v", "∞": "inf", "√": "sqrt", "∈": "in", "‖": "||"}
    | {"≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "±": "+-", "×": "x", "·": "*", "²": "^2"}
    | {"−": "-", "–": "-", "—": "-", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'"}
    | {"₀": "_0", "₁": "_1", "ℓ": "l", "⟨": "<", "⟩": ">"}
)
"""What stands for a character of our own words where a stream cannot encode it.

Greek letters are written as their names.
"""

_ENCODING_ERRORS = "sweep.substitute"


def escape_controls(text: str) -> str:
    r"""The text with every character that a terminal would obey written out, such as `\x1b`.

    Words from grids, tables and paths may hold sequences that recolour, retitle or overwrite a
    terminal. Line breaks, tabs and everything that can be seen stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(map(_escape_character, text))


def echo(text: str, *, err: bool = False) -> None:
    """Print a text and a line break by `escape_controls`, to standard error if `err`."""
    stream = sys.stderr if err else sys.stdout
    # A process may be started without the stream: then nobody listens.
    if stream is not None:
        print(escape_controls(text), file=stream, flush=True)


def accept_all_characters() -> None:
    r"""Let standard output and error take any text, whatever encoding the terminal has.

    A character that it does not have is written as a similar one (`->`), or as `\u27f6`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODING_ERRORS)


def _escape_character(character: str) -> str:
    # Of all spaces, isprintable knows only the plain one.
    is_space = unicodedata.category(character) == "Zs"
    if character.isprintable() or is_space or character in "\n\t":
        return character
    return character.encode("unicode_escape").decode()


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written for the first character that cannot be encoded; a handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    words = unicodedata.name(character, "").split()
    substitute = _SUBSTITUTES.get(character)
    if words[:1] == ["GREEK"]:
        substitute = words[-1].title() if character.isupper() else words[-1].lower()
    return substitute or character.encode("unicode_escape").decode(), error.start + 1


codecs.register_error(_ENCODING_ERRORS, _substitute)
