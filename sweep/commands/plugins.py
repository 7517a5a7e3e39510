"""Plugins: modules that add parts of their own to the registries."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection

from sweep.errors import SweepError


def load_plugins(names: Collection[str]) -> None:
    """Import plugins by module name, also from the current folder.

    Raises SweepError if one cannot be imported.
    """
    if names and os.getcwd() not in sys.path:
        # Last, so that a file of the current folder never hides an installed module.
        sys.path.append(os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SweepError(
                f"The plugin {name} cannot be imported: {error}. "
                "Start the command in its folder, or put that on PYTHONPATH."
            ) from error
