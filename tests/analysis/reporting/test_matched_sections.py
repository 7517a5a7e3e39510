"""What a page says of errors at equal training loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import analysis
from analysis.__main__ import app
from analysis.reporting.matched_sections import matched_sections, matched_sentences
from analysis.reporting.view import make_view
from analysis.stats.loss_matched import LossMatched

STEPS = (1, 3, 10, 30, 100)
RATES = {"adam": 1.0, "gd": 0.2}


@pytest.fixture
def matched_store(make: Any, tmp_path: Path) -> Path:
    """At any loss adam errs by 0.2 more than gd, whose loss falls more slowly."""
    rows = make.plane(make.planted, snrs=(0.1, 0.3), alphas=(0.1,))
    curves = [
        {
            "trial": row["trial"],
            "step": step,
            "train_loss": 1 / (1 + RATES[row["optimizer"]] * step),
            "test_error": 0.3
            + 0.2 * (row["optimizer"] == "adam")
            + 0.01 * row["seed"]
            + 0.05 * np.log1p(RATES[row["optimizer"]] * step),
        }
        for row in rows
        for step in STEPS
    ]
    return make.write_store(tmp_path / "matched", rows, curves, trials=len(rows))


def test_a_section_compares_each_pair_at_the_least_loss_that_all_reach(matched_store: Path) -> None:
    (section,) = matched_sections(matched_store, make_view(analysis.load(matched_store)), 0.95)
    assert section.name == "matched-adam-gd" and section.figure is not None
    assert section.caption.startswith("At snr = 0.1")
    # Each run of gd ends at 1 / 21, which adam passes.
    (sentence,) = section.sentences
    assert sentence.startswith(
        "At the training loss 0.0476 the test error of adam minus that of gd"
    )
    assert "0.2" in sentence and "4 problems" in sentence


def test_records_far_apart_are_told(matched_store: Path) -> None:
    curves = analysis.load_curves(matched_store).query("snr == 0.1")
    few = curves[curves["step"].isin([1, 100])]
    match = LossMatched()
    table = match(few)
    sentences = matched_sentences(table, match.difference(few, "adam", "gd"))
    # From 1 / 2, where adam begins, to 1 / 21, where gd ends.
    assert table.attrs["spacing"] == pytest.approx(10.5)
    assert "up to a factor of 10 apart in training loss" in sentences[-1]


def test_curves_without_test_errors_have_no_section(store: Path) -> None:
    assert list(matched_sections(store, make_view(analysis.load(store)), 0.95)) == []


def test_the_command_says_and_writes_what_it_found(matched_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "matched.csv"
    answer = CliRunner().invoke(app, ["matched", str(matched_store), "--out", str(out)])
    assert answer.exit_code == 0 and "adam minus that of gd" in answer.output
    assert "unreached" in out.read_text().splitlines()[0]
    along_time = CliRunner().invoke(app, ["matched", str(matched_store), "--along", "time"])
    # Of adam lr times step ends at 0.1, where that of gd begins.
    assert along_time.exit_code == 1


def test_the_command_says_why_it_cannot_match(store: Path) -> None:
    answer = CliRunner().invoke(app, ["matched", str(store)])
    assert answer.exit_code == 1 and isinstance(answer.exception, SystemExit)
    assert "no test_error over steps" in answer.output
