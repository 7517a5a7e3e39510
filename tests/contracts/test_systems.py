"""Published systems at a small size: what each paper says about them holds for trainings by the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from sweep.run import sweep
from tests import ROOT
from tests.benchmarks.systems import findings, random_pruning, spread
from tests.shell import jax_as_it_was, write_grid

SMALL: dict[str, dict[str, Any]] = {
    "spurious_features": {
        "data": {"kind": "spurious", "n": 500, "core": 0.2, "spurious": 1},
        "optimizer": {"kind": "gd", "lr": 0.1},
        "record": {"points": 0},
    },
    "autoencoder_sparsity": {
        "data": {"kind": "orthonormal", "n": 4, "d": 6},
        "model": {"kind": "autoencoder", "activation": "linear", "init_scale": 0.2},
        "train": {"steps": 4000, "batch_size": [1, 4]},
        "record": {"points": 2, "metrics": ["hessian_trace"]},
    },
}
"""What a small version has in place of entries of its config."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", SMALL)
def test_a_small_system_meets_the_line_of_acceptance(name: str, tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
    path = write_grid(tmp_path, yaml.safe_dump({**content, "seed": [0, 1], **SMALL[name]}))
    with jax_as_it_was():
        store = sweep(path, tmp_path / "store", quiet=True)
    asked = [each for each in findings(name, store) if each.holds is not None]
    assert len(asked) >= 2 and all(each.holds for each in asked), asked


def test_a_spread_is_the_interval_of_student_and_the_range() -> None:
    """The 0.975 quantile of t with 3 degrees of freedom is 3.182, of any table."""
    deviation = np.sqrt(5 / 3)
    assert spread([1, 2, 3, 4]) == f"2.5 ± {3.182 * deviation / 2:.2g} (1 to 4)"


@pytest.mark.parametrize(("factor", "holds"), [(1, False), (4, True), (16, False)])
def test_the_shift_of_a_planted_transition_is_found(factor: float, holds: bool) -> None:
    """Errors fall in log keep and are 0.2 at 0.05 for m = 20 and `factor` times that for m = 5."""
    keeps = np.geomspace(0.01, 1, 11)
    rows = [
        {"width": width, "keep": keep, "seed": seed, "train_error": 0.0,
         "test_error": np.clip(0.2 - 0.1 * np.log(keep / at), 0, 1)}
        for width, at in ((5, 0.05 * factor), (20, 0.05))
        for keep in keeps
        for seed in range(3)
    ]  # fmt: skip
    ratio = random_pruning(pd.DataFrame(rows))[-1]
    assert (
        ratio.ours.startswith(f"{factor:.2f} ({factor:.2f} to {factor:.2f}")
        and ratio.holds == holds
    )
