"""Data models, by their name in a grid."""

from __future__ import annotations

from sweep.data.base import AbstractData
from sweep.data.feature_noise import FeatureNoise
from sweep.data.orthonormal import Orthonormal
from sweep.data.separable import Separable
from sweep.data.signal_noise import SignalNoise
from sweep.data.spurious import Spurious

KINDS: dict[str, type[AbstractData]] = {
    "feature_noise": FeatureNoise,
    "signal_noise": SignalNoise,
    "separable": Separable,
    "spurious": Spurious,
    "orthonormal": Orthonormal,
}
