"""The first layer of a network, in the coordinates in which it is trained.

`ambient`: W (d, units) as it is. `span`: W = kept W0 + tokens^T along. `gram`: the same, where
inner products of data and initial weights are drawn from their law. `support`: the rows of W that
training data touches. Each system has a file.
"""

from __future__ import annotations

from sweep.filters.base import AbstractFilters, Source, TrainingInputs, on_transposed_filters
from sweep.filters.first_layer import (
    COORDINATES,
    Network,
    default_coordinates,
    incompatibility,
    initial_network,
    training_inputs,
)

__all__ = [
    "COORDINATES",
    "AbstractFilters",
    "Network",
    "Source",
    "TrainingInputs",
    "default_coordinates",
    "incompatibility",
    "initial_network",
    "on_transposed_filters",
    "training_inputs",
]
