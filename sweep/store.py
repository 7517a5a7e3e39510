"""A folder of committed parquet parts: the only record of what is done.

DIR/
  manifest.json   what the results depend on; another manifest is refused
  grid.yaml       the grid that started the store; each later one lies beside it as grid-<hash>.yaml
  runs/           part-<hash>.parquet, one row a trial
  curves/         part-<hash>.parquet of the same name, one row a trial and recorded step

A part appears whole or not at all: it is written under a temporary name, synced, and linked to a name that is computed
from its trials. So a kill loses only what was not committed yet, and a commit that is made twice is made once.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.errors import StoreConflict, StoreError
from sweep.schema import CURVES, RUNS

_HOST = socket.gethostname()
_TEMPORARY = re.compile(r"_tmp-(?P<host>.+)-(?P<pid>\d{1,9})-[0-9a-f]{8}")

_FULL = "Free some space and run the same command again; what is committed stays"
_CLOSED = "Make the folder writable or use another --out; what is committed stays"
_CURES = {errno.EACCES: _CLOSED, errno.EPERM: _CLOSED, errno.EROFS: _CLOSED}
_CURES |= {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL}
_OTHER = "Look at the disk and run the same command again; what is committed stays"


class Store:
    """The results of one sweep in `folder`. Making the object touches no file."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def open(self, manifest: Mapping[str, Any], grid_text: str, shard: str = "0/1") -> None:
        """Make the folder or check that it belongs to this sweep, and clear away what a killed `shard` left.

        `manifest` holds plain JSON values; what stands under its key `info` is recorded but never compared.
        Raises StoreConflict where the folder holds another manifest, StoreError where it cannot be read or written.
        """
        with _writing(self.folder):
            for folder in self._folders():
                folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(manifest, sort_keys=True, indent=2, allow_nan=False)
            _put(self.folder / "manifest.json", text.encode())
            self._compare(manifest)
            self._keep_grid(grid_text.encode())
            self._clear_temporaries()
            self._clear_orphans(shard)

    def done(self) -> np.ndarray:
        """Ids of all committed trials, int64, ascending. Raises StoreError with the name of a broken part."""
        parts = [_trials(part) for part in self._parts(RUNS)]
        return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))

    def lanes(self) -> dict[str, int]:
        """Lane count of each bucket that has committed rows; the smallest where it shrank on the way."""
        found: dict[str, int] = {}
        for part in self._parts(RUNS):
            with _reading(part):
                buckets = json.loads(_metadata(part).get("buckets", "{}"))
            for bucket, lanes in buckets.items():
                found[bucket] = min(lanes, found.get(bucket, lanes))
        return found

    def commit(self, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> bool:
        """Publish the rows of some trials as one part of each table; False where that part was there already.

        Raises StoreError where the disk is full or cannot be written.
        """
        ids = np.sort(runs["trial"].to_numpy())
        name = f"part-{hashlib.sha256(ids.astype('<i8').tobytes()).hexdigest()[:16]}.parquet"
        with _writing(self.folder):
            # Curves first: a part of runs says that its trials are done. And again at the end: for a moment the curves
            # stood alone, and another process that was given the same shard may have cleared them away as an orphan.
            self._put_table(CURVES, name, curves, metadata)
            new = self._put_table(RUNS, name, runs, metadata)
            self._put_table(CURVES, name, curves, metadata)
        return new

    def _put_table(self, kind: str, name: str, table: pa.Table | None, metadata: Mapping[str, str]) -> bool:
        path = self.folder / kind / name
        if table is None or not table.num_rows or path.exists():
            return False
        keys = [(key, "ascending") for key in ("trial", "step") if key in table.column_names]
        ordered = table.combine_chunks().sort_by(keys).replace_schema_metadata(dict(metadata))
        sink = pa.BufferOutputStream()
        pq.write_table(ordered, sink, compression="zstd", write_page_checksum=True)
        return _put(path, sink.getvalue())

    def _folders(self) -> tuple[Path, Path, Path]:
        return self.folder, self.folder / RUNS, self.folder / CURVES

    def _parts(self, kind: str) -> list[Path]:
        return sorted((self.folder / kind).glob("part-*.parquet"))

    def _compare(self, manifest: Mapping[str, Any]) -> None:
        path = self.folder / "manifest.json"
        with _reading(path, "Use another --out, or put the manifest of this sweep back"):
            old = _flat(json.loads(path.read_bytes()))
        new = _flat(json.loads(json.dumps(manifest)))
        changed = [key for key in sorted(old | new) if key not in old or key not in new or old[key] != new[key]]
        if changed:
            what = ", ".join(f"{key} {_shown(old, key)} -> {_shown(new, key)}" for key in changed)
            cure = "use another --out, or go back to the old grid or version"
            raise StoreConflict(f"{self.folder} holds the results of another sweep ({what}): {cure}.")

    def _keep_grid(self, text: bytes) -> None:
        first = self.folder / "grid.yaml"
        if not _put(first, text) and first.read_bytes() != text:
            _put(self.folder / f"grid-{hashlib.sha256(text).hexdigest()[:8]}.yaml", text)

    def _clear_temporaries(self) -> None:
        for folder in self._folders():
            for path in folder.glob("_tmp-*"):
                if _abandoned(path.name):
                    path.unlink(missing_ok=True)

    def _clear_orphans(self, shard: str) -> None:
        """Remove curves that a kill left without runs: their trials run again, and would have their curves twice."""
        for path in self._parts(CURVES):
            # Workers start together, and another one may be faster.
            with _reading(path), suppress(FileNotFoundError):
                if not (self.folder / RUNS / path.name).exists() and _reruns(shard, _metadata(path).get("shard")):
                    path.unlink()


def _put(path: Path, content: bytes | pa.Buffer) -> bool:
    """Publish a whole file under a name that is free; False, and nothing changed, where it is taken."""
    if path.exists():
        return False
    temporary = path.with_name(f"_tmp-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with _descriptor(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            left = memoryview(content)
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
        # Of all ways to give a file its name, only a link both refuses a taken name and shows the whole file at once.
        with suppress(FileExistsError):
            os.link(temporary, path)
            return True
        return False
    finally:
        temporary.unlink(missing_ok=True)
        with _descriptor(path.parent, os.O_RDONLY) as folder:
            os.fsync(folder)


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o666)
    try:
        yield file
    finally:
        os.close(file)


def _abandoned(name: str) -> bool:
    """True for a temporary name of this program whose process on this host is gone."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and match["host"] == _HOST and not _alive(int(match["pid"]))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reruns(shard: str, other: str | None) -> bool:
    """True where trials of `other` come up again while `shard` runs: the same share, or a cut into another count."""
    return other is not None and (shard == other or shard.split("/")[-1] != other.split("/")[-1])


def _trials(part: Path) -> np.ndarray:
    with _reading(part), pq.ParquetFile(part, page_checksum_verification=True) as file:
        return file.read(columns=["trial"])["trial"].to_numpy()


def _metadata(part: Path) -> dict[str, str]:
    found = pq.read_metadata(part).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted path, without `info` at the top."""
    if not isinstance(value, Mapping) or (path and not value):
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, child in value.items():
        if path or key != "info":
            leaves |= _flat(child, f"{path}.{key}" if path else key)
    return leaves


def _shown(leaves: Mapping[str, Any], path: str) -> str:
    return json.dumps(leaves[path]) if path in leaves else "nothing"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0, _OTHER)
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}. {cure}.") from error


@contextmanager
def _reading(path: Path, cure: str = "") -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        cure = cure or "Move it aside with `python -m sweep repair DIR`; only its rows run again"
        raise StoreError(f"{path} cannot be read: {error}. {cure}.") from error
