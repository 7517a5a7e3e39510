"""What a network is to the rest of the program: first-layer filters and a head, or any flax module on patches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from flax import nnx
from jaxtyping import Array, Float, Int, Key

from sweep.spec import Scalar


class AbstractModel(ABC):
    """A network for binary classification: its margin is positive where it predicts +1."""

    linear: ClassVar[bool] = False
    """True where the margin is linear in the input, so that normalized margins mean something."""

    pointwise: ClassVar[bool] = False
    """True where the margin of a point never depends on other points, so that points of no weight may stand by."""

    @abstractmethod
    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """An nnx module from patches to margins.

        A filtered model is called with the pre-activations (points, patches, units) of its filters; any other with the
        patches themselves (points, patches, d). `rngs` gives keys from the seed of the trial alone.
        """


class AbstractFiltered(AbstractModel):
    """A network that sees its input only through inner products with `units` first-layer filters."""

    @abstractmethod
    def units(self) -> int:
        """Number of filters; a `Size` where it comes from a padded field."""

    @abstractmethod
    def first_scale(self) -> Scalar | None:
        """Standard deviation of first weights that are independent Gaussians, None where they have another law."""

    @abstractmethod
    def first_weights(self, key: Key[Array, ""], rows: Int[Array, " r"], d: Scalar) -> Float[Array, "r units"]:
        """Rows of the first filters W (d, units): what all filters have at the given coordinates of the input."""

    @abstractmethod
    def by_class(self, on_filters: Float[Array, "*rows units"]) -> Float[Array, "*rows 2"]:
        """The largest response among the filters of class +1 and among those of class -1."""
