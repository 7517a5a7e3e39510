"""Analyses take the rows of the grid that was run last, and say what they leave out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import analysis
from analysis.__main__ import app
from analysis.reporting.picture import picture
from analysis.tables import grids
from analysis.tables.grids import grid_history, trial_ids
from sweep import schema
from sweep.errors import StoreError
from sweep.grid import parse_grid
from sweep.store import grid_digest

GRID = """# {comment}
name: edited
seed: [0, 1]
data: {{kind: signal_noise, n: {n}, d: 10, signal: [1, 2], noise: 1}}
model: {{kind: cnn, width: {width}}}
optimizer: {{kind: gd, lr: 0.1}}
train: {{steps: {steps}}}
"""


def grid(width: Any = 4, steps: int = 50, n: Any = "[8]", comment: str = "why") -> str:
    return GRID.format(width=width, steps=steps, n=n, comment=comment)


def rows_of(text: str) -> pa.Table:
    """What a sweep of the grid would leave, with a planted error."""
    parsed = parse_grid(text)
    tables = []
    for block in parsed.blocks:
        rows = next(block.rows())
        trial, problem = block.ids(rows)
        columns = {**block.columns(rows), "trial": trial, "problem": problem}
        columns |= {"status": ["out_of_steps"] * len(rows), "steps": columns["max_steps"]}
        columns |= {"test_error": 0.1 * columns["width"], "train_error": 0.0 * trial}
        columns |= {"train_loss": 0.0 * trial}
        columns |= {
            name: [kind] * len(rows) for name, kind in block.kinds.items() if name != "train"
        }
        layout = schema.runs(parsed.columns)
        arrays = [
            pa.array(columns[field.name]).cast(field.type)
            if field.name in columns
            else pa.nulls(len(rows), field.type)
            for field in layout
        ]
        tables.append(pa.table(arrays, schema=layout))
    return pa.concat_tables(tables, promote_options="permissive")


def write(folder: Path, *texts: str, swap_times: bool = False) -> Path:
    """A store in which grids were run one after another."""
    (folder / "runs").mkdir(parents=True)
    seen: set[int] = set()
    for index, text in enumerate(texts):
        name = (
            "grid.yaml"
            if not index
            else f"grid-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
        )
        (folder / name).write_text(text)
        age = index if not swap_times else -index
        os.utime(folder / name, (1000 + age, 1000 + age))
        table = rows_of(text)
        table = table.filter(pa.array([trial not in seen for trial in table["trial"].to_pylist()]))
        seen |= set(table["trial"].to_pylist())
        if table.num_rows:
            table = table.replace_schema_metadata({"trials": str(parse_grid(text).size)})
            pq.write_table(table, folder / "runs" / f"part-{index}.parquet")
    return folder


def test_an_edited_value_leaves_the_older_rows_out(tmp_path: Path):
    folder = write(tmp_path / "s", grid(), grid(width=5, steps=60))
    runs = analysis.load(folder)
    assert runs["width"].unique().tolist() == [5] and len(runs) == 4
    assert (runs.attrs["trials"], runs.attrs["complete"]) == (4, True)
    assert runs.attrs["note"].startswith("4 older rows, which grid-")
    assert (
        "they differ in width, max_steps, epochs. Take them with --all-grids" in runs.attrs["note"]
    )
    both = analysis.load(folder, all_grids=True)
    assert len(both) == 8 and "note" not in both.attrs
    assert "4 older rows" in repr(picture(runs))


def test_a_grid_that_is_run_again_is_the_current_one(tmp_path: Path):
    """Though nothing was left to train, and the newest rows are of the other."""
    folder = write(tmp_path / "s", grid(), grid(width=5))
    (folder / "current-grid.txt").write_text("grid.yaml")
    assert analysis.load(folder)["width"].unique().tolist() == [4]


@pytest.mark.parametrize("kept", [1, 2])
def test_a_store_that_has_lost_its_last_grid_says_so(tmp_path: Path, kept: int):
    """Which rows are of that grid is unknown, and those of all may differ in an edited value."""
    folder = write(tmp_path / "s", grid(), grid(width=5))
    (folder / "current-grid.txt").write_text("grid-00000000.yaml")
    for path in grid_history(folder)[kept:]:
        path.unlink()
    runs = analysis.load(folder)
    assert len(runs) == 8 and "has lost its last grid" in runs.attrs["note"]


@pytest.mark.promise(20)
def test_a_flipped_bit_in_a_kept_grid_is_told_by_loading(tmp_path: Path):
    folder = write(tmp_path / "s", grid(), grid(width=5))
    second = grid_history(folder)[-1]
    second.write_text(second.read_text().replace("lr: 0.1", "lr: 0.0"))
    with pytest.raises(
        StoreError, match=rf"{second.name} cannot be read: .*Move it away; the next"
    ):
        analysis.load(folder)


@pytest.mark.parametrize("swap_times", [False, True])
def test_rows_of_an_extended_grid_are_kept(tmp_path: Path, swap_times: bool):
    """Whatever happened to the times of the files: only the larger grid has the newest rows."""
    folder = write(tmp_path / "s", grid(), grid(n="[8, 16]"), swap_times=swap_times)
    runs = analysis.load(folder)
    assert len(runs) == 8 and runs.attrs["complete"] is True and "note" not in runs.attrs


def test_a_smaller_grid_without_rows_of_its_own_changes_nothing(tmp_path: Path):
    """All rows belong to the larger grid, so nothing is mixed."""
    runs = analysis.load(write(tmp_path / "s", grid(n="[8, 16]"), grid()))
    assert len(runs) == 8 and "note" not in runs.attrs


def test_changed_comments_and_other_seeds(tmp_path: Path):
    same = write(tmp_path / "a", grid(), grid(comment="because"))
    assert "note" not in analysis.load(same).attrs and len(analysis.load(same)) == 4
    other = write(tmp_path / "b", grid(), grid().replace("[0, 1]", "[2, 3]"))
    assert "differ in seed." in analysis.load(other).attrs["note"]


def test_a_value_that_was_swapped_with_another_differs_in_the_combination(tmp_path: Path):
    first = grid(width="[4, 5]", n="[8, 16]") + "zip: [n, width]\n"
    second = first.replace("[4, 5]", "[5, 4]")
    note = analysis.load(write(tmp_path / "s", first, second)).attrs["note"]
    assert "they differ in the combination of their values" in note


def test_a_grid_that_cannot_be_computed_leaves_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write(tmp_path / "s", grid(), grid(width=5))
    text = grid().replace("signal_noise", "of_a_plugin")
    for path in grid_history(folder):
        path.unlink()
    for name in ("grid.yaml", f"grid-{grid_digest(text.encode())[:8]}.yaml"):
        (folder / name).write_text(text)
    runs = analysis.load(folder)
    assert len(runs) == 8 and "The runs of all of them are taken." in runs.attrs["note"]
    monkeypatch.setattr(grids, "MAX_TRIALS", 3)
    grids._ids_of_text.cache_clear()
    assert trial_ids(write(tmp_path / "t", grid()) / "grid.yaml") is None
    grids._ids_of_text.cache_clear()


def test_rounds_of_refinement_are_one_experiment(tmp_path: Path):
    folder = write(tmp_path / "s", grid(), grid(width=5))
    (folder / "round-1.yaml").write_text(grid())
    assert len(analysis.load(folder)) == 8 and "note" not in analysis.load(folder).attrs


def test_links_and_pipes_are_no_grids(tmp_path: Path):
    folder = write(tmp_path / "s", grid())
    (tmp_path / "secret").write_text("secret")
    (folder / "grid-00000000.yaml").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "grid-11111111.yaml")
    assert [path.name for path in grid_history(folder)] == ["grid.yaml"]
    assert len(analysis.load(folder)) == 4
    assert "secret" not in analysis.report(folder).read_text()


def test_the_commands_say_it_and_have_a_flag(tmp_path: Path):
    folder = write(tmp_path / "s", grid(), grid(width=5, steps=60))
    for command in (["phase"], ["report"]):
        plain = CliRunner().invoke(app, [*command, str(folder), "--all-grids"])
        assert "older rows" not in plain.output, command
    said = CliRunner().invoke(app, ["phase", str(folder), "--x", "signal"]).output
    assert "4 older rows" in said and "differ in width, max_steps" in said
    table = tmp_path / "t.csv"
    for flags, widths in (([], [5]), (["--all-grids"], [4, 5])):
        arguments = ["phase", str(folder), "--x", "signal", "--y", "width", "--out", str(table)]
        assert CliRunner().invoke(app, [*arguments, *flags]).exit_code == 0
        assert sorted(pd.read_csv(table)["width"].unique()) == widths
    page = analysis.report(folder)
    text = page.read_text()
    # The commands that reproduce the store begin with the first grid.
    assert "4 older rows" in text and text.index(">grid.yaml<") < text.index(">grid-")
