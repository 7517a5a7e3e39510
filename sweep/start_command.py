"""The command line that starts the code of this very process once more."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import sweep

_START = """
import json, sys
package, path = json.loads(sys.argv.pop(1))
sys.path[:] = [package, *path]
import sweep
del sys.path[0]
from sweep.run import app
app()
"""
"""Modules are looked up as in the parent, and this package is the one of the parent in any case.

A folder `sweep` in the working directory is another one.
"""


def start_command(*arguments: str) -> list[str]:
    """The command line of `sweep.run` with these arguments, run by the code of this process.

    The working directory is on its search path only where it is on that of this process.
    """
    package = str(Path(sweep.__file__).absolute().parents[1])
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    return [sys.executable, "-P", "-c", _START, json.dumps([package, path]), *arguments]
