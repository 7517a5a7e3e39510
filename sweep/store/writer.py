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

from sweep.store.store import Store

Columns = Mapping[str, np.ndarray | Sequence[Any]]
"""Columns of one batch of rows, all of one length."""


@dataclass
class Writer:
    """Gathers rows of ended trials and commits them in parts of a sensible size.

    A part is committed once `max_rows` rows are pending, or the first of them has waited as long as
    the writer existed before it, bounded by `min_seconds` and `max_seconds`. So a kill costs at
    most half the time since the start, and days of work do not end in a heap of small parts. Used
    as a context manager it commits the pending rows however the block ends.

    Attributes:
        store: Where the rows go.
        runs_schema: Columns of the runs.
        curves_schema: Columns of the curves.
        metadata: Stored in every part.
        max_rows: Rows of both tables together.
        min_seconds: A row waits this long at least, unless there are `max_rows`.
        max_seconds: A row waits this long at most, if rows keep coming.
        clock: Seconds from an arbitrary origin.
        committed: Called with the ids of the trials after each commit.
        rows: Trials committed so far.
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
    _pending_rows: int = field(default=0, init=False, repr=False)
    _pending_since: float = field(default=0.0, init=False, repr=False)
    _created_at: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._created_at = self.clock()

    def add(self, bucket: str, lanes: int, runs: Columns, curves: Columns | None = None) -> None:
        """Add rows of ended trials of one bucket.

        A missing column becomes null, None becomes null, NaN stays NaN.

        Args:
            bucket: Id of the bucket.
            lanes: Number of lanes of the program that trained the trials.
            runs: One row a trial.
            curves: Recorded steps of the same trials, if any.

        Raises:
            ValueError: The schema lacks a column or cannot hold its values.
            StoreError: A commit failed; its rows remain pending.
        """
        batch = (
            _to_table(self.runs_schema, runs),
            _to_table(self.curves_schema, curves or {"trial": []}),
        )
        # A part states one number of lanes for each bucket.
        if self._buckets.get(bucket, lanes) != lanes:
            self.flush()
        if not self._batches:
            self._pending_since = self.clock()
        self._buckets[bucket] = lanes
        self._batches.append(batch)
        self._pending_rows += sum(table.num_rows for table in batch)
        if self._pending_rows >= self.max_rows or self._waited_enough():
            self.flush()

    def _waited_enough(self) -> bool:
        age = self._pending_since - self._created_at
        patience = min(max(age, self.min_seconds), self.max_seconds)
        return self.clock() - self._pending_since >= patience

    def flush(self) -> None:
        """Commit the pending rows. Raises StoreError if that fails; they remain pending."""
        if not self._batches:
            return
        runs, curves = map(pa.concat_tables, zip(*self._batches, strict=True))
        buckets = json.dumps(self._buckets, sort_keys=True)
        self.store.commit(runs, curves, {**self.metadata, "buckets": buckets})
        self.rows += runs.num_rows
        self._batches, self._buckets, self._pending_rows = [], {}, 0
        self.committed(runs["trial"].to_numpy())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.flush()


def _to_table(schema: pa.Schema, columns: Columns) -> pa.Table:
    if unknown := sorted(columns.keys() - set(schema.names)):
        raise ValueError(f"The schema has no column {', '.join(unknown)}.")
    rows = len(columns["trial"])
    # Two steps: pa.array(values, int64) would silently truncate 0.5 to 0, a cast raises.
    raw = {name: pa.array(values, from_pandas=False) for name, values in columns.items()}
    arrays = []
    for column in schema:
        is_present = column.name in raw
        arrays.append(
            raw[column.name].cast(column.type) if is_present else pa.nulls(rows, column.type)
        )
    return pa.Table.from_arrays(arrays, schema=schema)
