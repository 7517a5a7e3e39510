"""The command that compares optimizers at equal training loss."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
import typer

from analysis.cli.shared import (
    AllGrids,
    Confidence,
    Folder,
    Out,
    Tune,
    TuneOver,
    TunePer,
    Value,
    Where,
    Width,
    print_table,
    read_runs,
    select_view,
    tuning_of,
    write_result,
)
from analysis.figures.loss_matched import matched_figure
from analysis.reporting.curve_sections import most_informative_cell
from analysis.reporting.matched_sections import matched_sentences
from analysis.stats.loss_matched import LossMatched
from analysis.stats.paired_gap import pairs
from analysis.stats.same_start import curves_by_start
from analysis.tables.load import load_curves
from sweep.errors import SweepError

SCHEDULES = ("constant",)
"""Schedules under which effective time is the learning rate times the step."""


def matched(
    folder: Folder,
    value: Value = "test_error",
    along: Annotated[
        str,
        typer.Option(help="train_loss, or time: learning rate times step."),
    ] = "train_loss",
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Error against the training loss that was reached, and the paired difference at equal loss."""
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, None, where, all_grids), None, None, None, tuning)
    cell, cell_phrase = most_informative_cell(view, confidence)
    curves = load_curves(folder, trials=cell["trial"].tolist())
    curves.attrs["tuned"] = view.runs.attrs.get("tuned", ())
    curves = curves_by_start(curves, view.runs)
    if along == "time":
        curves = _with_learning_rate(curves, cell)
    match = LossMatched(value, along, level=confidence)
    table = match(curves)
    compared = pairs(cell)
    difference = match.difference(curves, *compared[0]) if compared else None
    sentences = [] if difference is None else matched_sentences(table, difference)
    print_table(table, [*([cell_phrase] if cell_phrase else []), *sentences])
    write_result(folder, "matched", table, matched_figure(table, difference, width=width), out)


def _with_learning_rate(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The curves with the learning rate of their runs. Raises SweepError where it changes."""
    if "schedule" in runs and not runs["schedule"].dropna().isin(SCHEDULES).all():
        raise SweepError(
            "Effective time is the learning rate times the step only where the rate is constant, and "
            "these runs have a schedule. Leave out --along time, or select runs with --where."
        )
    if "lr" not in runs:
        raise SweepError("These runs have no learning rate. Leave out --along time.")
    joined = curves.drop(columns="lr", errors="ignore").merge(runs[["trial", "lr"]], on="trial")
    joined.attrs = dict(curves.attrs)
    # The rate is part of the time, and no axis of its own.
    joined.attrs["tuned"] = [*curves.attrs.get("tuned", ()), "lr"]
    return joined
