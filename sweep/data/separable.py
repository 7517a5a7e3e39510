"""Linearly separable data for the margins of linear classifiers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.data.base import AbstractGaussian, Dense, NoiseParams, Vectors, random_label
from sweep.padding import mask_padding, valid_mask
from sweep.spec import Scalar, lane, part, static


@part
class Separable(AbstractGaussian):
    """One Gaussian patch a point, with free labels or those of a linear teacher.

    x ~ N(0, I_d). `free`: labels are random, the data separable almost surely for n <= d. `teacher`: a unit vector u
    is drawn once a seed and y = sign(<u, x>), after which x is moved by y margin u: y <u, x> >= margin for every point.
    The synthetic setting of Zhang, Zou, Cao (arXiv 2406.10650) is `free`. `feature` observes u.
    """

    n: int = static(50, at_least=1, padded=True, doc="training points")
    d: int = static(50, at_least=1, padded=True, doc="dimension of a point")
    labels: str = static("free", choices=("free", "teacher"), doc="where labels come from")
    margin: Scalar = lane(0.0, at_least=0, doc="least distance of a point from the teacher's plane")
    balanced: bool = static(False, doc="half of the points in each class instead of random labels")

    def features(self, key: Key[Array, ""]) -> Vectors:
        """The teacher u, a uniformly random unit vector; none where labels are free."""
        if self.labels == "free":
            return Dense(jnp.zeros((0, int(self.d))))
        u = mask_padding(jax.random.normal(key, (1, int(self.d))), valid_mask(self.d))
        return Dense(u / jnp.linalg.norm(u))

    def make(
        self, luck: Float[Array, " 2"], row: Int[Array, ""], seen: Float[Array, "1 K"], fresh: bool
    ) -> NoiseParams:
        """x = g and its label. With a teacher, x and -x are equally likely, so the label is drawn first."""
        y = random_label(luck[0], row, self.balanced)
        if self.labels == "free":
            return NoiseParams(jnp.ones(1, seen.dtype), seen, y, y)
        side = jnp.sign(seen)
        return NoiseParams(y * side[:, 0], seen + side * self.margin, y, y)

    def assemble(
        self,
        on_features: Float[Array, "K units"],
        on_noise: Float[Array, "points 1 units"],
        truth: Float[Array, " points"],
    ) -> Float[Array, "points 1 units"]:
        """The point itself."""
        return on_noise
