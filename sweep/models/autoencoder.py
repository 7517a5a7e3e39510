"""Autoencoders with tied weights."""

from __future__ import annotations

from typing import ClassVar

import jax
from flax import nnx
from jaxtyping import Array, Float

from sweep.models.base import AbstractModel
from sweep.spec import Scalar, lane, part, static


@part
class Autoencoder(AbstractModel):
    """x -> W phi(W^T x) with W (d, neurons); one neuron in Ghosh, Frei, Ha, Yu (arXiv 2308.03215).

    First weights are N(0, `init_scale`^2).
    """

    definition: ClassVar[str] = (
        "An autoencoder with tied weights: F(x) = W φ(Wᵀx), applied to each patch; φ is the "
        "identity or max(z, 0). First weights are N(0, init_scale²)."
    )
    pointwise: ClassVar[bool] = True

    neurons: int = static(1, at_least=1, doc="neurons")
    activation: str = static("linear", choices=("linear", "relu"), doc="the function phi")
    init_scale: Scalar = lane(
        0.1,
        at_least=0,
        doc="standard deviation of first weights",
        label="initial scale",
        symbol="σ₀",
    )

    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """The encoder and the decoder."""
        weights = self.init_scale * jax.random.normal(rngs.params(), (int(d), self.neurons))
        return TiedLayers(weights, self.activation)


class TiedLayers(nnx.Module):
    """Encoder and decoder of the same `weights` (d, neurons)."""

    def __init__(self, weights: Float[Array, "d neurons"], activation: str) -> None:
        self.weights = nnx.Param(weights)
        self.activation = activation

    def __call__(self, patches: Float[Array, "points P d"]) -> Float[Array, "points P d"]:
        """The reconstruction of each patch."""
        hidden = patches @ self.weights[...]
        hidden = jax.nn.relu(hidden) if self.activation == "relu" else hidden
        return hidden @ self.weights[...].T
