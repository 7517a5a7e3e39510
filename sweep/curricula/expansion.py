"""All points at once, or a balanced few first."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int

from sweep.curricula.base import AbstractCurriculum
from sweep.data.base import AbstractData, PointInfo
from sweep.spec import Scalar, lane, part

NEVER = jnp.iinfo(jnp.int32).max


@part
class Everything(AbstractCurriculum):
    """All points from the first update on."""

    def arrival(self, data: AbstractData, info: PointInfo) -> None:
        """None."""
        return


@part
class Expansion(AbstractCurriculum):
    """Progressive data expansion: a warm-up on a balanced set, then `add` more points at a time.

    Algorithm 1 of Deng et al. (arXiv 2306.04949). The warm-up has equally many points of each class
    of each group, as many as the smallest of these cells has. After it, `add` points arrive every
    `every` updates, in the order of their rows, so that the cells take turns in proportion to what
    is left of them. `add` = 0 is the warm-up alone, an `add` of at least n is all the rest at once.
    """

    definition: ClassVar[str] = (
        "Training begins on equally many points of each class of each group; after `warmup` updates "
        "`add` more points arrive every `every` updates."
    )

    warmup: Scalar = lane(800, at_least=0, integer=True, doc="updates on the balanced set")
    every: Scalar = lane(100, at_least=1, integer=True, doc="updates from one arrival to the next")
    add: Scalar = lane(64, at_least=0, integer=True, doc="points that arrive at a time")
    expansions: Scalar = lane(
        1_000_000, at_least=0, integer=True, doc="how often points arrive at most"
    )

    def arrival(self, data: AbstractData, info: PointInfo) -> Int[Array, " points"]:
        """0 for the balanced set, a later update for the others, the largest integer for never."""
        cell = 2 * data.group(info) + (info.true_label > 0)
        member = cell[:, None] == jnp.arange(2 * max(len(data.groups), 1))
        rank = jnp.sum(jnp.where(member, jnp.cumsum(member, axis=0) - 1, 0), axis=1)
        is_late = rank >= jnp.min(jnp.sum(member, axis=0))
        turn = (jnp.cumsum(is_late) - 1) // jnp.maximum(self.add, 1)
        arrives = (self.add > 0) & (turn < self.expansions)
        later = jnp.where(arrives, self.warmup + turn * self.every, NEVER)
        return jnp.where(is_late, later, 0).astype(jnp.int32)
