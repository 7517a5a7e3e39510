"""Identity of a process across machines and reused process ids, and whether it is still alive."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

_OWNER = re.compile(
    r"(?P<host>[\w.-]{1,255})-(?P<process>[0-9]{1,9})\.(?P<started>[0-9]{1,20})", re.ASCII
)
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def owner() -> str:
    """The name of this process, unique among the processes of all machines that share a folder.

    A valid part of a file name, of at most 90 characters.
    """
    started = 0  # where there is no /proc
    with suppress(OSError, psutil.Error):
        started = _started(os.getpid())
    return f"{_host()}-{os.getpid()}.{started}"


def is_owner(text: str) -> bool:
    """Whether a text is the name of a process, as returned by `owner` in this or version 0.2."""
    return _OWNER.fullmatch(text) is not None


def owner_is_gone(owner: str) -> bool | None:
    """Whether the process has ended; None if nobody knows, as it is of another machine."""
    match = _OWNER.fullmatch(owner)
    if match is None or match["host"] != _host():
        return None
    process = int(match["process"])
    try:
        is_same = _started(process) == int(match["started"])
        if psutil.Process(process).status() in _ENDED:
            return True
    except psutil.NoSuchProcess:
        return None if _exists(process) else True  # hidden from this user
    except (psutil.AccessDenied, OSError):
        return None
    if is_same:
        return False
    # Only Linux reports a start that no step of the clock changes.
    return True if psutil.LINUX else None


@functools.cache
def _host() -> str:
    """This machine since its last start, and the container if that has its own process ids.

    Its hostname is there for readers: two machines may share one, and it may hold any character.
    """
    hostname = socket.gethostname()
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    identity = f"{hostname} {_boot_id()} {namespace}".encode(errors="surrogateescape")
    readable = re.sub(r"[^A-Za-z0-9.-]", "-", hostname)[:40]
    return f"{readable}.{hashlib.blake2b(identity, digest_size=8).hexdigest()}"


def _boot_id() -> str:
    """What tells this start of this machine from those of all others."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    macos = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(macos, capture_output=True, text=True, check=True).stdout.strip()
    # The address of a network card; a random number, so that nobody is known, if there is none.
    return f"{uuid.getnode():012x}"


def _started(process: int) -> int:
    """Start of a process in hundredths of a second, because process ids are reused.

    Since the start of the machine: steps of the clock move both moments by the same amount.
    """
    while True:
        booted = psutil.boot_time()
        created = psutil.Process(process).create_time()
        if psutil.boot_time() == booted:  # else a step came in between
            return round(100 * (created - booted))


def _exists(process: int) -> bool:
    """Whether a process exists, as far as signals tell, which reach also what /proc hides."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
