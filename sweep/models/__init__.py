"""Networks, by their name in a grid. A plugin adds another: `models.KINDS["mine"] = Mine`."""

from __future__ import annotations

from sweep.models.autoencoder import Autoencoder
from sweep.models.base import AbstractModel
from sweep.models.cnn import CNN
from sweep.models.linear import Linear
from sweep.models.mlp import MLP
from sweep.models.pruned import Pruned

KINDS: dict[str, type[AbstractModel]] = {
    "cnn": CNN,
    "linear": Linear,
    "mlp": MLP,
    "autoencoder": Autoencoder,
    "pruned": Pruned,
}
