"""What an observable is: columns that it declares, and how it measures them on a lane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.filters import Network, TrainingInputs
from sweep.padding import valid_mask
from sweep.schema import ColumnInfo
from sweep.spec import Scalar
from sweep.trial import Trial


class Snapshot(NamedTuple):
    """A lane at a recorded step, in evaluation mode, with what all observables share.

    `margins` are label times output of each training point, `patches` what its patches give on the filters;
    `largest_weight` is None in coordinates that do not know it.
    """

    trial: Trial
    network: Network
    inputs: TrainingInputs
    margins: Float[Array, " n"]
    patches: Float[Array, "n P units"]
    loss: Scalar
    gradient_norm: Scalar
    weight_norm: Scalar
    largest_weight: Scalar | None


class AbstractObservable(ABC):
    """Columns of both tables that are measured on a lane; a training step needs none of them."""

    columns: ClassVar[Mapping[str, ColumnInfo]]
    """The columns that it makes, with their meaning."""

    @staticmethod
    @abstractmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """A value for each of its columns; those that a network or data set does not have are left out."""


def smallest(trial: Trial, values: Float[Array, " points"]) -> Scalar:
    """The smallest of one number for each training point; padded points do not count."""
    valid = valid_mask(trial.data.n)
    return jnp.min(values if valid is None else jnp.where(valid, values, jnp.inf))
