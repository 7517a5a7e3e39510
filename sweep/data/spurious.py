"""Data with a core feature and a spurious one."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.data.base import AbstractGaussian, NoiseParams, PointInfo, random_label
from sweep.data.vectors import Sparse, Vectors, outer_product
from sweep.spec import Scalar, lane, part, static


@part
class Spurious(AbstractGaussian):
    """Three patches: the core feature y beta_c v_c, the spurious one a beta_s v_s, Gaussian noise.

    Section 3 of Deng et al. (arXiv 2306.04949): a = y with probability `agreement`, else -y;
    beta_c: `core`; beta_s: `spurious`; noise N(0, sigma_p^2 I): `noise`. v_c and v_s are e_1 and
    e_2, as good as any orthonormal pair where noise and first weights are isotropic. Points whose
    attribute a differs from the label are the minority.
    """

    definition: ClassVar[str] = (
        "A point with label y = ±1 has three patches in d dimensions: y core e₁, a spurious e₂ with "
        "a = y for a share agreement of the points and a = -y for the others, and noise of "
        "independent N(0, σ²) numbers; σ is noise."
    )
    groups: ClassVar[tuple[str, ...]] = ("majority", "minority")
    direction_names: ClassVar[tuple[str, ...]] = ("core", "spurious")

    n: int = static(
        10_000, at_least=1, padded=True, doc="training points", label="training points", symbol="n"
    )
    d: int = static(
        50, at_least=3, padded=True, doc="dimension of a patch", label="dimension", symbol="d"
    )
    core: Scalar = lane(0.2, at_least=0, doc="length of the core feature", label="core feature")
    spurious: Scalar = lane(
        1.0, at_least=0, doc="length of the spurious feature", label="spurious feature"
    )
    agreement: Scalar = lane(
        0.98, at_least=0, at_most=1, doc="chance that the spurious feature agrees with the label"
    )
    noise: Scalar = lane(
        0.125, at_least=0, doc="standard deviation of a noise coordinate", label="noise", symbol="σ"
    )
    balanced: bool = static(False, doc="half of the points in each class instead of random labels")

    def features(self, key: Key[Array, ""]) -> Vectors:
        """v_c = e_1 and v_s = e_2."""
        return Sparse(jnp.array([[0], [1]]), jnp.ones((2, 1)))

    def make(
        self,
        uniforms: Float[Array, " 2"],
        row: Int[Array, ""],
        components: Float[Array, "1 2"],
        fresh: bool,
    ) -> NoiseParams:
        """The noise, the label, and the spurious attribute."""
        y = random_label(uniforms[0], row, self.balanced)
        attribute = jnp.where(uniforms[1] < self.agreement, y, -y)
        scale = jnp.full(1, self.noise, components.dtype)
        return NoiseParams(scale, components, PointInfo(y, y, attribute))

    def group(self, info: PointInfo) -> Int[Array, " points"]:
        """1 for the minority, whose spurious feature disagrees with the label."""
        return jnp.where(info.attributes == info.true_label, 0, 1)

    def assemble(
        self,
        on_features: Float[Array, "2 units"],
        on_noise: Float[Array, "points 1 units"],
        info: PointInfo,
    ) -> Float[Array, "points 3 units"]:
        """[y beta_c v_c, a beta_s v_s, xi]."""
        core = outer_product(self.core * info.true_label, on_features[0])
        spurious = outer_product(self.spurious * info.attributes, on_features[1])
        return jnp.stack([core, spurious, on_noise[:, 0]], axis=1)
