"""The manifest as a file: JSON with a digest of itself, written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.schema import MANIFEST_FILE
from sweep.store.directory import Directory, read_file
from sweep.store.io_errors import reading_errors
from sweep.store.manifest_diff import INFO, to_dict

GRID_DIGEST = "grid"
"""Key in `info`: the SHA-256 of the text of the first grid. Version 0.2 wrote no digests."""
PARTS = "parts"
"""Key in `info`: how many parts the store had at its last rewrite, however few they are joined to."""
_DIGEST = "digest"
_CURE = "Put the manifest of this sweep back, or use another --out"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a store, without its digest. Raises StoreError if it is broken or missing."""
    path = folder / MANIFEST_FILE
    with reading_errors(path, _CURE):
        manifest = json.loads(read_file(path))
        if not isinstance(manifest, dict):
            raise ValueError("it is not the manifest of a store")
        info = to_dict(manifest.get(INFO))
        expected = info.pop(_DIGEST, None)
        manifest = {**manifest, INFO: info}
        if (expected or GRID_DIGEST in info) and expected != _digest(manifest):
            raise ValueError("its content does not match its digest")
        return manifest


def create_manifest(folder: Directory, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a new store; an existing one stays. Raises OSError."""
    folder.write_once(MANIFEST_FILE, _encode(manifest))


def replace_manifest(folder: Directory, manifest: Mapping[str, Any]) -> None:
    """Write a manifest in place of the present one. Raises OSError."""
    folder.replace(MANIFEST_FILE, _encode(manifest))


def record_parts(folder: Directory, count: int) -> None:
    """Note in the manifest that the store has parts 0 to `count` - 1, of whatever size.

    It needs exclusive access. Raises OSError, and StoreError if the manifest is broken.
    """
    manifest = read_manifest(folder.path)
    info = to_dict(manifest.get(INFO))
    replace_manifest(folder, {**manifest, INFO: {**info, PARTS: count}})


def _encode(manifest: Mapping[str, Any]) -> bytes:
    info = {**to_dict(manifest.get(INFO)), _DIGEST: _digest(manifest)}
    return json.dumps({**manifest, INFO: info}, indent=2, allow_nan=False).encode()


def _digest(manifest: Mapping[str, Any]) -> str:
    """A digest of the values, whatever the order of their keys."""
    # A manifest without information has the same values as one with an empty entry for it.
    values = {**manifest, INFO: to_dict(manifest.get(INFO))}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
