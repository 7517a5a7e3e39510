"""The folder of one sweep: which sweep it belongs to, what is done, and how more is committed."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sweep.errors import StoreConflict, StoreError
from sweep.schema import CURVES, GRID_FILE, MANIFEST_FILE, RUNS
from sweep.store.atomic_files import (
    is_abandoned,
    reading_errors,
    replace_file,
    write_once,
    writing_errors,
)
from sweep.store.claims import Claims
from sweep.store.commit_log import CommitLog, publish_curves
from sweep.store.compaction import finish_swap, rewrite_parts
from sweep.store.layout import TEMPORARY, grid_files, later_grid
from sweep.store.manifest_diff import (
    INFO,
    describe_changes,
    merge_descriptions,
    merge_growing,
    to_dict,
)


class Store:
    """The results of one sweep in `folder`. Creating the object touches no file."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.log = CommitLog(self.folder)
        self.manifest: dict[str, Any] = {}

    def open(
        self, manifest: Mapping[str, Any], grid_text: str, claims: Claims | None = None
    ) -> None:
        """Create the folder or check that it belongs to this sweep, and clean up after kills.

        Args:
            manifest: Plain JSON values. Values under its key `info` are recorded but never
                compared. Its `columns` and `defaults` may gain entries, and all parts then get the
                new columns.
            grid_text: Text of the grid file, of which the folder keeps a copy.
            claims: Claims of this process, if it has any; new columns need exclusive access.

        Raises:
            StoreConflict: The folder has another manifest.
            StoreError: The folder cannot be read or written.
        """
        with writing_errors(self.folder):
            finish_swap(self.folder)
            for folder in (self.folder, self.folder / RUNS, self.folder / CURVES):
                folder.mkdir(parents=True, exist_ok=True)
            self._clean_up()
            info = {**to_dict(manifest.get(INFO)), "store": uuid.uuid4().hex}
            write_once(self.folder / MANIFEST_FILE, _to_json({**manifest, INFO: info}))
            self._check_manifest(manifest, claims)
            self._copy_grid(grid_text.encode())

    def refresh(self) -> bool:
        """Read the parts that any process has committed since; True if there were any."""
        return self.log.read()

    def done(self) -> np.ndarray:
        """Ids of all committed trials, int64, ascending. Raises StoreError naming a broken part."""
        self.log.read()
        return self.log.ids.all()

    def has(self, trials: np.ndarray) -> np.ndarray:
        """For each trial id, whether it is committed. Raises StoreError naming a broken part."""
        self.log.read()
        return self.log.ids.has(trials)

    def blocks(self) -> dict[str, int]:
        """Trials under one vmap, the smallest ever used, for each bucket with committed rows."""
        self.log.read()
        return self.log.blocks

    def commit(self, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> int:
        """Publish the rows of those trials that are not in the store yet.

        Args:
            runs: One row a trial.
            curves: Recorded steps of the same trials, if any.
            metadata: Stored in the part.

        Returns:
            The number of trials committed.

        Raises:
            StoreError: The disk is full or cannot be written.
        """
        store_id = str(to_dict(self.manifest.get(INFO)).get("store", ""))
        with writing_errors(self.folder):
            return self.log.append(runs, curves, {**metadata, "store": store_id})

    def read_manifest(self) -> dict[str, Any]:
        """The manifest of the folder. Raises StoreError if it is broken or missing."""
        path = self.folder / MANIFEST_FILE
        with reading_errors(path, "Use another --out, or put the manifest of this sweep back"):
            manifest = json.loads(path.read_bytes())
            if not isinstance(manifest, dict):
                raise ValueError("it is not a JSON object")
            return manifest

    def grids(self) -> list[Path]:
        """Grid files in the folder: the one that created it, and each later one."""
        return grid_files(self.folder)

    def conflict(self, manifest: Mapping[str, Any]) -> str:
        """Why the folder would refuse a manifest, with all differences; "" if it would not.

        Raises StoreError if the manifest of the folder is broken or missing.
        """
        changes = describe_changes(self.read_manifest(), manifest)
        if not changes:
            return ""
        cure = "use another --out, or go back to the old grid or version"
        return f"{self.folder} holds the results of another sweep ({changes}): {cure}."

    def _check_manifest(self, manifest: Mapping[str, Any], claims: Claims | None) -> None:
        """Compare with the manifest of the folder, and extend that where it may grow."""
        old, new = self.read_manifest(), json.loads(json.dumps(manifest))
        if conflict := self.conflict(new):
            raise StoreConflict(conflict)
        growing = merge_growing(old, new)
        self.manifest = {**old, **growing, INFO: merge_descriptions(old, new)}
        if self.manifest == old:
            return
        if {**self.manifest, INFO: None} == {**old, INFO: None}:
            self._add_descriptions(new, claims)
            return
        with ExitStack() as stack:
            claims = claims or stack.enter_context(Claims(self.folder))
            stack.enter_context(claims.exclusive("add the columns of another grid"))
            publish_curves(self.folder)
            rewrite_parts(self.folder, growing.get("columns", {}))
            # Last: after a kill the old manifest makes the next command rewrite once more.
            replace_file(self.folder / MANIFEST_FILE, _to_json(self.manifest))
        self.log = CommitLog(self.folder)

    def _add_descriptions(self, new: Mapping[str, Any], claims: Claims | None) -> None:
        """Record descriptions that the manifest lacks, unless another process is at work.

        They are for readers only, so no run has to wait for them. The manifest is read again once
        access is exclusive: another process may have added columns in between.
        """
        with suppress(StoreError), ExitStack() as stack:
            claims = claims or stack.enter_context(Claims(self.folder))
            stack.enter_context(claims.exclusive("describe the columns"))
            current = self.read_manifest()
            described = {**current, INFO: merge_descriptions(current, new)}
            replace_file(self.folder / MANIFEST_FILE, _to_json(described))

    def _copy_grid(self, text: bytes) -> None:
        first = self.folder / GRID_FILE
        if not write_once(first, text) and first.read_bytes() != text:
            write_once(later_grid(self.folder, hashlib.sha256(text).hexdigest()), text)

    def _clean_up(self) -> None:
        """Remove temporary files of dead processes, once `publish_curves` has renamed the rest.

        They are listed before it looks at the runs: a process that dies in between may have
        committed runs whose curves are still hidden.
        """
        folders = (self.folder, self.folder / RUNS, self.folder / CURVES)
        candidates = [path for folder in folders for path in folder.glob(f"{TEMPORARY}*")]
        abandoned = [path for path in candidates if is_abandoned(path)]
        publish_curves(self.folder)
        for path in abandoned:
            with suppress(FileNotFoundError):
                path.unlink()


def _to_json(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=2, allow_nan=False).encode()
