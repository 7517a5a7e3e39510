"""From folders to tidy tables."""

from __future__ import annotations

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.tables.axes import swept
from analysis.tables.columns import read_descriptions
from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS

Folder = Path | str


def load(*folders: Folder) -> pd.DataFrame:
    """All runs of one or several stores, one row a trial, ascending by trial; a trial in two stores counts once.

    `attrs` of the frame say `trials` (how many the grids have, None if unknown), `complete` (True, False, or None if
    unknown) and `folder`. Raises StoreError where a folder is missing, has no runs, or holds a broken part.
    """
    tables = [_read(Path(folder), RUNS) for folder in _several(folders)]
    expected = [expected_trials(folder) for folder in folders]
    runs = _by_trial(tables).to_pandas()
    for folder in folders:
        read_descriptions(read_manifest(folder))
    runs.attrs = {
        "folder": ", ".join(map(str, folders)),
        "trials": None if None in expected else sum(each for each in expected if each is not None),
        "complete": _complete([table.num_rows for table in tables], expected),
    }
    return runs


def load_curves(*folders: Folder, trials: Collection[int] | None = None) -> pd.DataFrame:
    """Observables over steps, one row a trial and recorded step, with what was swept joined from the runs.

    `trials` limits what is read. Curves of trials without a row in the runs, which a crash may leave, are left out.
    Raises StoreError as `load` does, and where the sweep recorded no curves.
    """
    runs = load(*folders)
    named = runs[["trial", "problem", "optimizer", "status", "seed", *swept(runs)]]
    tables = [_read(Path(folder), CURVES, trials) for folder in folders]
    # A crash between the two commits of a part may also leave the curves of a trial twice.
    curves = _frame(tables).drop_duplicates(["trial", "step"])
    joined = named.merge(curves, on="trial").sort_values(["trial", "step"], ignore_index=True)
    joined.attrs = dict(runs.attrs)
    return joined


def read_manifest(folder: Folder) -> dict[str, Any]:
    """What the store's manifest.json says; nothing where there is none. Raises StoreError where it is broken."""
    path = Path(folder) / "manifest.json"
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read: {error}. Start the sweep again, or put the file back."
        ) from error


def expected_trials(folder: Folder) -> int | None:
    """How many trials the grid has that was started last, None where neither manifest nor parts say.

    An extended grid has more of them than the manifest of its first start; every part names the count it was made
    under.
    """
    info = read_manifest(folder).get("info")
    counts = [info.get("trials") if isinstance(info, dict) else None]
    for path in part_files(folder, RUNS):
        said = (pq.read_schema(path).metadata or {}).get(b"trials", b"")
        counts.append(int(said) if said.isdigit() else None)
    return max((count for count in counts if isinstance(count, int)), default=None)


def part_files(folder: Folder, table: str) -> list[Path]:
    """The committed parquet parts of one table of a store, by name."""
    found = (Path(folder) / table).glob("*.parquet")
    return sorted(path for path in found if not path.name.startswith(("_", ".")))


def _several(folders: tuple[Folder, ...]) -> tuple[Folder, ...]:
    if not folders:
        raise StoreError(
            "No folder was named. Give the folder of a sweep, such as results/quickstart."
        )
    return folders


def _read(folder: Path, name: str, trials: Collection[int] | None = None) -> pa.Table:
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is no folder. Run `python -m sweep.run GRID --out {folder}` first."
        )
    found = part_files(folder, name)
    if not found:
        cure = "Let the sweep run on until it commits its first part"
        cure = cure if name == RUNS else f"{cure}, or give its grid `record: {{points: 32}}`"
        raise StoreError(f"{folder} holds no {name}. {cure}.")
    return pa.concat_tables(
        [_read_part(path, trials) for path in found], promote_options="permissive"
    )


def _read_part(path: Path, trials: Collection[int] | None) -> pa.Table:
    """One part, its words as dictionaries: a million rows sort twice as fast so."""
    try:
        words = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type)]
        with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=words) as file:
            table = file.read()
        return table if trials is None else table.filter(pc.field("trial").isin(list(trials)))
    except FileNotFoundError as error:
        raise StoreError(
            f"{path} vanished while it was read. Run the same command again."
        ) from error
    except (OSError, ValueError) as error:
        cure = f"Move it aside with `python -m sweep repair {path.parent.parent}`; only its rows run again"
        raise StoreError(f"{path} cannot be read: {error}. {cure}.") from error


def _by_trial(tables: list[pa.Table]) -> pa.Table:
    """One row a trial, ascending, the first of several.

    In Arrow, which sorts a million rows sooner than pandas; a column at a time, so that none is twice in memory for
    long.
    """
    rows = pa.concat_tables(tables, promote_options="permissive")
    trial = rows["trial"].to_numpy()
    order = np.argsort(trial, kind="stable")
    first = np.ones(len(order), bool)
    first[1:] = trial[order[1:]] != trial[order[:-1]]
    chosen = pa.array(order[first])

    def sorted_column(column: pa.ChunkedArray) -> pa.Array:
        found = column.combine_chunks().take(chosen)
        return found.dictionary_decode() if isinstance(found, pa.DictionaryArray) else found

    with ThreadPoolExecutor() as pool:
        return pa.table(list(pool.map(sorted_column, rows.columns)), names=rows.column_names)


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    return pa.concat_tables(tables, promote_options="permissive").to_pandas()


def _complete(rows: list[int], expected: list[int | None]) -> bool | None:
    """More rows than expected say nothing: the grid that was started last may be smaller than those before."""
    if any(want is not None and have < want for have, want in zip(rows, expected, strict=True)):
        return False
    return True if rows == expected else None
