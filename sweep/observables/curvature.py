"""Shape of the weights and of the objective around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from sweep.filters import AbstractFilters
from sweep.models.base import AbstractFiltered
from sweep.observables.base import AbstractObservable, Snapshot
from sweep.schema import ColumnInfo
from sweep.spec import Scalar
from sweep.trial import Trial

PROBES = 16
"""Random sign vectors of the estimate of a trace."""


class StableRank(AbstractObservable):
    """||W||_F^2 / ||W||_2^2 of the filters of the first layer."""

    on_request: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "stable_rank": ColumnInfo(
            "squared Frobenius norm of the first layer over its squared largest singular value",
            label="stable rank",
            formula=r"$\|W\|_F^2 / \|W\|_2^2$",
            explanation="How many directions the filters of the first layer spread over: 1 where "
            "all are parallel.",
        )
    }

    @classmethod
    def columns_of(cls, trial: Trial) -> Mapping[str, ColumnInfo]:
        """None without filters, or in support coordinates, which do not know W^T W."""
        fits = isinstance(trial.model, AbstractFiltered) and trial.coordinates != "support"
        return cls.columns if fits else {}

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """From the eigenvalues of W^T W."""
        filters = snapshot.network.filters
        assert isinstance(filters, AbstractFilters)
        eigenvalues = jnp.linalg.eigvalsh(filters.covariance(snapshot.inputs))
        return {"stable_rank": jnp.sum(eigenvalues) / eigenvalues[-1]}


class HessianTrace(AbstractObservable):
    """Trace of the Hessian of the objective on the training set (Hutchinson 1990, 16 probes)."""

    on_request: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "hessian_trace": ColumnInfo(
            "trace of the Hessian of the training objective in all weights, by 16 random sign "
            "vectors",
            label="trace of the Hessian",
            sense="less",
            explanation="How sharply the training objective curves around the weights, summed over "
            "all directions.",
        )
    }

    @classmethod
    def columns_of(cls, trial: Trial) -> Mapping[str, ColumnInfo]:
        """Only in ambient coordinates, where the variables are the weights."""
        return cls.columns if trial.coordinates == "ambient" else {}

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """The mean of z^T H z over random signs z."""

        def along(key: jax.Array) -> jax.Array:
            signs = optax.tree.random_like(key, snapshot.params, jax.random.rademacher)
            return jnp.asarray(optax.tree.vdot(signs, snapshot.oracle.hvp(snapshot.params, signs)))

        keys = jax.random.split(snapshot.oracle.key, PROBES)
        return {"hessian_trace": jnp.mean(jax.lax.map(along, keys))}
