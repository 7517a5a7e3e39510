"""What was trained, in formulas: the kinds of a sweep and its numbers, for readers who know neither code nor grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.tables.axes import sorted_unique, swept
from analysis.tables.labels import format_number

if TYPE_CHECKING:
    import pandas as pd

KINDS: dict[str, dict[str, str]] = {
    "data": {
        "feature_noise": (
            "A point with label y = ±1 has two patches in d dimensions: the feature y v, with v = e₁, and noise "
            "ξ - α y v. ξ has independent N(0, σ²) numbers at s random coordinates other than the first, and zeros "
            "elsewhere; α is feature_noise, σ is noise, s is sparsity. snr = 1 / (σ √s)."
        ),
        "signal_noise": (
            "A point with label y = ±1 has two patches in d dimensions: the signal y μ, with μ = signal e₁, and noise "
            "ξ of independent N(0, σ²) numbers (orthogonal to μ where `orthogonal`), σ being noise. Labels that the "
            "network sees are flipped with the chance flip. snr = signal / (σ √d)."
        ),
        "separable": (
            "A point is one Gaussian vector x of N(0, 1) numbers in d dimensions with a label y = ±1: a random one, "
            "or the side of a random plane on which x lies."
        ),
    },
    "model": {
        "cnn": (
            "A network of m filters a class (width) that all patches share: F(x) = Σ ± max(⟨w, patch⟩, 0)^q, summed "
            "over patches and filters, + for filters of class +1 and - for those of class -1 (means instead of sums "
            "where readout or patches say so); q is power. First weights are N(0, init_scale²) unless init says "
            "otherwise; only the filters w (and biases) are trained."
        ),
        "linear": "A linear classifier: F(x) = ⟨w, x⟩, summed over patches; first weights are N(0, init_scale²).",
    },
    "objective": {
        "logistic": "The loss of a point is log(1 + exp(-y F(x)))",
        "exponential": "The loss of a point is exp(-y F(x))",
        "square": "The loss of a point is (y F(x) - 1)²",
    },
}
"""Formulas of each kind; what is not listed is a part of the user's own."""

REGULARIZED = (
    "; training minimises its mean over the training points plus (l2 / 2) times the squared norm of the weights."
)
TESTED = "A point with y F(x) ≤ 0 counts as an error."


def training_setting(runs: pd.DataFrame) -> list[str]:
    """Sentences that define data, network and loss of these runs, then what they have in common and what was varied."""
    told = [
        text + (REGULARIZED if family == "objective" else "")
        for family, texts in KINDS.items()
        for name in sorted_unique(runs, family)
        if (text := texts.get(str(name)))
    ]
    return [*told, TESTED, *_numbers(runs)]


def _numbers(runs: pd.DataFrame) -> list[str]:
    """The values of all fields: one where it is the same in all runs, else from where to where."""
    varied = swept(runs)
    fields = [name for name in PARAMETERS if name in runs and runs[name].notna().any()]
    same = [f"{name} = {format_number(runs[name].dropna().iloc[0])}" for name in fields if runs[name].nunique() == 1]
    ranges = [_range(runs, name) for name in [*(name for name in varied if name not in FAMILIES), "seed"]]
    told = [f"The same in all runs: {', '.join(same)}."] if same else []
    return [*told, f"Varied: {'; '.join(ranges)}."]


FAMILIES = ("data", "model", "objective", "optimizer", "schedule")
PARAMETERS = (
    "n", "d", "sparsity", "signal", "noise", "snr", "feature_noise", "flip", "margin", "width", "power", "init_scale",
    "l2", "batch_size", "max_steps",
)  # fmt: skip
"""Fields that a reader has to know, in the order of telling."""


def _range(runs: pd.DataFrame, name: str) -> str:
    values = list(sorted_unique(runs, name))
    if len(values) <= 4:
        return f"{name} {', '.join(map(format_number, values))}"
    return f"{name} from {format_number(values[0])} to {format_number(values[-1])} ({len(values)} values)"
