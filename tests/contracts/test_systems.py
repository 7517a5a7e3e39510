"""Published systems at a small size: what each paper says about them holds for trainings by the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweep.run import sweep
from tests import ROOT
from tests.benchmarks.systems import findings
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
