"""Objectives, by their name in a grid."""

from __future__ import annotations

from sweep.objectives.base import AbstractObjective
from sweep.objectives.losses import Exponential, Logistic, Square

KINDS: dict[str, type[AbstractObjective]] = {
    "logistic": Logistic,
    "exponential": Exponential,
    "square": Square,
}
