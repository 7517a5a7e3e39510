"""One sweep's folder: whose it is, what is done, and how more is committed."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sweep.errors import StoreConflict
from sweep.schema import CURVES, RUNS
from sweep.store.atomic_files import MANIFEST, is_abandoned, reading_errors, replace_file, write_once, writing_errors
from sweep.store.claims import Claims
from sweep.store.commit_log import CommitLog, publish_curves
from sweep.store.compaction import finish_swap, rewrite_parts

INFO = "info"
"""What stands under this key of a manifest is recorded and never compared."""
DESCRIPTIONS = ("meanings", "definitions")
"""Entries of the recorded information that grow with the columns."""
GROWING = ("columns", "defaults")
"""Keys of a manifest that may gain entries: an extended grid may have other parts, and those other columns."""
_GRID = re.compile(r"grid(-[0-9a-f]{8})?\.yaml")


class Store:
    """The results of one sweep in `folder`. Making the object touches no file."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.log = CommitLog(self.folder)
        self.manifest: dict[str, Any] = {}

    def open(self, manifest: Mapping[str, Any], grid_text: str, claims: Claims | None = None) -> None:
        """Make the folder or check that it belongs to this sweep, and clear away what killed processes left.

        `manifest` holds plain JSON values; what stands under its key `info` is recorded but never compared. Entries of
        its `columns` and `defaults` may be new: all parts then get the new columns, for which `claims` must be alone.
        Raises StoreConflict where the folder holds another manifest, StoreError where it cannot be read or written.
        """
        with writing_errors(self.folder):
            finish_swap(self.folder)
            for folder in (self.folder, self.folder / RUNS, self.folder / CURVES):
                folder.mkdir(parents=True, exist_ok=True)
            self._clear()
            made = {**manifest, INFO: {**_mapping(manifest.get(INFO)), "store": uuid.uuid4().hex}}
            write_once(self.folder / MANIFEST, _json(made))
            self._agree(manifest, claims)
            self._keep_grid(grid_text.encode())

    def done(self) -> np.ndarray:
        """Ids of all committed trials, int64, ascending. Raises StoreError with the name of a broken part."""
        self.log.read()
        return self.log.ids.all()

    def has(self, trials: np.ndarray) -> np.ndarray:
        """Which of some trials are committed, bool. Raises StoreError with the name of a broken part."""
        self.log.read()
        return self.log.ids.has(trials)

    def blocks(self) -> dict[str, int]:
        """Trials under one vmap for each bucket with committed rows; the smallest where it shrank on the way."""
        self.log.read()
        return self.log.blocks

    def commit(self, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> int:
        """Publish the rows of those trials that are not in the store yet, and return how many those are.

        Raises StoreError where the disk is full or cannot be written.
        """
        said = {**metadata, "store": str(_mapping(self.manifest.get(INFO)).get("store", ""))}
        with writing_errors(self.folder):
            return self.log.append(runs, curves, said)

    def read_manifest(self) -> dict[str, Any]:
        """The manifest of the folder. Raises StoreError where it is broken or missing."""
        path = self.folder / MANIFEST
        with reading_errors(path, "Use another --out, or put the manifest of this sweep back"):
            return dict(json.loads(path.read_bytes()))

    def grids(self) -> list[Path]:
        """The grids that the folder keeps: that which started it, and each later one."""
        return sorted(path for path in self.folder.glob("grid*.yaml") if _GRID.fullmatch(path.name))

    def conflict(self, manifest: Mapping[str, Any]) -> str:
        """Why the folder would refuse a manifest, with all that differs; "" where it would not.

        Raises StoreError where the manifest of the folder is broken or missing.
        """
        old, new = _flat(self.read_manifest()), _flat(json.loads(json.dumps(manifest)))

        def may_differ(key: str) -> bool:
            return (key not in old or key not in new) and key.split(".")[0] in GROWING

        keys = (key for key in sorted(old | new) if not may_differ(key))
        changed = [key for key in keys if key not in old or key not in new or old[key] != new[key]]
        what = ", ".join(f"{key} {_shown(old, key)} -> {_shown(new, key)}" for key in changed)
        cure = "use another --out, or go back to the old grid or version"
        return f"{self.folder} holds the results of another sweep ({what}): {cure}." if what else ""

    def _agree(self, manifest: Mapping[str, Any], claims: Claims | None) -> None:
        """Compare with the manifest of the folder, which grows where it may."""
        old, new = self.read_manifest(), json.loads(json.dumps(manifest))
        if conflict := self.conflict(new):
            raise StoreConflict(conflict)
        grown = {
            key: {**_mapping(new.get(key)), **_mapping(old.get(key))} for key in GROWING if key in old or key in new
        }
        self.manifest = {**old, **grown, INFO: _described(_mapping(old.get(INFO)), _mapping(new.get(INFO)))}
        if self.manifest == old:
            return
        if {**self.manifest, INFO: None} == {**old, INFO: None}:
            replace_file(self.folder / MANIFEST, _json(self.manifest))
            return
        with ExitStack() as stack:
            own = claims or stack.enter_context(Claims(self.folder))
            stack.enter_context(own.alone("take in a grid with other columns"))
            publish_curves(self.folder)
            rewrite_parts(self.folder, grown.get("columns", {}))
            replace_file(self.folder / MANIFEST, _json(self.manifest))
        self.log = CommitLog(self.folder)

    def _keep_grid(self, text: bytes) -> None:
        first = self.folder / "grid.yaml"
        if not write_once(first, text) and first.read_bytes() != text:
            write_once(self.folder / f"grid-{hashlib.sha256(text).hexdigest()[:8]}.yaml", text)

    def _clear(self) -> None:
        """Remove temporary files of processes that were gone already when `publish_curves` looked at the runs."""
        folders = (self.folder, self.folder / RUNS, self.folder / CURVES)
        left = [path for folder in folders for path in folder.glob("_tmp-*") if is_abandoned(path)]
        publish_curves(self.folder)
        for path in left:
            with suppress(FileNotFoundError):
                path.unlink()


def _json(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=2, allow_nan=False).encode()


def _described(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded information with descriptions that it lacks: a later grid may have other columns and kinds."""
    added = {name: {**_mapping(new[name]), **_mapping(old.get(name))} for name in DESCRIPTIONS if name in new}
    return {**old, **added}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted path, without `info` at the top."""
    if not isinstance(value, Mapping) or (path and not value):
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, child in value.items():
        if path or key != INFO:
            leaves |= _flat(child, f"{path}.{key}" if path else key)
    return leaves


def _shown(leaves: Mapping[str, Any], path: str) -> str:
    return json.dumps(leaves[path]) if path in leaves else "nothing"
