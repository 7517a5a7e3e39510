"""Where modules are imported from: the working directory last, and for plugins alone.

A command is often started inside a folder of results, which may have come from someone else. A file
`typer.py` in there must not run. So this is imported before anything else, and imports nothing that
Python has not imported itself.
"""

import os
import sys


def leave_working_directory() -> None:
    """Take the working directory off the front of the path, where `python -m` puts it.

    It stays where the package itself lies in it, as in a checkout that is not installed.
    """
    here = _working_directory()
    package_home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    is_first = sys.path[:1] in ([here], [""])
    if is_first and not sys.flags.safe_path and package_home != here:
        del sys.path[0]


def add_working_directory() -> None:
    """Put the working directory at the end of the path, so that it never hides another module."""
    here = _working_directory()
    if here and here not in sys.path:
        sys.path.append(here)


def _working_directory() -> str:
    """The path of the working directory, "" if that was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
