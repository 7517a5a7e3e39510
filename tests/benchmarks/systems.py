"""Published systems from their configs: numbers of the paper beside ours over seeds, and whether the acceptance line holds.

`python -m tests.benchmarks systems spurious_features` trains one of them. docs/systems has the definitions and verdicts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import analysis
from tests import ROOT

TEST_POINTS = 10_000
"""Fresh points of spurious_features."""

BOOTSTRAPS = 1000
ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class Finding:
    """One line: a quantity, what was published, what came out over seeds, and whether the acceptance line holds.

    `holds` is None where nothing is asked of the line.
    """

    quantity: str
    published: str
    ours: str
    holds: bool | None = None


def spread(values: Any, factor: float = 1) -> str:
    """Mean with the half-width of its 95 % interval over seeds (Student's t), and the range."""
    each = np.asarray(values, dtype=float) * factor
    half = stdtrit(len(each) - 1, 0.975) * each.std(ddof=1) / np.sqrt(len(each))
    return f"{each.mean():.4g} ± {half:.2g} ({each.min():.4g} to {each.max():.4g})"


def spurious_features(runs: pd.DataFrame) -> list[Finding]:
    """Both cases, gradient descent and momentum."""
    found = []
    for (_, kind), each in runs.groupby(["core", "optimizer"], observed=True):
        hard = bool(each["core"].iloc[0] < 1)
        chance = 1 - each["agreement"].iloc[0] if hard else 0
        error = np.sqrt(chance * (1 - chance) / TEST_POINTS)
        near = bool(((each["test_error"] - chance).abs() <= 3 * error).all())
        minority = each["test_error_minority"]
        lost = bool((minority >= 0.99).all() if hard else (minority == 0).all())
        where = f"case {1 if hard else 2}, {kind}"
        ratio = each["feature_spurious"] / each["feature_core"]
        shown = "spurious over core feature"
        found += [
            Finding(
                f"{where}: test error", "0.0229" if hard else "0", spread(each["test_error"]), near
            ),
            Finding(f"{where}: minority error", "1" if hard else "0", spread(minority), lost),
            Finding(f"{where}: {shown}", "", spread(ratio), _three_times(ratio, hard, kind)),
        ]
    return found


def _three_times(ratio: pd.Series, hard: bool, kind: Any) -> bool | None:
    """Asked of gradient descent in case 1: more than 3 on at least two of four seeds."""
    return int((ratio > 3).sum()) >= len(ratio) / 2 if hard and kind == "gd" else None


def progressive_expansion(runs: pd.DataFrame) -> list[Finding]:
    """Accuracies of the four ways; the minority's have to be in order."""
    add = runs["curriculum_add"].fillna(-1)
    ways = {
        "all data from the start": (add == -1, ("", "")),
        "warm-up alone": (add == 0, ("92.55", "94.76")),
        "warm-up, then all": (add > 1000, ("99.00", "74.24")),
        "progressive expansion": (add == 64, ("92.76", "92.58")),
    }
    found, minority = [], {}
    for way, (rows, published) in ways.items():
        test, group = (1 - runs.loc[rows, c] for c in ("test_error", "test_error_minority"))
        minority[way] = group.mean()
        found.append(Finding(f"{way}: test accuracy, %", published[0], spread(test, 100)))
        found.append(Finding(f"{way}: minority accuracy, %", published[1], spread(group, 100)))
    all_data, warmup, then_all, slow = minority.values()
    order = "order of the minority's means: all data < warm-up, then all < expansion < warm-up"
    values = " < ".join(f"{100 * each:.1f}" for each in (all_data, then_all, slow, warmup))
    return [*found, Finding(order, "holds", values, all_data < then_all < slow < warmup)]


def autoencoder_sparsity(runs: pd.DataFrame, curves: pd.DataFrame) -> list[Finding]:
    """Sparsity above 0.99 below the full batch; at the full batch that of the first weights."""
    first = curves[curves["step"] == 0].set_index("trial")["weight_sparsity"]
    moved = (runs["weight_sparsity"] - runs["trial"].map(first)).abs()
    found = []
    for (kind, batch), each in runs.groupby(["activation", "batch_size"], observed=True):
        full = batch == each["n"].iloc[0]
        where = f"{kind}, batch {batch}{' (full)' if full else ''}"
        published = "dense" if full else "sparse"
        still = bool((moved[each.index] < 1e-4).all()) if kind == "linear" else None
        holds = still if full else bool((each["weight_sparsity"] > 0.99).all())
        found.append(
            Finding(f"{where}: sparsity", published, spread(each["weight_sparsity"]), holds)
        )
        found.append(Finding(f"{where}: trace of the Hessian", "", spread(each["hessian_trace"])))
    return found


def adam_sampling(runs: pd.DataFrame) -> list[Finding]:
    """No test error with replacement; errors that depend on the seed with a permutation."""
    found = []
    for way, each in runs.groupby("sampling", observed=True):
        errors = each.sort_values("seed")["test_error"]
        published, holds = "", None
        if way == "replacement":
            published, holds = "0 in 8 of 8 seeds", bool((errors < 0.01).all())
        if way == "permutation":
            published = "0, 0.48 or 0.96 by seed"
            holds = bool((errors > 0.1).any() and errors.max() - errors.min() > 0.3)
        shown = ", ".join(f"{error:.2f}" for error in errors)
        found.append(Finding(f"{way}: test error by seed", published, shown, holds))
    return found


def label_noise(runs: pd.DataFrame) -> list[Finding]:
    """The bands of the means of test error and training loss, with and without label noise."""
    bands = {
        ("logistic", "test_error"): ("0.47", (0.45, 0.47)),
        ("logistic", "train_loss"): ("", (0.0, 1e-3)),
        ("label_noise", "test_error"): ("0.18 to 0.27", (0.17, 0.27)),
        ("label_noise", "train_loss"): ("", (0.1, 0.13)),
    }
    found = []
    for (kind, column), (published, (low, high)) in bands.items():
        values = runs.loc[runs["objective"] == kind, column]
        holds = bool(low <= values.mean() <= high)
        found.append(Finding(f"{kind}: {column}", published, spread(values), holds))
    return found


def random_pruning(runs: pd.DataFrame) -> list[Finding]:
    """Errors over `keep`, and by what factor the keep at test error 0.2 differs between widths 5 and 20."""
    found = []
    for (width, keep), each in runs.groupby(["width", "keep"]):
        for column, name in (("test_error", "test error"), ("train_error", "training error")):
            found.append(Finding(f"m = {width}, keep {keep:.3f}: {name}", "", spread(each[column])))
    errors = [
        runs[runs["width"] == width].pivot(index="seed", columns="keep", values="test_error")
        for width in (5, 20)
    ]
    ratio = _ratio(errors)
    random = np.random.default_rng(0)
    again = [random.integers(len(errors[0]), size=len(errors[0])) for _ in range(BOOTSTRAPS)]
    low, high = np.quantile([_ratio([each.iloc[rows] for each in errors]) for rows in again], ENDS)
    shown = f"{ratio:.2f} ({low:.2f} to {high:.2f}, 95 % of resampled seeds)"
    return [
        *found,
        Finding("keep at test error 0.2, m = 5 over m = 20", "", shown, 2.5 < ratio < 8),
    ]


def _ratio(errors: list[pd.DataFrame]) -> float:
    """Of the keeps where the mean error over seeds falls to 0.2, for two tables of seeds and keeps."""
    few, many = (_keep_at(each.mean(), 0.2) for each in errors)
    return few / many


def _keep_at(errors: pd.Series, level: float) -> float:
    """Where the running minimum of the mean error crosses a level, between keeps in the logarithm."""
    falling = np.minimum.accumulate(errors.to_numpy())[::-1]
    return float(np.exp(np.interp(level, falling, np.log(errors.index.to_numpy(float))[::-1])))


SYSTEMS: dict[str, Callable[..., list[Finding]]] = {
    "spurious_features": spurious_features,
    "progressive_expansion": progressive_expansion,
    "autoencoder_sparsity": autoencoder_sparsity,
    "adam_sampling": adam_sampling,
    "label_noise": label_noise,
    "random_pruning": random_pruning,
}
"""From the name of a config to what its tables have to show."""
WITH_CURVES = ("autoencoder_sparsity",)


def findings(name: str, store: Path) -> list[Finding]:
    """The lines of a system, from a finished store of its config."""
    tables = [analysis.load(store)]
    if name in WITH_CURVES:
        tables.append(analysis.load_curves(store))
    return SYSTEMS[name](*tables)


def run(_rounds: int, *names: str) -> dict[str, Any]:
    """The configs by the command, all by default; seconds and lines of each."""
    found = {}
    for name in names or SYSTEMS:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            config = ROOT / "configs" / f"{name}.yaml"
            ask = [sys.executable, "-m", "sweep.run", config, "--out", f"{folder}/store", "--quiet"]
            subprocess.run(ask, check=True, capture_output=True, cwd=ROOT)
            seconds = time.perf_counter() - began
            lines = [asdict(each) for each in findings(name, Path(folder) / "store")]
            found[name] = {"seconds": seconds, "findings": lines}
    return found


def table(found: dict[str, Any]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| system | quantity | published | here | acceptance |", "|---|---|---|---|---|"]
    words = {None: "", True: "holds", False: "**fails**"}
    for name, system in found.items():
        lines += [
            f"| {name} | {each['quantity']} | {each['published']} | {each['ours']} "
            f"| {words[each['holds']]} |"
            for each in system["findings"]
        ]
        lines.append(f"| {name} | seconds | | {system['seconds']:.0f} | |")
    return lines
