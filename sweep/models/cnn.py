"""Two-layer convolutional networks with a fixed second layer."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from sweep.models.base import AbstractFiltered
from sweep.padding import actual_size, mask_padding, scale_size, valid_mask
from sweep.prng import each_row
from sweep.spec import Scalar, lane, part, static


@part
class CNN(AbstractFiltered):
    """Two-layer CNN: F_j(x) = c sum_r sum_p act(<w_{j,r}, x_p>), margin F_{+1} - F_{-1}.

    Equation (3.1) of Zou, Cao, Li, Gu (arXiv 2108.11371) with `readout: sum` (c = 1) and q =
    `power`, act(z) = max(z, 0)^q; Section 3 of Kou et al. (arXiv 2303.04145) with `readout: mean`
    (c = 1/m) and power 1. m: `width`; initial weights N(0, `init_scale`^2). The released code of the
    latter is `patches: mean, bias: true, init: uniform`, its released grid was
    made with `patches: sum`. Filters of the two classes alternate: filter 2r belongs to class +1,
    filter 2r + 1 to class -1.
    """

    pointwise: ClassVar[bool] = True

    definition: ClassVar[str] = (
        "A network of $m$ filters per class ($m$ is width) that all patches of a point share: "
        r"$F(x) = \sum \pm \max(\langle w, p\rangle, 0)^q$ over patches $p$ and filters $w$, + for "
        "filters of class +1 and - for those of class -1 (means instead of sums if readout or "
        r"patches say so); $q$ is power. Initial weights are $N(0, \sigma_0^2)$, where $\sigma_0$ is "
        "init_scale, unless init says otherwise; only the filters $w$ (and biases) are trained."
    )

    width: int = static(
        20, at_least=1, padded=True, doc="filters a class", label="width", symbol="m"
    )
    power: int = static(
        3, at_least=1, doc="exponent q of the activation max(z, 0)^q", label="power", symbol="q"
    )
    readout: str = static("sum", choices=("sum", "mean"), doc="how filters are put together")
    patches: str = static("sum", choices=("sum", "mean"), doc="how patches are put together")
    bias: bool = static(False, doc="a trained bias for each filter")
    init: str = static(
        "normal",
        choices=("normal", "uniform"),
        doc="law of initial weights; uniform is in +-1/sqrt(d)",
    )
    init_scale: Scalar = lane(
        0.01,
        at_least=0,
        doc="standard deviation of initial weights, where init is normal",
        label="initial scale",
        symbol="σ₀",
    )

    def units(self) -> int:
        """Filters of both classes."""
        return scale_size(self.width, 2)

    def first_scale(self) -> Scalar | None:
        """`init_scale` if the initial weights are Gaussian, else None."""
        return self.init_scale if self.init == "normal" else None

    def first_weights(
        self, key: Key[Array, ""], rows: Int[Array, " r"], d: Scalar
    ) -> Float[Array, "r units"]:
        """Initial weights at the given coordinates."""
        units = int(self.units())
        # A key for each coordinate, so that a larger d or width continues the smaller draw.
        if self.init == "uniform":
            return each_row(lambda key, _: _uniform(key, units, d), key, rows)
        return self.init_scale * each_row(
            lambda key, _: jax.random.normal(key, (units,)), key, rows
        )

    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """The activation and the fixed second layer."""
        valid = valid_mask(self.units())
        bias = None
        if self.bias:
            bias = nnx.Param(mask_padding(_uniform(rngs.params(), self.units(), d), valid))
        signs = mask_padding(jnp.tile(jnp.array([1.0, -1.0]), int(self.width)), valid)
        return SecondLayer(self.power, self._second_weight(patches) * signs, bias)

    def _second_weight(self, patches: int) -> Scalar:
        """The weight of each filter and patch in the margin, up to the sign."""
        weight = 1.0 / actual_size(self.width) if self.readout == "mean" else 1.0
        return weight / patches if self.patches == "mean" else weight

    def by_class(self, on_filters: Float[Array, "*rows units"]) -> Float[Array, "*rows 2"]:
        """The largest response (not in absolute value) of the filters of class +1, and of -1."""
        valid = valid_mask(self.units())
        if valid is not None:
            # Zeros would win where all actual responses are negative.
            on_filters = jnp.where(valid, on_filters, -jnp.inf)
        return jnp.max(on_filters.reshape(*on_filters.shape[:-1], int(self.width), 2), axis=-2)


def _uniform(key: Key[Array, ""], units: int, d: Scalar) -> Float[Array, " units"]:
    """Uniform numbers within +-1/sqrt(d), one for each filter."""
    return jax.random.uniform(key, (int(units),), minval=-1.0, maxval=1.0) / jnp.sqrt(1.0 * d)


class SecondLayer(nnx.Module):
    """Sums max(z, 0)^power over patches, then over filters with fixed weights `second` (units,)."""

    def __init__(self, power: int, second: Float[Array, " units"], bias: nnx.Param | None) -> None:
        self.power = power
        self.second = nnx.Variable(second)
        self.bias = bias

    def __call__(self, pre: Float[Array, "points P units"]) -> Float[Array, " points"]:
        """The margin of each point, from pre-activations."""
        if self.bias is not None:
            pre = pre + self.bias[...]
        active = jax.nn.relu(pre) ** self.power
        # One product over patches and filters: two reductions take up to 1.5 times as long on CPUs.
        return active.reshape(*pre.shape[:-2], -1) @ jnp.tile(self.second[...], pre.shape[-2])
