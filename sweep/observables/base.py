"""The interface of observables: the columns they declare and how they measure them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.filters import Network, TrainingInputs
from sweep.optimizers.oracle import Oracle
from sweep.padding import valid_mask
from sweep.schema import ColumnInfo
from sweep.spec import Scalar
from sweep.trial import Trial


class Snapshot(NamedTuple):
    """A lane at a recorded step, in evaluation mode, with the quantities that observables share.

    `outputs` are those of the network on the training points, `margins` label times output, or
    None where an output is no margin; `patches` are the responses of the filters to the patches.
    Padded points have no meaning in any of them: take extremes by `smallest`. `largest_weight` is
    None in coordinates that cannot compute it; `params` are the trained variables, and `oracle` is
    the objective around them on all training points.
    """

    trial: Trial
    network: Network
    inputs: TrainingInputs
    outputs: Float[Array, "n ..."]
    margins: Float[Array, " n"] | None
    patches: Float[Array, "n P units"]
    loss: Scalar
    gradient_norm: Scalar
    weight_norm: Scalar
    largest_weight: Scalar | None
    params: Any
    oracle: Oracle


class AbstractObservable(ABC):
    """Columns of both tables, measured on a lane at recorded steps; training does not use them."""

    columns: ClassVar[Mapping[str, ColumnInfo]]
    """The columns that it has for any trial, or may have, with their meaning."""

    on_request: ClassVar[bool] = False
    """True where it costs too much to measure unless a grid names it in `record: {metrics: ...}`."""

    @classmethod
    def columns_of(cls, trial: Trial) -> Mapping[str, ColumnInfo]:
        """The columns in the tables of a grid with such a trial; by default `columns`.

        An observable that fits few trials returns none for the others, and one whose columns have
        names that depend on the trial returns these.
        """
        return cls.columns

    @staticmethod
    @abstractmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """The value of each column, without those that the network or data set does not have."""


def smallest(trial: Trial, values: Float[Array, " points"]) -> Scalar:
    """The smallest value over the training points of a trial, without padded points."""
    valid = valid_mask(trial.data.n)
    # Zero, which `mask_padding` would give padded points, could be the smallest value.
    return jnp.min(values if valid is None else jnp.where(valid, values, jnp.inf))
