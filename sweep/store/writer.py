"""Gathers the rows of ended trials into parts of a sensible size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from sweep.store import Store

Columns = Mapping[str, "np.ndarray | Sequence[Any]"]
"""Columns of one batch of rows, all of one length."""


@dataclass
class Writer:
    """Gathers rows of ended trials and commits them in parts of a sensible size.

    A part is committed once `max_rows` rows (of both tables together) wait, or the first of them for as long as the
    writer is old, but for `min_seconds` at least and `max_seconds` at most: then a kill costs half the time since the
    start at most, and days of work are no heap of small parts. As a context manager it commits what is left however the
    block ends. `metadata` goes into every part; `rows` counts the trials committed, `committed` is told their ids.
    """

    store: Store
    runs_schema: pa.Schema
    curves_schema: pa.Schema
    metadata: Mapping[str, str]
    max_rows: int = 65536
    min_seconds: float = 1.0
    max_seconds: float = 30.0
    clock: Callable[[], float] = time.monotonic
    committed: Callable[[np.ndarray], None] = field(default=lambda trials: None, repr=False)
    rows: int = field(default=0, init=False)
    _batches: list[tuple[pa.Table, pa.Table]] = field(default_factory=list, init=False, repr=False)
    _buckets: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _waiting: int = field(default=0, init=False, repr=False)
    _since: float = field(default=0.0, init=False, repr=False)
    _began: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def add(self, bucket: str, lanes: int, runs: Columns, curves: Columns | None = None) -> None:
        """Take the rows of some ended trials of one bucket, which trained in a program of `lanes` lanes.

        A missing column becomes null, None becomes null, NaN stays NaN. Raises ValueError on a column that the schema
        lacks or values that it cannot hold, StoreError where a commit fails; the rows then still wait.
        """
        batch = _table(self.runs_schema, runs), _table(self.curves_schema, curves or {"trial": []})
        if self._buckets.get(bucket, lanes) != lanes:
            self.flush()
        if not self._batches:
            self._since = self.clock()
        self._buckets[bucket] = lanes
        self._batches.append(batch)
        self._waiting += sum(table.num_rows for table in batch)
        now = self.clock()
        patience = min(max(self._since - self._began, self.min_seconds), self.max_seconds)
        if self._waiting >= self.max_rows or now - self._since >= patience:
            self.flush()

    def flush(self) -> None:
        """Commit the rows that wait. Raises StoreError where that fails; they wait on."""
        if not self._batches:
            return
        runs, curves = map(pa.concat_tables, zip(*self._batches, strict=True))
        self.store.commit(runs, curves, {**self.metadata, "buckets": json.dumps(self._buckets, sort_keys=True)})
        self.rows += runs.num_rows
        self._batches, self._buckets, self._waiting = [], {}, 0
        self.committed(runs["trial"].to_numpy())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.flush()


def _table(schema: pa.Schema, columns: Columns) -> pa.Table:
    if unknown := sorted(columns.keys() - set(schema.names)):
        raise ValueError(f"The schema has no column {', '.join(unknown)}.")
    rows = len(columns["trial"])
    # Cast afterwards: asked for int64 at once, pyarrow would cut 0.5 to 0 without a word.
    given = {name: pa.array(values, from_pandas=False) for name, values in columns.items()}
    arrays = [given[each.name].cast(each.type) if each.name in given else pa.nulls(rows, each.type) for each in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
