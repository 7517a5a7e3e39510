"""Small stores for the tests: tables of a few trials, and processes that use them.

Run as a script, this file is a process that claims a slice and waits: `small_store.py FOLDER`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sweep import schema
from sweep.store import Claims, Store
from tests import ROOT

RUNS = schema.runs({"n": int, "lr": float, "schedule": str, "bias": bool})
CURVES = schema.curves()
MANIFEST = {"plan": {"lanes": 8}, "dtype": "float32", "info": {"host": "here"}}
OURS = {"shard": "0/1"}
STEPS = 3


def rows(trials: tuple[int, ...]) -> pa.Table:
    columns = {"trial": trials, "n": trials, "lr": [trial / 7 for trial in trials]}
    nulls = {each.name: pa.nulls(len(trials), each.type) for each in RUNS}
    return pa.table({**nulls, **columns}, schema=RUNS)


def points(trials: tuple[int, ...]) -> pa.Table:
    columns = {
        "trial": np.repeat(trials, STEPS),
        "step": np.tile(np.arange(STEPS)[::-1], len(trials)),
    }
    nulls = {each.name: pa.nulls(len(trials) * STEPS, each.type) for each in CURVES}
    return pa.table({**nulls, **columns}, schema=CURVES)


def opened(folder: Path, kind: type[Store] = Store) -> Store:
    store = kind(folder)
    store.open(MANIFEST, "name: test\n")
    return store


def names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a store as if it had been written so, without digests."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for key in ("digest", "grid"):
        manifest["info"].pop(key, None)
    change(manifest)
    path.write_text(json.dumps(manifest))


def without_digest(table: pa.Table) -> pa.Table:
    """A table of a part as if version 0.2 had written it, which may be changed."""
    metadata = table.schema.metadata or {}
    kept = {key: text for key, text in metadata.items() if key != b"digest"}
    return table.replace_schema_metadata(kept)


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def start_sleeper(folder: Path) -> subprocess.Popen[str]:
    """A process that has claimed a slice and waits to be killed."""
    command = [sys.executable, __file__, str(folder)]
    sleeper = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert sleeper.stdout is not None and sleeper.stdout.readline() == "ready\n"
    return sleeper


def sleep(folder: Path) -> None:
    """Claim a slice and wait to be killed."""
    with Claims(folder) as claims:
        assert claims.take("slice")
        print("ready", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    sleep(Path(sys.argv[1]))
