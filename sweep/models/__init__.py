"""Networks, by their name in a grid. A plugin adds another: `models.KINDS["mine"] = Mine`."""

from __future__ import annotations

from sweep.models.base import AbstractModel
from sweep.models.cnn import CNN
from sweep.models.linear import Linear

KINDS: dict[str, type[AbstractModel]] = {
    "cnn": CNN,
    "linear": Linear,
}
