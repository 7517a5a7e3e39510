"""The commands `relate` and `critical-batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.analysis.cli.test_cli import call


@pytest.fixture
def folder(make: Any, tmp_path: Path) -> Path:
    """Adam's error rises with the norm of the weights and jumps between batches of 4 and 16."""
    rows = []
    for size in (2, 4, 16):
        for seed in range(5):
            for k, name in enumerate(("adam", "gd")):
                error = 0.05 * seed / 4 + 0.4 * (size == 16) * (name == "adam")
                values = {"seed": seed, "batch_size": size, "test_error": error, "snr": 1.0}
                norm = seed**2 if name == "adam" else -seed
                trial = 10 * len(rows) + k
                rows.append(make.row(trial, 10 * seed, name, weight_norm=norm, **values))
    return make.write_store(tmp_path / "s", rows, trials=len(rows))


def test_relate_says_how_they_rise_together(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ("--to", "weight_norm", "--x", "batch_size", "--out", tmp_path / "relate.csv")
    code, out, err = call(capsys, "relate", folder, *options)
    assert (code, err) == (0, "")
    assert "Adam: within a cell, seeds with a larger weight norm have a larger test error" in out
    assert "Gradient descent: within a cell, seeds with a larger weight norm have a smaller" in out
    found = pd.read_csv(tmp_path / "relate.csv")
    assert found["correlation"].tolist() == [1.0, -1.0] and found["cells"].tolist() == [3, 3]
    code, out, _ = call(capsys, "relate", folder, "--to", "weight_norm", "--x", "batch_size")
    figure = folder / "report" / "relate-test_error-weight_norm.pdf"
    assert code == 0 and f"Wrote {figure}." in out and figure.read_bytes().startswith(b"%PDF")


def test_critical_batch_locates_the_jump(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, err = call(capsys, "critical-batch", folder, "--out", tmp_path / "found.csv")
    assert (code, err) == (0, "")
    assert "between the batch sizes 4 and 16, which were run, it rises from 0.025 to 0.42" in out
    assert "the mean test error lies below 0.25 at every batch size that was run." in out
    assert 4 < pd.read_csv(tmp_path / "found.csv").set_index("optimizer").loc["adam", "at"] < 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("relate", "--to", "sharpness"), "has no column 'sharpness'"),
        (("relate", "--to", "test_error"), "test_error cannot be related to itself"),
        (("critical-batch", "--where", "batch_size == 4"), "The runs have 1 batch size"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
):
    command, *options = arguments
    code, _, err = call(capsys, command, folder, *options)
    assert code == 1 and said in err and "Traceback" not in err
