"""The table of parts: one small example, or a few, of every kind of every family. Contract tests walk it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from sweep import trial as trials
from sweep.trial import Trial

KINDS = {"data": "feature_noise", "model": "cnn", "objective": "logistic", "optimizer": "gd"}
VALUES: dict[str, Any] = {
    "n": 6,
    "d": 12,
    "sparsity": 3,
    "noise": 0.4,
    "width": 2,
    "init_scale": 0.3,
    "l2": 0.01,
    "lr": 0.05,
    "steps": 20,
    "seed": 1,
}
"""A small trial; an example changes a kind and some values of it."""


@dataclass(frozen=True)
class Example:
    """A kind of a family with values that are not all defaults."""

    family: str
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    """Kinds of parts within it, and of those that it cannot do without, by slot."""

    @property
    def kinds(self) -> dict[str, str]:
        """Its own kind, and those of the others."""
        return {self.family: self.kind, **self.others}

    @property
    def id(self) -> str:
        """How pytest calls it."""
        return f"{self.family}-{self.name or self.kind}"

    @property
    def cls(self) -> type:
        """The class of the part."""
        found = trials.find_kind(self.family, self.kind)
        assert found is not None
        return found

    def part(self, **changes: Any) -> Any:
        """The part alone, with those within it."""
        return _part_of(self.trial(**changes), self.family)

    def trial(self, **changes: Any) -> Trial:
        """A whole trial with the part in it."""
        return trial(self.kinds, **{**self.values, **changes})


def _part_of(one: Trial, family: str) -> Any:
    if family == "schedule":
        return one.optimizer.schedule  # type: ignore[attr-defined]
    return one.train.curriculum if family == "curriculum" else getattr(one, family)


def trial(kinds: Mapping[str, str] | None = None, **values: Any) -> Trial:
    """The small trial with other kinds and values."""
    return trials.build_trial({**KINDS, **(kinds or {})}, {**VALUES, **values})


def batch(members: Sequence[Trial]) -> Trial:
    """Trials of equal static fields as one batch, with the types that a plan gives them."""

    def leaf(*values: Any) -> np.ndarray:
        return np.array(
            values, np.int32 if all(isinstance(each, int) for each in values) else np.float64
        )

    stacked = jax.tree.map(leaf, *members)
    return stacked.replace(seed=stacked.seed.astype(np.uint32))


PARTS = (
    Example("data", "feature_noise", {"feature_noise": 0.3}),
    Example("data", "feature_noise", {"balanced": False}, "feature_noise_random_labels"),
    Example("data", "signal_noise", {"signal": 1.5, "flip": 0.2}),
    Example(
        "data",
        "signal_noise",
        {"flip": 0.2, "flip_test": True, "orthogonal": True},
        "signal_noise_orthogonal",
    ),
    Example(
        "data",
        "separable",
        {"labels": "teacher", "margin": 0.3, "balanced": True},
        "separable_teacher",
    ),
    Example("data", "separable", {}, "separable_free"),
    Example("data", "spurious", {"core": 0.5, "spurious": 0.8, "agreement": 0.7}),
    Example("data", "orthonormal"),
    Example("model", "cnn", {"power": 3}),
    Example(
        "model",
        "cnn",
        {"power": 1, "readout": "mean", "patches": "mean", "bias": True, "init": "uniform"},
        "cnn_released_code",
    ),
    Example("model", "cnn", {"power": 3, "odd": True, "bias": True, "gain": 0.5}, "cnn_odd"),
    Example("model", "linear", {"init_scale": 0.2}),
    Example("model", "mlp", {"hidden": 4, "layers": 2, "activation": "tanh", "gain": 0.9}),
    Example(
        "model",
        "autoencoder",
        {"neurons": 2, "activation": "relu", "init_scale": 0.2},
        others={"objective": "reconstruction"},
    ),
    Example("model", "pruned", {"keep": 0.6, "power": 2}, others={"model_inner": "cnn"}),
    Example("objective", "logistic"),
    Example("objective", "exponential"),
    Example("objective", "square"),
    Example("objective", "hinge"),
    Example("objective", "ramp"),
    Example("objective", "generalized_cross_entropy", {"robustness": 0.6}),
    Example("objective", "cross_entropy", {"outputs": 2, "hidden": 3}, others={"model": "mlp"}),
    Example("objective", "squared_error"),
    Example("objective", "reconstruction", others={"model": "autoencoder"}),
    Example(
        "objective", "label_noise", {"label_noise": 0.2}, others={"objective_inner": "logistic"}
    ),
    Example("objective", "mixup", {"share": 0.6}, others={"objective_inner": "logistic"}),
    Example("optimizer", "gd"),
    Example("optimizer", "sgd"),
    Example("optimizer", "momentum", {"momentum": 0.8}),
    Example("optimizer", "nesterov", {"momentum": 0.8}),
    Example("optimizer", "sign_sgd"),
    Example("optimizer", "signum", {"momentum": 0.8}),
    Example("optimizer", "adam", {"b1": 0.8, "b2": 0.95, "eps": 1e-3}),
    Example("optimizer", "adamw", {"b1": 0.8, "b2": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
    Example("optimizer", "rmsprop", {"decay": 0.8, "eps": 1e-3}),
    Example("optimizer", "adagrad", {"initial_accumulator": 0.2, "eps": 1e-3}),
    Example("optimizer", "lion", {"b1": 0.8, "b2": 0.95, "weight_decay": 0.1}),
    Example("optimizer", "gen_sign_sgd", {"b1": 0.8, "b2": 0.95, "eps": 1e-3}),
    Example(
        "optimizer",
        "miadam",
        {"b1": 0.8, "b2": 0.95, "eps": 1e-3, "order": 2, "kappa": 0.7, "switch": 8},
    ),
    Example("optimizer", "k_adam", {"k": 3, "b1": 0.8, "b2": 0.95, "eps": 1e-3}),
    Example(
        "optimizer",
        "critical_momenta",
        {"b1": 0.8, "b2": 0.95, "eps": 1e-3, "slots": 3, "decay": 0.9, "weight_decay": 0.1},
    ),
    Example("optimizer", "delta_clip", {"gamma": 0.5, "delta": 0.2, "weight_decay": 0.1}),
    Example(
        "optimizer",
        "sam",
        {"rho": 0.1, "momentum": 0.8},
        others={"optimizer_inner": "momentum"},
    ),
    Example(
        "optimizer",
        "sassha",
        {"rho": 0.1, "lazy": 3, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
    ),
    Example("optimizer", "optax.nadam", {"b1": 0.8, "b2": 0.95}),
    Example("optimizer", "optax.lamb", {"b1": 0.8, "weight_decay": 0.1}),
    Example("optimizer", "optax.adafactor", {"decay_rate": 0.7}),
    Example("optimizer", "optax.contrib.muon", {"beta": 0.8, "ns_steps": 3}),
    Example("schedule", "constant"),
    Example("schedule", "warmup", {"warmup": 5}),
    Example("schedule", "power", {"exponent": 0.7, "shift": 2.0, "warmup": 3}),
    Example("schedule", "cosine", {"decay_steps": 12, "final": 0.2, "warmup": 3}),
    Example("schedule", "step", {"every": 4, "factor": 0.5, "warmup": 3}),
    Example("schedule", "milestones", {"milestone": 4, "milestone_2": 9, "factor": 0.3}),
    Example("train", "train", {"batch_size": 4, "target_loss": 0.1, "target_grad": 0.01}),
    Example("train", "train", {"batch_size": 4, "sampling": "replacement"}, "train_replacement"),
    Example("train", "train", {"batch_size": 4, "sampling": "fixed"}, "train_fixed"),
    Example("train", "train", {"batch_size": 4, "sampling": "stratified"}, "train_stratified"),
    Example("curriculum", "everything"),
    Example(
        "curriculum",
        "expansion",
        {
            "curriculum_warmup": 2,
            "curriculum_every": 2,
            "curriculum_add": 1,
            "curriculum_expansions": 3,
            "n": 9,
        },
        others={"data": "spurious"},
    ),
)
"""The rows. A new kind needs one here."""


def of(*families: str) -> list[Any]:
    """The rows of some families, as parameters of a test."""
    return [each for each in PARTS if each.family in families]


def named(example: Example) -> str:
    """`ids` of a parametrised test."""
    return example.id
