"""The figure of errors at equal progress draws the table and nothing else."""

from __future__ import annotations

import numpy as np

import analysis
from analysis.figures.style import figure_bytes
from analysis.stats.loss_matched import LossMatched
from tests.analysis.stats.test_loss_matched import both


def test_lines_and_bands_are_the_numbers_of_the_tables() -> None:
    match = LossMatched()
    table, difference = match(both()), match.difference(both(), "adam", "gd")
    left, right = analysis.matched_figure(table, difference).axes
    drawn = {str(line.get_label()): line for line in left.lines}
    for name, rows in table.groupby("optimizer"):
        np.testing.assert_array_equal(drawn[str(name)].get_xdata(), rows["train_loss"])
        np.testing.assert_array_equal(drawn[str(name)].get_ydata(), rows["mean"])
    np.testing.assert_array_equal(right.lines[-1].get_ydata(), difference["mean"])
    assert "adam - gd" in right.get_ylabel()
    # Training proceeds to the right, where losses are small.
    assert left.get_xlim()[0] > left.get_xlim()[1]


def test_one_panel_along_time_without_a_difference(tmp_path) -> None:  # type: ignore[no-untyped-def]
    table = LossMatched(along="time")(both())
    figure = analysis.matched_figure(table)
    (ax,) = figure.axes
    assert ax.get_xlim()[0] < ax.get_xlim()[1] and "learning rate" in ax.get_xlabel()
    assert figure_bytes(figure, tmp_path / "x.pdf").startswith(b"%PDF")
