"""Long tables of cases, of which CI runs some and `pytest -m slow` the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def every(stride: int, names: Iterable[str]) -> list[Any]:
    """Parameters of a test: every `stride`-th name runs in CI, the others are slow."""
    return [
        name if index % stride == 0 else pytest.param(name, marks=pytest.mark.slow)
        for index, name in enumerate(names)
    ]
