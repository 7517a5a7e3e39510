"""The interface of networks: first-layer filters and a head, or any flax module on patches."""

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
    """True where the margin of a point never depends on other points, so that n may be padded."""

    @abstractmethod
    def head(self, patches: int, d: Scalar, rngs: nnx.Rngs) -> nnx.Module:
        """An nnx module from patches to margins.

        The head of a filtered model maps pre-activations (points, patches, units) of its filters;
        that of any other model the patches themselves (points, patches, d).

        Args:
            patches: number of patches of a point.
            d: dimension of a patch.
            rngs: keys that depend on the seed of the trial alone.
        """


class AbstractFiltered(AbstractModel):
    """A network that reads its input only through inner products with first-layer filters."""

    @abstractmethod
    def units(self) -> int:
        """Number of filters; a `Size`, an int with padding, if it comes from a padded field."""

    @abstractmethod
    def first_scale(self) -> Scalar | None:
        """Standard deviation of independent Gaussian initial weights; None for any other law."""

    @abstractmethod
    def first_weights(
        self, key: Key[Array, ""], rows: Int[Array, " r"], d: Scalar
    ) -> Float[Array, "r units"]:
        """Rows of the initial filters W (d, units).

        Args:
            key: the key of the initial weights of a seed.
            rows: coordinates of the input (r,).
            d: dimension of the input.

        Returns:
            Weights of all filters at these coordinates (r, units); those of padded filters and
            coordinates may be anything.
        """

    @abstractmethod
    def by_class(self, on_filters: Float[Array, "*rows units"]) -> Float[Array, "*rows 2"]:
        """The largest response, not its absolute value, of the filters of class +1, and of -1."""
