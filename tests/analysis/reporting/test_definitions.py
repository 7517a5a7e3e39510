"""What a page says of what was trained: every shipped kind has its formula, and every number stands there."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.reporting.definitions import training_setting
from analysis.tables import columns
from sweep import data, models, objectives, spec
from sweep.objectives.losses import Logistic


@pytest.mark.parametrize("registry", [data.KINDS, models.KINDS, objectives.KINDS])
def test_every_shipped_kind_has_a_formula(registry: dict[str, type]) -> None:
    """One of its own, not only the first line of its docstring."""
    for cls in registry.values():
        assert spec.definition(cls) == cls.__dict__["definition"]


def test_the_definitions_are_those_of_the_store(make: Any) -> None:
    runs = make.runs([make.row(i, i, "gd", seed=i) for i in range(2)])
    sentences = training_setting(runs)
    for cls in (data.KINDS["feature_noise"], models.KINDS["cnn"], objectives.KINDS["logistic"]):
        assert spec.definition(cls) in sentences


def test_numbers_are_told_once(make: Any) -> None:
    """One value where all runs have it, the values where they are few, else from where to where."""
    rows = [make.row(i, i, "gd", seed=i % 2, snr=float(1 + i // 2), n=20, d=100) for i in range(12)]
    told = " ".join(training_setting(make.runs(rows)))
    assert "n = 20" in told and "d = 100" in told
    assert "Varied: snr from 1 to 6 (6 values); " in told and told.endswith("; seed 0, 1.")


def test_of_two_losses_each_says_whose_it_is(make: Any) -> None:
    """Two sentences on the loss would be false of half of the runs each, and so would a bare formula."""
    columns._DEFINITIONS["objective", "hinge"] = "max(0, gap - z)."
    rows = [make.row(i, i, "gd", objective=("hinge", "logistic")[i % 2]) for i in range(4)]
    told = training_setting(make.runs(rows))
    assert "Objective hinge: max(0, gap - z)." in told
    assert f"Objective logistic: {Logistic.definition}" in told
    alone = training_setting(make.runs(rows[::2]))
    assert "Objective hinge: max(0, gap - z)." in alone
    assert not any("log(1 + exp" in sentence for sentence in alone)


@pytest.mark.parametrize("kind", ["mine", None])
def test_kinds_of_the_user_have_no_formula_and_do_no_harm(make: Any, kind: str | None) -> None:
    runs = make.runs([make.row(i, i, "gd", seed=i) for i in range(2)]).assign(data=kind, model=kind)
    told = training_setting(pd.DataFrame(runs))
    assert not any("patches" in sentence for sentence in told) and "Varied: seed 0, 1." in told[-1]
