"""Commands about what the error goes with: another observable, or the batch size."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli.shared import (
    AllGrids,
    Confidence,
    Folder,
    Level,
    MoreFolders,
    Out,
    Tune,
    TuneOver,
    TunePer,
    Value,
    Where,
    Width,
    X,
    Y,
    print_table,
    read_runs,
    select_view,
    tuning_of,
    write_result,
)
from analysis.figures.correlation import correlation_figure
from analysis.reporting.batch_sections import batch_figure, critical_sentences
from analysis.reporting.correlation_sections import correlation_sentences
from analysis.stats.correlation import Correlation
from analysis.stats.critical_batch import BATCH_SIZE, CriticalBatch


def relate(
    folder: Folder,
    to: Annotated[str, typer.Option(help="The other column, such as weight_norm.")],
    more: MoreFolders = None,
    value: Value = "test_error",
    x: X = None,
    y: Y = None,
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Error against another observable, one point a run, with rank correlations over seeds."""
    runs, tuning = read_runs(folder, more, where, all_grids), tuning_of(tune, tune_over, tune_per)
    view = select_view(runs, x, y, "optimizer", tuning)
    relation = Correlation(to, value, view.x, view.y, confidence=confidence)
    table, points = relation(view.runs), relation.points(view.runs)
    print_table(table, correlation_sentences(table))
    figure = correlation_figure(points, width=width)
    write_result(folder, f"relate-{value}-{to}", table, figure, out)


def critical_batch(
    folder: Folder,
    more: MoreFolders = None,
    level: Level = 0.25,
    y: Y = None,
    value: Value = "test_error",
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """The batch size at which the error jumps, for each optimizer, with an interval."""
    runs, tuning = read_runs(folder, more, where, all_grids), tuning_of(tune, tune_over, tune_per)
    view = select_view(runs, BATCH_SIZE, y, "optimizer", tuning)
    critical = CriticalBatch(view.y, value, level, confidence=confidence)
    table = critical(view.runs)
    print_table(table, critical_sentences(table))
    figure = batch_figure(view.runs, table, width)
    write_result(folder, "critical-batch", table, figure, out)
