"""Objectives, by their name in a grid."""

from __future__ import annotations

from sweep.objectives.base import AbstractObjective
from sweep.objectives.losses import (
    Exponential,
    GeneralizedCrossEntropy,
    Hinge,
    Logistic,
    Ramp,
    Square,
)
from sweep.objectives.targets import CrossEntropy, Reconstruction, SquaredError
from sweep.objectives.wrapped import LabelNoise, Mixup

KINDS: dict[str, type[AbstractObjective]] = {
    "logistic": Logistic,
    "exponential": Exponential,
    "square": Square,
    "hinge": Hinge,
    "ramp": Ramp,
    "generalized_cross_entropy": GeneralizedCrossEntropy,
    "cross_entropy": CrossEntropy,
    "squared_error": SquaredError,
    "reconstruction": Reconstruction,
    "label_noise": LabelNoise,
    "mixup": Mixup,
}
