"""Standard error of a run that goes on when nobody can read it any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from sweep.terminal_text import discard_output

_STANDARD_DESCRIPTORS = (0, 1, 2)


class LenientStream:
    """A text stream that loses what cannot be written, in place of raising an error.

    The reader of a pipe may be gone, a terminal closed, the disk of a log full. Later writes are
    tried again, since a disk may have space again.

    Args:
        stream: where to write; None, or an object that lacks some methods of a stream, is as good
            as a closed one.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write a text, if need be with question marks for what the encoding lacks."""
        with suppress(OSError, ValueError, AttributeError):
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Pass on what is buffered."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is an open terminal."""
        with suppress(OSError, ValueError, AttributeError):
            return bool(self._stream.isatty())
        return False

    def fileno(self) -> int:
        """The descriptor of the stream. Raises OSError if it has none."""
        try:
            return int(self._stream.fileno())
        except (ValueError, AttributeError) as error:
            raise OSError("The stream has no descriptor.") from error


def open_standard_descriptors() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed, to nowhere.

    Otherwise the next file would get such a number, and whatever is written to standard error by
    libraries would end up in a table.
    """
    for descriptor in _STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # The system gives the lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


def discard_unwritable() -> None:
    """Flush standard output and error; what cannot be written is no reason to fail at exit."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            discard_output(stream)  # Python would flush once more, and end with exit code 120
