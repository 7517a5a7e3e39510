"""Flags of XLA, which the variable XLA_FLAGS of the environment or a file that it names gives."""

from __future__ import annotations

import re
from pathlib import Path

from sweep.errors import SweepError

SINGLE_THREAD = "xla_cpu_multi_thread_eigen"
"""The flag of XLA that is pinned: workers share the cores already, and threads would compete."""

HARMLESS_FLAGS = ("xla_dump_", "xla_force_host_platform_device_count", "xla_gpu_cuda_data_dir")
"""Beginnings of names of flags of XLA that change no number."""


def pinned_xla_flags(text: str) -> str:
    """The value of XLA_FLAGS with what has to be set before the first array: a single thread.

    Args:
        text: the value that the user gave: flags, or the name of a file of flags.

    Raises:
        SweepError: the file cannot be read.
    """
    words = [word for word in _words(text) if _name_and_value(word)[0] != SINGLE_THREAD]
    return " ".join([*words, f"--{SINGLE_THREAD}=false"])


def foreign_flags(text: str) -> dict[str, str]:
    """The flags that may change results, by name.

    Args:
        text: as in `pinned_xla_flags`, which raises the same errors.
    """
    # Of several flags of one name the last counts, as it does for XLA.
    flags = dict(map(_name_and_value, _words(text)))
    return {
        name: value
        for name, value in flags.items()
        if name != SINGLE_THREAD and not name.startswith(HARMLESS_FLAGS)
    }


def _words(text: str) -> list[str]:
    """The flags of XLA_FLAGS as they are written, of the file that it names if it names one."""
    text = text.strip()
    if text and not text.startswith("-"):
        text = _file_text(text)
    # Words end at spaces, except within quotes.
    return re.findall(r"""(?:"[^"]*"|'[^']*'|\S)+""", text)


def _name_and_value(word: str) -> tuple[str, str]:
    name, equals, value = word.lstrip("-").partition("=")
    return name, value.strip("\"'") if equals else "true"


def _file_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SweepError(
            f"XLA_FLAGS names the file {path}, which cannot be read: {error}. "
            "Flags begin with --; unset XLA_FLAGS or correct it."
        ) from error
