"""Reading a checkpoint that a crash, a bad disk or a stranger may have left.

orbax hands the folder to tensorstore, which follows links, waits for named pipes, and ends the
process if an array is larger than the memory. So the folder is looked at first. Nothing in it is
ever executed: orbax reads JSON and arrays of numbers.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from sweep.store.plain_files import plain_states

Columns = Mapping[str, np.ndarray]
"""Arrays by name, each with one row a trial; `trial` holds ids, `step` the updates so far."""

_COLUMN_NAME = re.compile(r"[\w-]+")
_DESCRIPTION_BYTES = 1 << 20
"""Most bytes of a file beside the arrays, which are in folders called `d`."""
_COMPRESSION = 1 << 16
"""More than zstd can make of zeros."""


def read_checkpoint(path: Path) -> Columns | None:
    """The arrays of a checkpoint, None if it is damaged or was not written by this program."""
    import orbax.checkpoint as ocp  # takes seconds and imports jax

    try:
        limit = _bytes_of_arrays(path)
        if not limit:
            return None
        with quiet_orbax(), ocp.StandardCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(path).item_metadata
            if not _is_plausible(dict(metadata.items()), limit):
                return None
            state = checkpointer.restore(path)
        columns = {name: np.asarray(value) for name, value in state.items()}
        digest = columns.pop("digest")
    except Exception:  # orbax has no error type for a damaged folder
        return None
    return columns if np.array_equal(digest, digest_of(columns)) else None


def digest_of(columns: Columns) -> np.ndarray:
    """A digest of names, types, shapes and values, 16 bytes."""
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(columns):
        array = np.ascontiguousarray(columns[name])
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(array.tobytes())
    return np.frombuffer(state.digest(), np.uint8)


@contextmanager
def quiet_orbax() -> Iterator[None]:
    """Keep orbax from logging an error that is raised as well, with a traceback a thread."""
    logger = logging.getLogger("absl")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def _bytes_of_arrays(path: Path) -> int:
    """Bytes that the arrays in a folder can have; 0 if the folder is not one of this program."""
    size = 0
    for file, state in plain_states(path):
        if file.parent.name != "d" and state.st_size > _DESCRIPTION_BYTES:
            return 0
        size += state.st_size
    memory = psutil.virtual_memory().available // 2
    return 0 if size > memory else min(size * _COMPRESSION, memory)


def _is_plausible(metadata: Mapping[str, Any], limit: int) -> bool:
    """Whether all are named columns of as many rows, of at most `limit` bytes together."""
    digest = metadata.get("digest")
    columns = {name: array for name, array in metadata.items() if name != "digest"}
    size = sum(_size(array) for array in metadata.values())
    rows = {array.shape[:1] for array in columns.values()}
    has_good_names = all(map(_COLUMN_NAME.fullmatch, columns))
    return digest is not None and has_good_names and len(rows) == 1 and size <= limit


def _size(array: Any) -> int:
    """Bytes of an array, or of its pieces on disk if these are larger."""
    items = max(math.prod(array.shape), math.prod(array.storage.chunk_shape))
    return items * np.dtype(array.dtype).itemsize
