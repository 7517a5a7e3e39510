"""On how few training points a neuron lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp

from sweep.models.autoencoder import Autoencoder
from sweep.observables.base import AbstractObservable, Snapshot
from sweep.schema import ColumnInfo
from sweep.spec import Scalar
from sweep.trial import Trial


class WeightSparsity(AbstractObservable):
    """How concentrated s_i = |<w, x_i>| / ||w|| of a one-neuron autoencoder is (arXiv 2308.03215)."""

    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "weight_sparsity": ColumnInfo(
            "sum s_i^4 / (sum s_i^2)^2 over the training points, s_i = |<w, x_i>| / ||w||",
            label="sparsity of the neuron",
            explanation="1 where the neuron lies along a single training point, 1/n where it lies "
            "along all of them alike.",
        ),
        "weight_share": ColumnInfo(
            "max_i |<w, x_i>| / ||w|| over the training points", label="largest share of a point"
        ),
    }

    @classmethod
    def columns_of(cls, trial: Trial) -> Mapping[str, ColumnInfo]:
        """Only for an autoencoder of one neuron."""
        is_one_neuron = isinstance(trial.model, Autoencoder) and trial.model.neurons == 1
        return cls.columns if is_one_neuron else {}

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """Both columns."""
        weights = snapshot.params["head"]["weights"][...]
        share = jnp.abs(snapshot.patches[:, 0] @ weights[:, 0]) / snapshot.weight_norm
        sparsity = jnp.sum(share**4) / jnp.sum(share**2) ** 2
        return {"weight_sparsity": sparsity, "weight_share": jnp.max(share)}
