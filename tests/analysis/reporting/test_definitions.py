"""What a page says of what was trained: every shipped kind has its formula, and every number stands there."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.reporting.definitions import training_setting
from analysis.tables.columns import read_descriptions
from sweep import data, models, objectives, spec
from sweep.grid import parse_grid
from sweep.planning.manifest import descriptions

GRID = """
name: tiny
seed: 0
data: {kind: signal_noise, n: 20, d: 100, signal: 1, noise: 1}
model: {kind: linear, init_scale: 0.01}
optimizer: {kind: gd, lr: 0.1}
train: {steps: 60}
"""


@pytest.mark.parametrize("family", [data, models, objectives], ids=["data", "model", "objective"])
def test_every_shipped_kind_has_a_formula(family: Any) -> None:
    assert family.KINDS and all(map(spec.definition, family.KINDS.values()))


def test_numbers_are_told_once(make: Any) -> None:
    """One value where all runs have it, the values where they are few, else from where to where."""
    read_descriptions({"info": descriptions(parse_grid(GRID))})
    rows = [make.row(i, i, "gd", seed=i % 2, snr=float(1 + i // 2), n=20, d=100) for i in range(12)]
    told = " ".join(training_setting(make.runs(rows)))
    assert "n = 20" in told and "d = 100" in told
    assert "Varied: snr from 1 to 6 (6 values); " in told and told.endswith("; seed 0, 1.")


@pytest.mark.parametrize("kind", ["mine", None])
def test_kinds_of_the_user_have_no_formula_and_do_no_harm(make: Any, kind: str | None) -> None:
    runs = make.runs([make.row(i, i, "gd", seed=i) for i in range(2)]).assign(data=kind, model=kind)
    told = training_setting(pd.DataFrame(runs))
    assert not any("patches" in sentence for sentence in told) and "Varied: seed 0, 1." in told[-1]
