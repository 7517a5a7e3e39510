"""The ReLU figure agrees with the errors and losses that its authors published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from sweep.run import sweep
from tests.benchmarks.released import FEW, KEPT, compare
from tests.shell import jax_as_it_was, write_grid


@pytest.mark.slow
def test_the_relu_config_agrees_with_the_published_grid(tmp_path: Path) -> None:
    """With the mean over patches losses are 17 times as high.

    The bounds leave one test in a thousand: z is in standard errors, but its square has heavy tails, since a published
    error is the mean of ten trainings of which one may have failed.
    """
    path = write_grid(tmp_path, FEW.grid())
    with jax_as_it_was():
        store = sweep(path, tmp_path / "store", quiet=True)
    cells = compare(analysis.load(store), pd.read_csv(KEPT, comment="#"))
    assert len(cells) == 24
    assert abs(cells["difference"].sum()) < 3.3 * np.linalg.norm(cells["standard_error"])
    assert np.sqrt((cells["z"] ** 2).mean()) < 2
    assert 0.7 < cells["loss_ratio"].median() < 1.4
