"""Fully connected networks."""

from __future__ import annotations

import itertools
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from sweep.models.base import AbstractModel
from sweep.spec import Scalar, lane, part, static

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": jax.nn.gelu}


@part
class MLP(AbstractModel):
    """`layers` hidden layers of `hidden` neurons on the patches laid side by side, all trained.

    Weights of a layer with k inputs begin as N(0, gain^2 / k), biases as zero. With one output it
    is a margin or a prediction, with more it is a logit for each class.
    """

    definition: ClassVar[str] = (
        "A fully connected network of `layers` hidden layers with `hidden` neurons each on the "
        "patches laid side by side; all weights and biases are trained. Weights of a layer with k "
        "inputs are N(0, 2/k) at first for relu and N(0, 1/k) otherwise, times gain; biases are 0."
    )
    pointwise: ClassVar[bool] = True

    hidden: int = static(64, at_least=1, doc="neurons of a hidden layer", label="hidden neurons")
    layers: int = static(1, at_least=1, at_most=20, doc="hidden layers")
    outputs: int = static(1, at_least=1, doc="outputs: 1, or one for each class")
    activation: str = static("relu", choices=tuple(ACTIVATIONS), doc="activation of hidden layers")
    gain: Scalar = lane(1.0, at_least=0, doc="factor of the first weights")

    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """The whole network."""
        sizes = [patches * int(d), *[self.hidden] * self.layers, self.outputs]
        return DenseLayers(sizes, self.activation, self.gain, rngs)


class DenseLayers(nnx.Module):
    """Dense layers with an activation between them; one output is squeezed away."""

    def __init__(self, sizes: list[int], activation: str, gain: Scalar, rngs: nnx.Rngs) -> None:
        spread = 2.0 if activation == "relu" else 1.0
        init = nnx.initializers.variance_scaling(spread, "fan_in", "normal")
        # Else flax makes weights of single precision where all others are double.
        dtype = jnp.result_type(float)
        layers = [
            nnx.Linear(inputs, outputs, kernel_init=init, param_dtype=dtype, rngs=rngs)
            for inputs, outputs in itertools.pairwise(sizes)
        ]
        for layer in layers:
            layer.kernel[...] = gain * layer.kernel[...]
        self.layers = nnx.List(layers)
        self.activation = activation

    def __call__(self, patches: Float[Array, "points P d"]) -> Float[Array, "points ..."]:
        """The output of each point, or its K outputs."""
        values = patches.reshape(patches.shape[0], -1)
        for layer in self.layers[:-1]:
            values = ACTIVATIONS[self.activation](layer(values))
        outputs = self.layers[-1](values)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
