"""The first layer of a network, in the coordinates in which it is trained.

`ambient`: W (d, units) as it is. `span`: W = kept W0 + tokens^T along. `gram`: the same, where inner products of data
and first weights are drawn from their law. `support`: the rows of W that training data touches. A file a system.
"""

from __future__ import annotations

from sweep.filters.base import AbstractFilters, Scene, Source, upright
from sweep.filters.first_layer import COORDINATES, Network, automatic, network, scene, unfit

__all__ = [
    "COORDINATES", "AbstractFilters", "Network", "Scene", "Source", "automatic", "network", "scene", "unfit", "upright",
]  # fmt: skip
