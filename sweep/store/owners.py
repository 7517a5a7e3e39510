"""Identity of a process across hosts and reused process ids, and whether it is still alive."""

from __future__ import annotations

import functools
import os
import re
import socket
from pathlib import Path

_OWNER = re.compile(r"(?P<host>.+)-(?P<process>\d{1,9})\.(?P<started>\d{1,20})")


def owner() -> str:
    """The name of this process, unique among the processes of all hosts that share a folder."""
    return f"{_host()}-{os.getpid()}.{_start_ticks(os.getpid())}"


def is_owner(text: str) -> bool:
    """Whether a text is the name of a process, as returned by `owner`."""
    return _OWNER.fullmatch(text) is not None


def owner_is_gone(owner: str) -> bool | None:
    """Whether the process has ended; None if it is of another host, so that nobody knows."""
    match = _OWNER.fullmatch(owner)
    if match is None or match["host"] != _host():
        return None
    process = int(match["process"])
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # a process of another user, hence alive
        return False
    return _start_ticks(process) != int(match["started"])


@functools.cache
def _host() -> str:
    """The host, and the container if that has its own process ids."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()}.{namespace}"


def _start_ticks(process: int) -> int:
    """Start time of a process in clock ticks, because process ids are reused.

    0 if the system does not report it, -1 for a process that has ended but was not reaped yet.
    """
    try:
        # The command name, in parentheses, may itself contain spaces and parentheses.
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return -1 if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0
