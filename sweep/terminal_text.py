"""Text on its way to a terminal: escaped, and in characters that the terminal has."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TextIO

from sweep.errors import SweepError

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
    """Print a text and a line break by `escape_controls`, to standard error if `err`.

    Raises SweepError if standard output takes none. What standard error does not take is lost, so
    that the exit code still says what happened.
    """
    stream = sys.stderr if err else sys.stdout
    # A process may be started without the stream: then nobody listens.
    if stream is None:
        return
    try:
        print(escape_controls(text), file=stream, flush=True)
    except OSError as error:
        discard_output(stream)
        # The end of a pipe such as `| head` is no fault: the command ends without a word.
        if isinstance(error, BrokenPipeError) and not err:
            raise
        if not err:
            raise SweepError(
                f"Standard output cannot be written: {error.strerror or error}. "
                "Write it to another place."
            ) from error


def accept_all_characters() -> None:
    r"""Let standard output and error take any text, whatever encoding the terminal has.

    A character that it does not have is written as a similar one (`->`), or as `\u27f6`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODING_ERRORS)


def discard_output(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, and all that follows: Python would try again at its end, and fail."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


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
