"""The commands as a user starts them, and an exact comparison of the tables that they leave."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

import sweep

PACKAGES = Path(sweep.__file__).parents[1]
PLUGINS = Path(__file__).parent / "plugins"

CACHE = tempfile.mkdtemp(prefix="sweep-compiled-")
"""Programs that the processes of one test session share, so that each of them is compiled once."""
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: this very package, on the CPU."""
    path = os.pathsep.join(map(str, (PACKAGES, PLUGINS)))
    cache = {"JAX_COMPILATION_CACHE_DIR": CACHE, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return {
        **os.environ,
        "PYTHONPATH": path,
        "JAX_PLATFORMS": "cpu",
        "COLUMNS": "120",
        **cache,
        **more,
    }


def start(*arguments: object, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
    """Start `python ARGUMENTS` and let it run."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**env),
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str], seconds: float = 120) -> Answer:
    """Wait for a process to end."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s\n{out}\n{err}") from None
    return Answer(process.returncode, out, err)


def python(*arguments: object, cwd: Path | None = None, **env: str) -> Answer:
    """Run `python ARGUMENTS` to its end."""
    return finish(start(*arguments, cwd=cwd, **env))


def command(grid: Path, *options: object, cwd: Path | None = None, **env: str) -> Answer:
    """Run `python -m sweep.run GRID OPTIONS` to its end."""
    return python("-m", "sweep.run", grid, *options, cwd=cwd, **env)


def wait(ready: Callable[[], bool]) -> None:
    """Until something has happened."""
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until, "nothing happened for a minute"
        time.sleep(0.01)


def write_grid(folder: Path, text: str, name: str = "grid.yaml") -> Path:
    """A grid file in a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with the time of its last change and its content."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in found
    }


def rows(folder: Path, name: str = "runs") -> pa.Table:
    """A table of a store, sorted by trial and step."""
    table = ds.dataset(folder / name).to_table()
    return table.sort_by(
        [(key, "ascending") for key in ("trial", "step") if key in table.column_names]
    )


def table(folder: Path, name: str = "runs") -> pd.DataFrame:
    """The same as a pandas frame."""
    return rows(folder, name).to_pandas()


def of_trials(found: pa.Table, trials: pa.ChunkedArray) -> pa.Table:
    """The rows of a table that belong to some trials."""
    return found.filter(pc.is_in(found["trial"], trials))


def difference(one: pa.Table, other: pa.Table) -> str:
    """What tells two sorted tables apart, "" where they are equal to the bit; NaN equals NaN but not null."""
    if one.schema.names != other.schema.names or one.schema.types != other.schema.types:
        return f"schemas differ: {one.schema} and {other.schema}"
    if one.num_rows != other.num_rows:
        return f"{one.num_rows} rows and {other.num_rows} rows"
    for name in one.column_names:
        apart = np.flatnonzero(_codes(one[name]) != _codes(other[name]))
        if len(apart):
            row = int(apart[0])
            here, there = one[name][row].as_py(), other[name][row].as_py()
            trial = one["trial"][row].as_py()
            return f"{name} of trial {trial}: {here!r} and {there!r} ({len(apart)} of {one.num_rows} rows differ)"
    return ""


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """A number or text for each value, equal where the values are equal to the bit."""
    column = column.combine_chunks()
    if not pa.types.is_floating(column.type):
        return np.array([repr(value) for value in column.to_pylist()])
    values = np.asarray(column.fill_null(0.0).to_numpy(zero_copy_only=False), np.float64)
    codes = np.where(np.isnan(values), np.nan, values).view(np.int64)
    return np.where(column.is_null().to_numpy(zero_copy_only=False), -1, codes)


def stores_differ(one: Path, other: Path) -> str:
    """What tells the tables of two stores apart, "" where all of them are equal to the bit."""
    found = [(name, difference(rows(one, name), rows(other, name))) for name in ("runs", "curves")]
    return "; ".join(f"{name}: {what}" for name, what in found if what)


@contextmanager
def jax_as_it_was() -> Iterator[None]:
    """Undo what a sweep inside this process sets for the whole process."""
    cache = (
        "compilation_cache_dir",
        "persistent_cache_min_compile_time_secs",
        "persistent_cache_min_entry_size_bytes",
    )
    devices = ("cuda_visible_devices", "rocm_visible_devices")
    names = (
        "jax_enable_x64",
        "jax_default_matmul_precision",
        *(f"jax_{each}" for each in (*cache, *devices)),
    )
    before, flags = {name: jax.config.values[name] for name in names}, os.environ.get("XLA_FLAGS")
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        if flags is None:
            os.environ.pop("XLA_FLAGS", None)
        else:
            os.environ["XLA_FLAGS"] = flags
