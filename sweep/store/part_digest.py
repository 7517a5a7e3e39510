"""A digest of a whole part, inside the part.

The checksums of parquet cover its pages, but not the footer, where a flipped bit can turn a column
into another one. The digest lies between the last page and the footer: all offsets in a parquet
file count from its beginning, and its readers find the footer from its end, so they skip it. A part
therefore carries its digest from the moment it appears, and no second file can be lost.
"""

from __future__ import annotations

import hashlib
from typing import Any

DECLARATION = "digest"
"""Key in the metadata of a part with a digest; parts of version 0.2 have none."""
_MARK = b"SWEEPSUM"
_SIZE = 16
_MAGIC = b"PAR1"
_TRAILER = 8  # the length of the footer in four bytes, and the magic


def insert_digest(content: Any) -> bytes:
    """A parquet file with a digest of all its bytes in front of its footer."""
    view = memoryview(content)
    footer = _footer_start(view)
    return b"".join([view[:footer], _MARK, _digest(view[:footer], view[footer:]), view[footer:]])


def check_digest(content: bytes) -> bool:
    """Compare a parquet file with its digest; False if it has none.

    Raises ValueError if it is damaged.
    """
    view = memoryview(content)
    footer = _footer_start(view)
    start = footer - _SIZE - len(_MARK)
    if start < len(_MAGIC) or view[start : start + len(_MARK)] != _MARK:
        return False
    if view[footer - _SIZE : footer] != _digest(view[:start], view[footer:]):
        raise ValueError("its content does not match its digest")
    return True


def is_parquet(start: bytes, end: bytes) -> bool:
    """Whether a file with these first and last bytes can be a parquet file."""
    return start.startswith(_MAGIC) and end.endswith(_MAGIC)


def _footer_start(view: memoryview) -> int:
    """Where the footer of a parquet file begins, from the length in its last bytes."""
    length = int.from_bytes(view[-_TRAILER : -len(_MAGIC)], "little")
    return max(len(view) - _TRAILER - length, 0)


def _digest(pages: memoryview, footer: memoryview) -> bytes:
    """The digest of pages and footer."""
    state = hashlib.blake2b(pages, digest_size=_SIZE)
    state.update(footer)
    return state.digest()
