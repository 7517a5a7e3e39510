"""What an update costs: parts that a trial does not use leave no trace in its program."""

from __future__ import annotations

import re
from typing import Any

import jax
import jaxlib
import pytest

from sweep.training import step
from sweep.trial import build_trial
from tests import ROOT

PINNED = re.search(r"^jaxlib==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.M)


@pytest.mark.thorough
@pytest.mark.skipif(
    PINNED is None or jaxlib.__version__ != PINNED[1],
    reason="another version of jaxlib makes another program",
)
@pytest.mark.parametrize(
    ("optimizer", "coordinates", "flops", "accessed"),
    [("adam", "ambient", 33_140_486, 5_558_824), ("gd", "span", 3_660_799, 977_440)],
)
def test_an_update_of_the_core_costs_what_it_did(
    optimizer: str, coordinates: str, flops: int, accessed: int
) -> None:
    """200 points in 1000 dimensions and 20 filters a class, before there were wrappers, masks and curricula."""
    kinds = {
        "data": "feature_noise",
        "model": "cnn",
        "objective": "logistic",
        "optimizer": optimizer,
        "schedule": "constant",
    }
    values = {"n": 200, "d": 1000, "width": 20, "lr": 0.01, "coordinates": coordinates}
    one = build_trial(kinds, values)
    compiled = jax.jit(step.advance).lower(one, *jax.eval_shape(step.start, one)).compile()
    cost: Any = compiled.cost_analysis()
    assert (int(cost["flops"]), int(cost["bytes accessed"])) == (flops, accessed)
