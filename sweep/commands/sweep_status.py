"""What a store holds of a grid, as a record that prints itself as text and as JSON."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sweep.status import Status
from sweep.wording import counted

FINAL_STATUSES = tuple(status for status in Status if status is not Status.RUNNING)
_COLUMN_TITLES = {Status.NONFINITE: "diverged"}


@dataclass(frozen=True)
class TrialCounts:
    """Number of trials of one bucket, of those that are done, and of these by status."""

    bucket: str
    title: str
    trials: int
    done: int
    by_status: Mapping[Status, int]

    @property
    def left(self) -> int:
        """Trials that are not done yet."""
        return self.trials - self.done

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values."""
        by_label = {status.label: count for status, count in self.by_status.items()}
        counts = {"trials": self.trials, "done": self.done, "left": self.left}
        return {**counts, "status": by_label}


@dataclass(frozen=True)
class SweepStatus:
    """What a store holds of a grid.

    Attributes:
        folder: the folder of the store.
        file: the file of the grid.
        grids: number of trials of each grid that the store holds, by file name.
        buckets: counts for each bucket of the grid.
        unrelated: number of rows of trials that the grid does not have.
        workers: names of the processes that work in the folder.
        checkpoints: number of checkpoints in the folder.
        conflict: why the store would refuse the grid, "" if it would not.
    """

    folder: Path
    file: Path
    grids: Mapping[str, int]
    buckets: tuple[TrialCounts, ...]
    unrelated: int
    workers: tuple[str, ...]
    checkpoints: int
    conflict: str = ""

    @property
    def total(self) -> TrialCounts:
        """The sum over all buckets."""
        trials = sum(counts.trials for counts in self.buckets)
        done = sum(counts.done for counts in self.buckets)
        by_status = {
            status: sum(counts.by_status[status] for counts in self.buckets)
            for status in FINAL_STATUSES
        }
        return TrialCounts("", "all", trials, done, by_status)

    def to_json(self) -> dict[str, Any]:
        """The status as plain values."""
        buckets = [
            {"bucket": counts.bucket, "title": counts.title, **counts.to_json()}
            for counts in self.buckets
        ]
        return {
            "folder": str(self.folder),
            "grid": str(self.file),
            "grids": dict(self.grids),
            **self.total.to_json(),
            "buckets": buckets,
            "rows_of_other_grids": self.unrelated,
            "at_work": list(self.workers),
            "checkpoints": self.checkpoints,
            "conflict": self.conflict,
        }

    def __str__(self) -> str:
        table = _table([*self.buckets, self.total])
        return "\n".join([*self._heading(), "", table, "", *self._notes()])

    def _heading(self) -> Iterator[str]:
        total = self.total
        counts = f"{counted(total.trials, 'trial')}, {total.done:,} done, {total.left:,} left"
        yield f"{self.folder}: {counts} of the grid in {self.file}."
        if len(self.grids) > 1 and self.file.parent == self.folder:
            grids = sorted(self.grids.items())
            sizes = ", ".join(f"{name} ({counted(size, 'trial')})" for name, size in grids)
            yield (
                f"The folder holds several grids: {sizes}. This is the one that was run last, or "
                "the largest if the folder does not say. Another one is read with --grid."
            )

    def _notes(self) -> Iterator[str]:
        if self.unrelated:
            verb = "is" if self.unrelated == 1 else "are"
            yield f"{counted(self.unrelated, 'row')} {verb} of trials that this grid does not have."
        yield f"At work: {', '.join(self.workers)}." if self.workers else "Nobody is at work."
        yield f"Checkpoints of trials that have not ended: {self.checkpoints:,}."
        if self.conflict:
            yield self.conflict


def _table(rows: list[TrialCounts]) -> str:
    """Counts as aligned text of the width of the terminal, 80 to 120 columns; the last row sums."""
    statuses = [status for status in FINAL_STATUSES if rows[-1].by_status[status]]
    titles = [_COLUMN_TITLES.get(status, status.label) for status in statuses]
    table = Table(box=None, pad_edge=False)
    table.add_column("bucket", overflow="fold")
    for title in ("trials", "done", "left", *titles):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        by_status = [row.by_status[status] for status in statuses]
        counts = (row.trials, row.done, row.left, *by_status)
        table.add_row(row.title, *(f"{count:,}" for count in counts))
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    output = io.StringIO()
    console = Console(width=width, file=output, color_system=None, highlight=False, markup=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())
