"""Sparse feature-noise data of the core paper."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.data.base import AbstractData, Points, random_label
from sweep.data.vectors import Sparse, Vectors, axis_direction, outer_product
from sweep.prng import sample_distinct, standard_normal
from sweep.spec import Alternative, Check, Scalar, lane, part, static


@part
class FeatureNoise(AbstractData):
    """One patch is the feature y v, the other sparse Gaussian noise minus a multiple of it.

    Definition 3.1 of Zou, Cao, Li, Gu (arXiv 2108.11371): x = [y v, xi] with v = e_1, xi = z -
    alpha y v, where z has s coordinates chosen uniformly among {2..d}, independent N(0, sigma_p^2).
    n, d: the paper's; s: `sparsity`; sigma_p: `noise`; alpha: `feature_noise`. snr = ||v|| /
    (sigma_p sqrt(s)). The order of the patches is fixed: the networks share filters over patches.
    """

    definition: ClassVar[str] = (
        r"A point with label $y = \pm 1$ has two patches in $d$ dimensions: the feature $y v$, with "
        r"$v = e_1$, and noise $\xi - \alpha y v$. $\xi$ has independent $N(0, \sigma^2)$ numbers at "
        r"$s$ random coordinates other than the first, and zeros elsewhere; $\alpha$ is "
        r"feature_noise, $\sigma$ is noise, $s$ is sparsity. snr is $1 / (\sigma \sqrt{s})$."
    )

    n: int = static(
        200, at_least=1, padded=True, doc="training points", label="training points", symbol="n"
    )
    d: int = static(
        1000, at_least=2, padded=True, doc="dimension of a patch", label="dimension", symbol="d"
    )
    sparsity: int = static(
        100,
        at_least=1,
        padded=True,
        doc="coordinates of the noise that are not zero",
        label="sparsity",
        symbol="s",
    )
    noise: Scalar = lane(
        0.1, at_least=0, doc="standard deviation of a noise coordinate", label="noise", symbol="σ"
    )
    feature_noise: Scalar = lane(
        0.2,
        at_least=0,
        doc="how much of the feature is taken away in the noise patch",
        label="feature noise",
        symbol="α",
        explanation="How much of the feature the noise patch cancels: "
        "it contains minus α times the feature.",
    )
    balanced: bool = static(True, doc="half of the points in each class instead of random labels")

    alternatives: ClassVar[tuple[Alternative, ...]] = (
        Alternative(
            name="snr",
            field="noise",
            to_field="1 / (snr * sqrt(sparsity))",
            from_field="1 / (noise * sqrt(sparsity))",
            doc="signal-to-noise ratio ||v|| / (noise sqrt(sparsity))",
            label="signal-to-noise ratio",
            explanation="Norm of the feature, which all points of a class share, divided by the "
            "typical norm of the noise of a point.",
        ),
    )
    checks: ClassVar[tuple[Check, ...]] = (
        Check(
            holds="sparsity <= d - 1",
            what="the noise cannot have more coordinates than the d - 1 that the feature leaves",
            cure="Lower sparsity, raise d, or keep the points that fit "
            "with where: 'sparsity <= d - 1'",
        ),
    )

    def features(self, key: Key[Array, ""]) -> Vectors:
        """v = e_1."""
        return axis_direction(0)

    def draw(self, key: Key[Array, ""]) -> tuple[Sparse, Float[Array, ""]]:
        """Sparse noise of standard deviation 1, and a uniform number for the label."""
        index_key, value_key, label_key = jax.random.split(key, 3)
        # Coordinate 0 is the feature's.
        index = sample_distinct(index_key, self.sparsity, 1, self.d)
        value = standard_normal(value_key, (self.sparsity,))
        return Sparse(index[None], value[None]), jax.random.uniform(label_key)

    def point(self, draws: Any, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        """Sparse noise of one point and its label."""
        noise, uniform = draws
        y = random_label(uniform, row, self.balanced)
        return Points(noise._replace(value=self.noise * noise.value), y, y)

    def assemble(
        self,
        on_features: Float[Array, "1 units"],
        on_noise: Float[Array, "points 1 units"],
        true_labels: Float[Array, " points"],
    ) -> Float[Array, "points 2 units"]:
        """Responses to patch 0, the feature y v, and to patch 1, the noise minus alpha y v."""
        feature = outer_product(true_labels, on_features[0])
        return jnp.stack([feature, on_noise[:, 0] - self.feature_noise * feature], axis=1)
