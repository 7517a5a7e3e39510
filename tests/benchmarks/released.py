"""The published grid of the ReLU figure beside ours: errors and losses of `benign_relu`, 100 seeds in each cell.

Published is what github.com/uclaml/Benign_ReLU_CNN holds in "Source file" (commit 20ca259): data_test100.csv and
data_train100.csv, a row for each d = 100, 110, ..., 1090, a column for each signal = 0, 0.1, ..., 9.9, each number the
mean over ten trainings of the test error on 1,000 points or of the training loss. It is not smoothed: all errors are
multiples of 0.0001. Two dozen cells stand in released_relu.csv; `python -m tests.benchmarks.released FOLDER` compares
98 cells of the whole grid, and prints the map of their differences.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

import analysis
from tests import ROOT

CONFIG = ROOT / "configs" / "benign_relu.yaml"
KEPT = Path(__file__).with_name("released_relu.csv")
SEEDS, REPEATS = 100, 10
"""Trainings of a cell, ours and published."""


@dataclass(frozen=True)
class Plane:
    """Cells of the published grid: each `step`-th of its d and of its signal, from the first."""

    step: tuple[int, int]
    cells: tuple[int, int]

    @property
    def d(self) -> list[int]:
        """The dimensions."""
        return [100 + 10 * self.step[0] * i for i in range(self.cells[0])]

    @property
    def signal(self) -> list[float]:
        """The signals."""
        return [self.step[1] * j / 10 for j in range(self.cells[1])]

    def published(self, folder: Path) -> pd.DataFrame:
        """The cells in the files of the repository, as in released_relu.csv."""
        (rows, columns), (dims, signals) = self.step, self.cells
        error, loss = (
            np.loadtxt(folder / f"data_{name}100.csv")[::rows, ::columns][:dims, :signals]
            for name in ("test", "train")
        )
        d, signal = (each.ravel() for each in np.meshgrid(self.d, self.signal, indexing="ij"))
        values = {"test_error": error.ravel(), "train_loss": loss.ravel()}
        return pd.DataFrame({"d": d, "signal": signal, **values})

    def grid(self, **model: str) -> str:
        """The config on these cells. As in the script, no two cells share a training set.

        With seeds in common all cells would be off together, in one direction.
        """
        content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        content["data"] |= {"d": self.d, "signal": self.signal}
        content["model"] |= model
        content["seed"] = {"range": [0, SEEDS * self.cells[0] * self.cells[1]]}
        row = f"round((d - 100) / {10 * self.step[0]})"
        column = f"round(10 * signal / {self.step[1]})"
        content["where"] = f"seed // {SEEDS} == {row} * {self.cells[1]} + {column}"
        return yaml.safe_dump(content)


FEW = Plane((32, 14), (4, 6))
"""The cells of released_relu.csv."""
MANY = Plane((16, 7), (7, 14))


def compare(runs: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The published cells with our `error`, the `difference` (ours less theirs), its `z` and the `loss_ratio`.

    z is in standard errors of the difference of two means, of SEEDS and of REPEATS trainings, with the variance of our
    seeds in that cell. A mean loss is led by a few trainings that did not fit, so the ratio is the median over groups
    of REPEATS seeds of their mean loss over the published one.
    """
    groups = runs.groupby(["d", "signal"])
    ours = groups["test_error"].agg(error="mean", variance="var")
    losses = runs.groupby(["d", "signal", runs["seed"] // REPEATS])["train_loss"].mean()
    ours["loss"] = losses.groupby(level=[0, 1]).median()
    table = published.merge(ours.reset_index(), on=["d", "signal"], validate="one_to_one")
    table["difference"] = table["error"] - table["test_error"]
    table["standard_error"] = np.sqrt(table["variance"] * (1 / SEEDS + 1 / REPEATS))
    table["z"] = table["difference"] / table["standard_error"]
    table["loss_ratio"] = table["loss"] / table["train_loss"]
    return table


def train(plane: Plane, patches: str) -> pd.DataFrame:
    """The runs of these cells by the command."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "grid.yaml"
        path.write_text(plane.grid(patches=patches), encoding="utf-8")
        ask = [sys.executable, "-m", "sweep.run", path, "--out", f"{name}/store", "--quiet"]
        subprocess.run(ask, check=True, capture_output=True)
        return analysis.load(f"{name}/store")


def run(_rounds: int) -> dict[str, Any]:
    """The kept cells with the sum over patches, which the config takes, and the mean."""
    published = pd.read_csv(KEPT, comment="#")
    return {
        patches: compare(train(FEW, patches), published).to_dict("list")
        for patches in ("sum", "mean")
    }


def table(found: dict[str, Any]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| over patches | cells | mean difference of errors | its z | largest | rms z | loss over published, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for patches, cells in found.items():
        difference, z = np.array(cells["difference"]), np.array(cells["z"])
        of_mean = difference.sum() / np.linalg.norm(cells["standard_error"])
        lines.append(
            f"| {patches} | {len(z)} | {difference.mean():+.4f} | {of_mean:+.1f} "
            f"| {np.abs(difference).max():.3f} | {np.sqrt((z**2).mean()):.2f} "
            f"| {np.median(cells['loss_ratio']):.2f} |"
        )
    return lines


def main(folder: Path) -> None:
    """Compare the cells of the whole grid, and print where errors differ by how many standard errors."""
    published = MANY.published(folder)
    found = {each: compare(train(MANY, each), published) for each in ("sum", "mean")}
    print("\n".join(table({name: cells.to_dict("list") for name, cells in found.items()})))
    for name, cells in found.items():
        plane = cells.pivot(index="d", columns="signal", values=["difference", "z"])
        for value, digits in (("difference", 3), ("z", 1)):
            print(f"\n{name} over patches, {value}\n{plane[value].round(digits).to_string()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
