"""Objectives that change what an inner one sees at each step of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sweep.data.points import PointInfo
from sweep.objectives.base import AbstractObjective, ObjectiveInputs, Outputs
from sweep.spec import Scalar, lane, nested, part

INNER = "the objective that is changed"


class AbstractWrapped(AbstractObjective):
    """An objective around another, which it leaves as it is where losses are measured.

    It has the field `inner`, a nested objective whose l2 term it keeps.
    """

    inner: AbstractObjective

    @property
    def l2(self) -> Scalar:  # type: ignore[override]
        """The strength of the inner objective's l2 term."""
        return self.inner.l2

    @property
    def classifies(self) -> bool:
        """Whether the inner objective does."""
        return self.inner.classifies

    def mistakes(self, outputs: Outputs, info: PointInfo) -> Bool[Array, " points"] | None:
        """Those of the inner objective."""
        return self.inner.mistakes(outputs, info)


@part
class LabelNoise(AbstractWrapped):
    """Each label changes its sign with probability `label_noise`, anew at each step.

    Label-noise gradient descent (arXiv 2510.17526). Losses and errors are measured without it.
    """

    definition: ClassVar[str] = (
        "At each step of the training each label changes its sign with probability label_noise; "
        "otherwise the inner objective."
    )

    inner: AbstractObjective = nested("objective", doc=INNER)
    label_noise: Scalar = lane(
        0.1, at_least=0, at_most=1, doc="chance that a label changes its sign at a step"
    )

    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """Those of the inner objective for the noisy labels."""
        if inputs.key is None:
            return self.inner.losses(network, inputs)
        key, inner_key = jax.random.split(inputs.key)
        label = inputs.info.label
        flips = jax.random.bernoulli(key, self.label_noise, label.shape)
        noisy = inputs.info._replace(label=jnp.where(flips, -label, label))
        return self.inner.losses(network, inputs._replace(info=noisy, key=inner_key))


@part
class Mixup(AbstractWrapped):
    """Points x_i become share x_i + (1 - share) x_j with j of a random permutation of the batch.

    The loss is share l(y_i) + (1 - share) l(y_j) (Zou, Cao, Li, Gu, arXiv 2303.08433). Responses of
    filters are linear in the point, so that they are mixed in its place. Losses and errors are
    measured without it.
    """

    definition: ClassVar[str] = (
        "At each step of the training each point is mixed with a random other one of the batch, "
        "share to 1 - share, and so are its losses by the inner objective."
    )

    inner: AbstractObjective = nested("objective", doc=INNER)
    share: Scalar = lane(0.7, at_least=0, at_most=1, doc="weight of the point itself")

    def losses(
        self, network: Callable[[Any], Outputs], inputs: ObjectiveInputs
    ) -> Float[Array, " points"]:
        """The mixed losses of the mixed points."""
        if inputs.key is None:
            return self.inner.losses(network, inputs)
        key, inner_key = jax.random.split(inputs.key)
        partner = jax.random.permutation(key, inputs.patches.shape[0])
        mixed = self.share * inputs.patches + (1 - self.share) * inputs.patches[partner]
        own = inputs._replace(patches=mixed, key=inner_key)
        other = own._replace(info=jax.tree.map(lambda leaf: leaf[partner], inputs.info))
        losses = self.inner.losses(network, own), self.inner.losses(network, other)
        return self.share * losses[0] + (1 - self.share) * losses[1]
