"""A data model of a dozen lines and an observable: each a class, a row of its registry, a row of the tests' table."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from sweep import data, observables
from sweep.data.base import (
    AbstractData,
    Dense,
    PointInfo,
    Points,
    Vectors,
    axis_direction,
    random_label,
)
from sweep.observables import AbstractObservable, Snapshot
from sweep.schema import ColumnInfo
from sweep.spec import Scalar, lane, part, static


@part
class Ring(AbstractData):
    """Points on a ring: x = radius u + y e_1 with u uniform on the unit sphere."""

    n: int = static(20, at_least=1, doc="training points")
    d: int = static(5, at_least=2, doc="dimension of a point")
    radius: Scalar = lane(1.0, above=0, doc="radius of the ring", label="ring radius", symbol="ρ")

    def features(self, key: Key[Array, ""]) -> Vectors:
        """The direction of the label."""
        return axis_direction(0)

    def draw(self, key: Key[Array, ""]) -> Any:
        """A Gaussian vector."""
        return jax.random.normal(key, (1, self.d))

    def point(self, drawn: Any, row: Array, features: Vectors, fresh: bool) -> Points:
        """Its direction, times the radius."""
        y = random_label(jnp.zeros(()), row, True)
        return Points(Dense(self.radius * drawn / jnp.linalg.norm(drawn)), PointInfo(y, y))

    def assemble(self, on_features: Array, on_noise: Array, info: PointInfo) -> Array:
        """x = radius u + y e_1."""
        return on_noise + info.true_label[:, None, None] * on_features[0]


class Concentration(AbstractObservable):
    """How unevenly the training margins are spread."""

    columns: ClassVar = {
        "margin_spread": ColumnInfo(
            "max_i y_i f(x_i) - min_i y_i f(x_i)",
            label="spread of margins",
            explanation="A flat network has 0.",
        )
    }

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """The spread."""
        return {"margin_spread": snapshot.margins.max() - snapshot.margins.min()}


data.KINDS["ring"] = Ring
observables.KINDS["concentration"] = Concentration
