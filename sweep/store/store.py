"""The folder of one sweep: which sweep it belongs to, what is done, and how more is committed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sweep.errors import StoreConflict, StoreError
from sweep.schema import MANIFEST_FILE
from sweep.store.claims import Claims
from sweep.store.commit_log import CommitLog, publish_curves
from sweep.store.compaction import rewrite_parts
from sweep.store.directory import Directory, is_abandoned
from sweep.store.io_errors import writing_errors
from sweep.store.kept_grids import grid_digest, keep_grid
from sweep.store.layout import TABLES, grid_files
from sweep.store.manifest_diff import (
    INFO,
    describe_changes,
    merge_descriptions,
    merge_growing,
    to_dict,
)
from sweep.store.manifest_file import GRID_DIGEST, create_manifest, read_manifest, replace_manifest
from sweep.store.parts import part_numbers
from sweep.store.swap import finish_swap, is_unfinished


class Store:
    """The results of one sweep in `folder`. Creating the object touches no file."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.log = CommitLog(self.folder)
        self.manifest: dict[str, Any] = {}
        self.grid_copy: Path | None = None
        """The copy of the grid that the store was opened with."""

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
            self.folder.mkdir(parents=True, exist_ok=True)
            folder = Directory(self.folder)
            if is_unfinished(folder):
                self._finish_swap(folder, claims)
            for kind in TABLES:
                folder.folder(kind, create=True)
            _clean_up(folder)
            text = grid_text.encode()
            _require_manifest_of_parts(folder)
            ids = {"store": uuid.uuid4().hex, GRID_DIGEST: grid_digest(text)}
            info = {**to_dict(manifest.get(INFO)), **ids}
            create_manifest(folder, {**manifest, INFO: info})
            self._check_manifest(folder, manifest, claims)
            self.log.store_id = self._store_id()
            self.grid_copy = keep_grid(folder, text, self.manifest)

    def _finish_swap(self, folder: Directory, claims: Claims | None) -> None:
        """Finish a rewrite, which may be another process's that is still at it."""
        with ExitStack() as stack:
            claims = claims or stack.enter_context(Claims(self.folder))
            stack.enter_context(claims.rewriting())
            finish_swap(folder, claims.require_exclusive)

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
        with writing_errors(self.folder):
            return self.log.append(runs, curves, {**metadata, "store": self._store_id()})

    def _store_id(self) -> str:
        """The id that the manifest gives to all parts, "" before the store was opened."""
        return str(to_dict(self.manifest.get(INFO)).get("store", ""))

    def read_manifest(self) -> dict[str, Any]:
        """The manifest of the folder. Raises StoreError if it is broken or missing."""
        return read_manifest(self.folder)

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

    def _check_manifest(
        self, folder: Directory, manifest: Mapping[str, Any], claims: Claims | None
    ) -> None:
        """Compare with the manifest of the folder, and extend that where it may grow."""
        new = json.loads(json.dumps(manifest))
        old = self._merge_manifest(new)
        if self.manifest == old:
            return
        if {**self.manifest, INFO: None} == {**old, INFO: None}:
            self._add_descriptions(folder, new, claims)
            return
        with ExitStack() as stack:
            claims = claims or stack.enter_context(Claims(self.folder))
            stack.enter_context(claims.exclusive("add the columns of another grid"))
            self._extend_manifest(folder, new, claims)
        self.log = CommitLog(self.folder)

    def _merge_manifest(self, new: Mapping[str, Any]) -> dict[str, Any]:
        """Set the manifest to that of the folder with what only the new one has; returns the former.

        Raises StoreConflict if they do not go together.
        """
        if conflict := self.conflict(new):
            raise StoreConflict(conflict)
        old = self.read_manifest()
        self.manifest = {**old, **merge_growing(old, new), INFO: merge_descriptions(old, new)}
        return old

    def _extend_manifest(self, folder: Directory, new: Mapping[str, Any], claims: Claims) -> None:
        """Rewrite the parts and then the manifest, to both of which access is exclusive."""
        # Another process may have extended the manifest before access was exclusive.
        if self._merge_manifest(new) == self.manifest:
            return
        publish_curves(folder)
        columns = to_dict(self.manifest.get("columns"))
        rewrite_parts(folder, columns, claims.require_exclusive)
        self._merge_manifest(new)  # the rewrite has noted the number of parts
        claims.require_exclusive()
        # Last: after a kill the old manifest makes the next command rewrite once more.
        replace_manifest(folder, self.manifest)

    def _add_descriptions(
        self, folder: Directory, new: Mapping[str, Any], claims: Claims | None
    ) -> None:
        """Record descriptions that the manifest lacks, unless another process is at work.

        They are for readers only, so no run has to wait for them. The manifest is read again once
        access is exclusive: another process may have added columns in between.
        """
        with suppress(StoreError), ExitStack() as stack:
            claims = claims or stack.enter_context(Claims(self.folder))
            stack.enter_context(claims.exclusive("describe the columns"))
            current = self.read_manifest()
            replace_manifest(folder, {**current, INFO: merge_descriptions(current, new)})


def _require_manifest_of_parts(folder: Directory) -> None:
    """Raise StoreError if a store with parts has lost its manifest: nobody knows their settings."""
    has_parts = any(part_numbers(folder.folder(kind)) for kind in TABLES)
    # The manifest is written before the first part: looked for last, it is there if ever it was.
    if has_parts and not folder.status(MANIFEST_FILE):
        raise StoreError(
            f"{folder.path / MANIFEST_FILE} is missing, though the store has parts. "
            "Put the manifest of this sweep back, from a backup, or use another --out."
        )


def _clean_up(folder: Directory) -> None:
    """Remove temporary files of dead processes, once `publish_curves` has renamed the rest.

    They are listed before it looks at the runs: a process that dies in between may have committed
    runs whose curves are still hidden.
    """
    folders = (folder, *(folder.folder(kind) for kind in TABLES))
    abandoned = [(each, name) for each in folders for name in each.names() if is_abandoned(name)]
    publish_curves(folder)
    for each, name in abandoned:
        if each.is_file(name):
            each.remove(name)
