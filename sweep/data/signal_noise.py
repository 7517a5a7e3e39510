"""Signal-noise data of the papers on benign overfitting."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep.data.base import AbstractGaussian, NoiseParams, random_label
from sweep.data.vectors import Vectors, axis_direction, outer_product
from sweep.spec import Alternative, Scalar, lane, part, static


@part
class SignalNoise(AbstractGaussian):
    """One patch is the signal y mu, the other dense Gaussian noise; labels may be flipped.

    Definition 3.1 of Cao, Chen, Belkin, Gu (arXiv 2202.06526) with `orthogonal`, noise N(0,
    sigma_p^2 (I - mu mu^T / ||mu||^2)); Definition 1 of Kou, Chen, Chen, Gu (arXiv 2303.04145) with
    label flips. mu = `signal` e_1; sigma_p: `noise`; p: `flip`. snr = ||mu|| / (sigma_p sqrt(d)).
    """

    definition: ClassVar[str] = (
        r"A point with label $y = \pm 1$ has two patches in $d$ dimensions: the signal $y \mu$, "
        r"where $\mu$ is signal times $e_1$, and noise $\xi$ of independent $N(0, \sigma^2)$ numbers "
        r"(orthogonal to $\mu$ if `orthogonal`); $\sigma$ is noise. Labels that the network sees are "
        r"flipped with probability flip. snr is $\|\mu\| / (\sigma \sqrt{d})$."
    )

    n: int = static(
        20, at_least=1, padded=True, doc="training points", label="training points", symbol="n"
    )
    d: int = static(
        100, at_least=2, padded=True, doc="dimension of a patch", label="dimension", symbol="d"
    )
    signal: Scalar = lane(
        1.0, at_least=0, doc="length of the signal vector mu", label="signal strength"
    )
    noise: Scalar = lane(
        1.0, at_least=0, doc="standard deviation of a noise coordinate", label="noise", symbol="σ"
    )
    flip: Scalar = lane(0.0, at_least=0, below=0.5, doc="chance that a training label is flipped")
    flip_test: bool = static(
        False, doc="flip test labels too, so that the test error cannot fall below flip"
    )
    orthogonal: bool = static(False, doc="noise orthogonal to the signal")
    balanced: bool = static(False, doc="half of the points in each class instead of random labels")

    alternatives: ClassVar[tuple[Alternative, ...]] = (
        Alternative(
            name="snr",
            field="noise",
            to_field="signal / (snr * sqrt(d))",
            from_field="signal / (noise * sqrt(d))",
            doc="signal-to-noise ratio signal / (noise sqrt(d))",
            label="signal-to-noise ratio",
            explanation="Norm of the feature, which all points of a class share, divided by the "
            "typical norm of the noise of a point.",
        ),
    )

    def features(self, key: Key[Array, ""]) -> Vectors:
        """The direction of mu: e_1."""
        return axis_direction(0)

    def make(
        self,
        uniforms: Float[Array, " 2"],
        row: Int[Array, ""],
        components: Float[Array, "1 1"],
        fresh: bool,
    ) -> NoiseParams:
        """xi = noise g, without its component along the signal where `orthogonal`."""
        y = random_label(uniforms[0], row, self.balanced)
        flipped = jnp.where(uniforms[1] < self.flip, -y, y)
        # By default test labels are clean, so that the test error is that of the true label.
        label = flipped if self.flip_test or not fresh else y
        remaining = jnp.zeros_like(components) if self.orthogonal else components
        return NoiseParams(jnp.full(1, self.noise, components.dtype), remaining, y, label)

    def assemble(
        self,
        on_features: Float[Array, "1 units"],
        on_noise: Float[Array, "points 1 units"],
        true_labels: Float[Array, " points"],
    ) -> Float[Array, "points 2 units"]:
        """[y mu, xi]."""
        signal = outer_product(self.signal * true_labels, on_features[0])
        return jnp.stack([signal, on_noise[:, 0]], axis=1)
