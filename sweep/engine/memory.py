"""A lack of memory, as jax, XLA and numpy report it."""

from __future__ import annotations

import re

LACK = re.compile(
    "RESOURCE_EXHAUSTED|out of memory|bad_alloc|failed to allocate|cannot allocate memory",
    re.IGNORECASE,
)
"""What messages say; where a limit of the process is below the device's memory, that is all."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short, of the device or of the host."""
    return isinstance(error, MemoryError) or LACK.search(str(error)) is not None
