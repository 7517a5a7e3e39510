"""Train a grid: `python -m sweep.run grid.yaml`. Running it again does only what is missing."""

from sweep.import_path import leave_working_directory

if __name__ == "__main__":
    leave_working_directory()

from sweep.early_signals import exit_on_signals, exiting_on_signals

if __name__ == "__main__":
    exit_on_signals()

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from sweep.cli import path_argument
from sweep.errors import SweepError, environment_errors
from sweep.terminal_text import accept_all_characters, escape_controls
from sweep.user_paths import user_path
from sweep.workers.lenient_stream import (
    LenientStream,
    discard_unwritable,
    open_standard_descriptors,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Dtype = Literal["float32", "float64"]


def sweep(
    grid: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
    lanes: int | None = None,
    dtype: Dtype = "float32",
    plugins: tuple[str, ...] = (),
    quiet: bool = False,
    checkpoint: float = 300.0,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Train all trials of a grid that are not done yet and return the folder of the tables.

    Args:
        grid: the grid: path of a YAML file, its text (of more than one line), or a dictionary of
            the same structure.
        out: folder of the store; `results/NAME` of the grid by default.
        workers: processes that share the work, one a core or a gpu; by default one for every one
            where that pays. They know parts of your own from `plugins` only.
        shard: (index, count), this process's share of the whole plan.
        lanes: trials under one vmap; chosen by the size of the network by default. Part of the bits
            of a result.
        dtype: `float32` or `float64`; a store never holds both.
        plugins: modules to import first, which add their own parts to the registries.
        quiet: no progress on standard error.
        checkpoint: seconds after which the state of trainings that are still running is kept, and
            again after as many.
        changes: values that replace those of the grid, by their place in it: `{"data.n": 100,
            "optimizer[1].lr": [1e-3, 1e-2]}`. The store keeps the grid with these values.

    Raises:
        GridError: the file is wrong. StoreConflict: `out` holds another sweep. Interrupted: SIGTERM
            or Ctrl-C came.
    """
    from sweep.commands import train
    from sweep.grid.syntax.changes import change_text

    folder = None if out is None else user_path(out)
    names = (plugins,) if isinstance(plugins, str) else tuple(plugins)
    changed = tuple(change_text(*change) for change in (changes or {}).items())
    with _grid_file(grid) as path:
        return train.run(
            train.Request(
                *(path, folder, workers, shard, lanes, dtype, names, quiet, checkpoint),
                changes=changed,
            )
        )


@contextmanager
def _grid_file(grid: str | Path | Mapping[str, Any]) -> Iterator[Path]:
    """The file of a grid, a temporary one for text and dictionaries."""
    if isinstance(grid, Path) or (isinstance(grid, str) and "\n" not in grid):
        yield user_path(grid)
        return
    import yaml

    text = grid if isinstance(grid, str) else yaml.safe_dump(dict(grid), sort_keys=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.yaml"
        path.write_text(text, encoding="utf-8")
        yield path


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise typer.BadParameter(f"{text!r} is not i/n with 0 <= i < n, such as 0/4.")
    return int(index), int(count)


def _workers(text: str) -> int | None:
    if text != "auto" and not (text.isdigit() and int(text)):
        raise typer.BadParameter(f"{text!r} is neither auto nor a number of cores.")
    return None if text == "auto" else int(text)


@app.command()
def main(
    grid: Annotated[
        Path, typer.Argument(help="The grid file (YAML).", show_default=False, parser=path_argument)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the tables. [default: results/NAME]", parser=path_argument),
    ] = None,
    workers: Annotated[
        str, typer.Option(help="Processes, each on a core or gpu of its own: a number or auto.")
    ] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and touch no device.")
    ] = False,
    shard: Annotated[
        str, typer.Option(help="i/n: train the i-th of n shares of the plan.")
    ] = "0/1",
    lanes: Annotated[
        int | None, typer.Option(min=1, help="Trials under one vmap. [default: by size]")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    plugin: Annotated[
        list[str] | None, typer.Option(help="Module with parts of your own; may be repeated.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    checkpoint: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints of long trainings.")
    ] = 300.0,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="FIELD=VALUE in place of that of GRID (data.n=100); may be repeated."
        ),
    ] = None,
    turn: Annotated[
        str | None, typer.Option(hidden=True, help="i/n: be the i-th of n workers of a parent.")
    ] = None,
    place: Annotated[
        str, typer.Option(hidden=True, help="What a worker has to itself: cpu (a core) or gpu.")
    ] = "cpu",
    report: Annotated[
        int, typer.Option(hidden=True, help="Descriptor of the socket for reports of a worker.")
    ] = -1,
    digest: Annotated[
        str, typer.Option(hidden=True, help="SHA-256 of the grid that a worker has to train.")
    ] = "",
) -> None:
    """Train every trial of GRID that is not done yet; rows stream into parquet tables.

    Exit codes: 0 done, 1 failed, 2 bad grid, 3 the folder holds another sweep, 75 interrupted and
    resumable.
    """
    open_standard_descriptors()
    if dtype not in ("float32", "float64"):
        raise typer.BadParameter(f"--dtype {dtype!r} is neither float32 nor float64.")
    accept_all_characters()
    try:
        with environment_errors(), exiting_on_signals():
            from sweep.commands import train
        share, plugins = _shard(shard), tuple(plugin or ())
        assignment = train.Assignment(_shard(turn), place, report, digest) if turn else None
        request = train.Request(
            *(grid, out, _workers(workers), share, lanes, dtype, plugins, quiet, checkpoint),
            assignment=assignment,
            changes=tuple(changes or ()),
        )
        if dry_run:
            _print(train.preview(request), sys.stdout)
            return
        folder = train.run(request)
        if turn is None:
            _print(f"All rows are in {folder / 'runs'}", sys.stdout)
    except SweepError as error:
        _print(str(error), sys.stderr)
        sys.exit(error.exit_code)
    finally:
        discard_unwritable()


def _print(text: str, stream: TextIO | None) -> None:
    """Print a line if anybody can read it: the exit code tells what became of the sweep."""
    print(escape_controls(text), file=LenientStream(stream), flush=True)


if __name__ == "__main__":
    app()
