"""Linear classifiers."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from sweep.models.base import AbstractFiltered
from sweep.prng import each_row
from sweep.spec import Scalar, lane, part


@part
class Linear(AbstractFiltered):
    """margin(x) = sum_p <w, x_p>: one filter w that serves class +1 as w and class -1 as -w.

    The convex case of Section 4 of Zou, Cao, Li, Gu (arXiv 2108.11371) and the classifier of Zhang,
    Zou, Cao (arXiv 2406.10650). Initial weights N(0, `init_scale`^2); 0 starts from the origin.
    """

    linear: ClassVar[bool] = True
    pointwise: ClassVar[bool] = True

    definition: ClassVar[str] = (
        r"A linear classifier: $F(x) = \langle w, x\rangle$, summed over patches; initial weights "
        r"are $N(0, \sigma_0^2)$, where $\sigma_0$ is init_scale."
    )

    init_scale: Scalar = lane(
        0.0,
        at_least=0,
        doc="standard deviation of initial weights",
        label="initial scale",
        symbol="σ₀",
    )

    def units(self) -> int:
        """One filter."""
        return 1

    def first_scale(self) -> Scalar | None:
        """init_scale."""
        return self.init_scale

    def first_weights(
        self, key: Key[Array, ""], rows: Int[Array, " r"], d: Scalar
    ) -> Float[Array, "r 1"]:
        """Initial weights at the given coordinates."""
        # A key for each coordinate, so that a larger d continues the smaller draw.
        return self.init_scale * each_row(lambda key, _: jax.random.normal(key, (1,)), key, rows)

    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """The sum over patches."""
        return SumPatches()

    def by_class(self, on_filters: Float[Array, "*rows 1"]) -> Float[Array, "*rows 2"]:
        """The filter and its negative."""
        return jnp.concatenate([on_filters, -on_filters], axis=-1)


class SumPatches(nnx.Module):
    """Adds up the responses of all patches and filters."""

    def __call__(self, pre: Float[Array, "points P units"]) -> Float[Array, " points"]:
        """The margin of each point."""
        return jnp.sum(pre, axis=(-2, -1))
