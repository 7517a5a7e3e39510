"""Optimizers and schedules, by their name in a grid; any other of optax is `optax.NAME`."""

from __future__ import annotations

from sweep.optimizers.adaptive import AdaGrad, Adam, AdamW, Lion, RMSProp
from sweep.optimizers.aliases import from_optax
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import GradientDescent, Momentum, Nesterov, SignSGD, Signum
from sweep.optimizers.schedules import (
    AbstractSchedule,
    Constant,
    Cosine,
    Milestones,
    Power,
    StepDecay,
    Warmup,
)

KINDS: dict[str, type[AbstractOptimizer]] = {
    "gd": GradientDescent,
    "sgd": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "sign_sgd": SignSGD,
    "signum": Signum,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSProp,
    "adagrad": AdaGrad,
    "lion": Lion,
}

LABELS: dict[str, str] = {
    "gd": "gradient descent",
    "sgd": "SGD",
    "momentum": "heavy-ball momentum",
    "nesterov": "Nesterov momentum",
    "sign_sgd": "signSGD",
    "signum": "Signum",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSProp",
    "adagrad": "AdaGrad",
    "lion": "Lion",
}
"""What papers call them, for reports; a kind without a row goes by its name in a grid."""

SCHEDULES: dict[str, type[AbstractSchedule]] = {
    "constant": Constant,
    "warmup": Warmup,
    "power": Power,
    "cosine": Cosine,
    "step": StepDecay,
    "milestones": Milestones,
}

__all__ = ["KINDS", "LABELS", "SCHEDULES", "AbstractOptimizer", "AbstractSchedule", "from_optax"]
