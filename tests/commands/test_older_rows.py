"""A run says which rows of its store an edited grid no longer has, and in what they differ."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from sweep import grid as grids
from sweep.commands import train
from sweep.commands.older_rows import describe_older_rows
from sweep.grid import Grid
from sweep.run import sweep
from sweep.store import Store
from sweep.workers.progress import SilentProgress
from tests.shell import jax_as_it_was, write_grid

TEXT = """
name: edited
seed: {range: [0, 3]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, noise: [0.1, 0.3]}
model: {kind: cnn, width: 4}
optimizer: [{kind: gd, lr: 0.1}, {kind: adam, lr: 0.01}]
train: {steps: 50}
"""


def run(store: Store, text: str) -> Grid:
    """What a run of a grid leaves in a store, without its training."""
    grid = grids.parse_grid(text)
    store.open({"columns": {}}, text)
    for block in grid.blocks:
        rows = next(block.rows())
        columns = {name: pa.array(values) for name, values in block.columns(rows).items()}
        store.commit(pa.table({"trial": block.ids(rows)[0], **columns}), None, {})
    return grid


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ({"width: 4": "width: 5", "steps: 50": "steps: 60"}, "12 older rows differ in width, steps from"),
        ({"steps: 50": "steps: 60"}, "12 older rows differ in steps from"),
        ({"[0.1, 0.3]": "[0.1, 0.2]"}, "6 older rows differ in noise from"),
        ({"{kind: adam, lr: 0.01}": "{kind: lion, lr: 0.01}"}, "6 older rows differ in optimizer, b2 from"),
        ({"range: [0, 3]": "range: [1, 3]"}, "4 older rows differ in seed from"),
        (
            {"lr: 0.01}]": "lr: 0.01}]\nwhere: \"noise < 0.2 or optimizer == 'gd'\""},
            "3 older rows differ in the combination of their values from",
        ),
        # A grid that grew has every older row.
        ({"range: [0, 3]": "range: [0, 5]", "[0.1, 0.3]": "[0.1, 0.2, 0.3]"}, ""),
        ({"edited": "edited\n# a comment"}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_an_edit_is_told(tmp_path: Path, edits: dict[str, str], told: str) -> None:
    store = Store(tmp_path / "store")
    run(store, TEXT)
    text = TEXT
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    grid = grids.parse_grid(text)
    store.open({"columns": {}}, text)
    for _ in range(2):
        note = describe_older_rows(grid, store)
        assert note.startswith(told) and bool(note) == bool(told), note
        # Rows of the new grid change nothing.
        run(store, text)


def test_what_becomes_of_older_rows_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run(store, TEXT)
    grid = run(store, TEXT.replace("width: 4", "width: 5"))
    assert describe_older_rows(grid, store) == (
        f"12 older rows differ in width from this grid. Nothing is removed from {store.folder}; "
        "analyses take the rows of this grid alone unless --all-grids asks for the rest."
    )


def test_rounds_of_a_refinement_are_one_experiment(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run(store, TEXT)
    grid = run(store, TEXT.replace("[0.1, 0.3]", "[0.2]"))
    (store.folder / "round-1.yaml").write_text(TEXT, encoding="utf-8")
    assert describe_older_rows(grid, store) == ""


@pytest.mark.thorough
def test_a_run_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = SilentProgress()
    monkeypatch.setattr(train, "_settle", lambda request: progress)
    text = """
name: run
data: {kind: signal_noise, n: 4, d: 6, snr: 1}
model: linear
optimizer: {kind: gd, lr: 0.2}
train: {steps: 3}
test_points: 4
record: {points: 0}
"""
    with jax_as_it_was():
        store = sweep(write_grid(tmp_path, text), tmp_path / "store", workers=1)
        assert not any("older" in said for said in progress.messages)
        edited = write_grid(tmp_path, text.replace("steps: 3", "steps: 4"))
        sweep(edited, store, workers=1)
    assert any(said.startswith("1 older row differs in steps from") for said in progress.messages)
