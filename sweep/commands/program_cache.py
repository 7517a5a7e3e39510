"""Compiled programs on disk, each with a digest, so that a damaged one is compiled again.

jax hands the bytes of a file to XLA, and a program in which one bit is wrong may end the process.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import jax
from jax._src import compilation_cache as jax_cache
from jax._src.compilation_cache_interface import CacheInterface
from jax._src.lru_cache import LRUCache

DAMAGED = "/jax_sweep/damaged_program"
"""Event of jax.monitoring, with the path of the file as `file`."""


class CheckedCache(CacheInterface):
    """The files of jax's own cache with a digest in front.

    Their names differ from those of jax, since other programs may use the same folder.

    Args:
        folder: where the files are; it is made if need be.
        max_size: bytes that they may take together, beyond which the oldest are removed; -1 for
            any number.
    """

    def __init__(self, folder: str, max_size: int) -> None:
        self.files = LRUCache(folder, max_size=max_size)
        self._path = self.files._path

    def get(self, key: str) -> bytes | None:
        """A program; None where there is none, or a damaged one, which is removed."""
        name = _name(key)
        content = self.files.get(name)
        if content is None:
            return None
        value = content[hashlib.sha256().digest_size :]
        if content == _with_digest(key, value):
            return value
        path = self._file(name)
        # jax never replaces a file that is there.
        path.unlink(missing_ok=True)
        jax.monitoring.record_event(DAMAGED, file=str(path))
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep a program."""
        name, content = _name(key), _with_digest(key, value)
        if self.files.eviction_enabled:
            # It writes under a lock, and counts sizes.
            self.files.put(name, content)
            return
        # Under another name first: a reader, or the next process after a kill, sees whole files.
        temporary = self._file(f"{name}-{uuid.uuid4().hex}")
        try:
            temporary.write_bytes(content)
            temporary.replace(self._file(name))
        finally:
            temporary.unlink(missing_ok=True)

    def _file(self, name: str) -> Any:
        return self.files.path / f"{name}-cache"


def install() -> None:
    """Let jax keep programs in a `CheckedCache` from now on."""
    jax_cache.get_file_cache = _checked_file_cache
    jax_cache.reset_cache()


def uninstall() -> None:
    """Let jax keep programs in its own way again."""
    jax_cache.get_file_cache = _PLAIN
    jax_cache.reset_cache()


_PLAIN = jax_cache.get_file_cache


def _checked_file_cache(path: str) -> tuple[CacheInterface, str]:
    return CheckedCache(path, jax.config.values["jax_compilation_cache_max_size"]), path


def _name(key: str) -> str:
    return f"{key}-sha256"


def _with_digest(key: str, value: bytes) -> bytes:
    # With the key: a file under another name would be a whole program, but a wrong one.
    return hashlib.sha256(key.encode() + value).digest() + value
