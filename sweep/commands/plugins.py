"""Plugins: modules that add parts of their own to the registries."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from sweep.errors import SweepError


def load_plugins(names: Iterable[str]) -> None:
    """Import plugins by module name. Raises SweepError if one cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SweepError(
                f"The plugin {name} cannot be imported: {error}. Put its folder on PYTHONPATH."
            ) from error
