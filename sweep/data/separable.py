"""Linearly separable data for the margins of linear classifiers."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.data.base import AbstractGaussian, NoiseParams, random_label
from sweep.data.vectors import Dense, Vectors
from sweep.prng import standard_normal
from sweep.spec import Scalar, lane, part, static


@part
class Separable(AbstractGaussian):
    """One Gaussian patch a point, with free labels or those of a linear teacher.

    x ~ N(0, I_d). `free`: labels are random, the data separable almost surely for n <= d.
    `teacher`: a unit vector u is drawn for each seed and y = sign(<u, x>), after which x is moved
    by y margin u, so that y <u, x> >= margin for every point. The synthetic setting of Zhang, Zou,
    Cao (arXiv 2406.10650) is `free`. `feature` observes u.
    """

    definition: ClassVar[str] = (
        r"A point is one Gaussian vector $x$ of $N(0, 1)$ numbers in $d$ dimensions with a label "
        r"$y = \pm 1$: a random one, or the side of a random plane on which $x$ lies."
    )

    n: int = static(
        50, at_least=1, padded=True, doc="training points", label="training points", symbol="n"
    )
    d: int = static(
        50, at_least=1, padded=True, doc="dimension of a point", label="dimension", symbol="d"
    )
    labels: str = static("free", choices=("free", "teacher"), doc="where labels come from")
    margin: Scalar = lane(0.0, at_least=0, doc="least distance of a point from the teacher's plane")
    balanced: bool = static(False, doc="half of the points in each class instead of random labels")

    def features(self, key: Key[Array, ""]) -> Vectors:
        """The teacher u, a uniformly random unit vector; none where labels are free."""
        if self.labels == "free":
            return Dense(jnp.zeros((0, int(self.d))))
        # A normalized Gaussian is uniform on the sphere.
        u = standard_normal(key, (1, self.d))
        return Dense(u / jnp.linalg.norm(u))

    def make(
        self,
        uniforms: Float[Array, " 2"],
        row: Int[Array, ""],
        components: Float[Array, "1 K"],
        fresh: bool,
    ) -> NoiseParams:
        """x = g and its label."""
        # With a teacher, x and -x are equally likely: draw the label, then flip x to its side.
        y = random_label(uniforms[0], row, self.balanced)
        if self.labels == "free":
            return NoiseParams(jnp.ones(1, components.dtype), components, y, y)
        side = jnp.sign(components)
        return NoiseParams(y * side[:, 0], components + side * self.margin, y, y)

    def assemble(
        self,
        on_features: Float[Array, "K units"],
        on_noise: Float[Array, "points 1 units"],
        true_labels: Float[Array, " points"],
    ) -> Float[Array, "points 1 units"]:
        """The point itself."""
        return on_noise
