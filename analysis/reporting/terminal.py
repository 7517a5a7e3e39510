"""The phase diagram in the terminal, which fills up while the sweep runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from analysis.reporting.picture import picture, plain_text
from analysis.tables.axes import filter_rows
from analysis.tables.load import load, part_files
from sweep.schema import RUNS


def watch_frames(
    folder: Path,
    x: str | None = None,
    y: str | None = None,
    value: str = "test_error",
    where: str | None = None,
    every: float = 2.0,
    all_grids: bool = False,
) -> Iterator[RenderableType]:
    """The picture of a store now and after each commit, until all trials of its grid are there.

    Before the first commit the picture is a sentence.

    Args:
        folder: The store.
        x: Horizontal axis; by default chosen from the columns that vary.
        y: Vertical axis; likewise.
        value: Column to show; `difference` is the paired one of the first pair of optimizers.
        where: A pandas query that the runs must satisfy.
        every: Seconds between two looks at the store.
        all_grids: Include runs that only an earlier grid of the store has.

    Raises SweepError where the folder cannot be read.
    """
    last_names: list[str] | None = None
    while True:
        names = [path.name for path in part_files(folder, RUNS)]
        # A part never changes, so new names mean new rows.
        if names != last_names:
            last_names = names
            if not names:
                yield plain_text(f"{folder} has no runs yet.")
            else:
                runs = load(folder, all_grids=all_grids)
                yield picture(filter_rows(runs, where), x, y, value)
                if runs.attrs["complete"]:
                    return
        time.sleep(every)
