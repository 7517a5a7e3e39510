"""Feature learning and noise memorization of the filters of the first layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp

from sweep.data.base import feature_count
from sweep.models.base import AbstractFiltered
from sweep.observables.base import AbstractObservable, Snapshot, smallest
from sweep.padding import actual_size, mask_padding, valid_mask
from sweep.schema import ColumnInfo
from sweep.spec import Scalar
from sweep.trial import Trial


class Alignment(AbstractObservable):
    """Inner products of filters with feature and noise (arXiv 2108.11371, Section 5)."""

    columns: ClassVar[Mapping[str, ColumnInfo]] = {
        "feature": ColumnInfo(
            "min over the classes j of max_r <w_{j,r}, j v>, v the unit feature direction",
            label="feature learning",
            formula=r"$\min_j \max_r \langle w_{j,r},\, j v\rangle$",
            sense="more",
            explanation="How strongly the filters point along the true feature, in the weaker "
            "class. Below 0 they point against it.",
        ),
        "feature_pos": ColumnInfo("max_r <w_{+1,r}, v>", sense="more"),
        "feature_neg": ColumnInfo("max_r <w_{-1,r}, -v>", sense="more"),
        "noise_min": ColumnInfo(
            "min over training points i of max_r <w_{y_i,r}, xi_i>",
            label="noise memorization",
            formula=r"$\min_i \max_r \langle w_{y_i,r},\, \xi_i\rangle$",
            explanation="How strongly the filters point along the noise of the training points, "
            "at the point where it is weakest.",
        ),
        "noise_mean": ColumnInfo(
            "mean over training points of max_r <w_{y_i,r}, xi_i>",
            label="mean noise memorization",
            formula=r"mean over $i$ of $\max_r \langle w_{y_i,r},\, \xi_i\rangle$",
        ),
        "noise_max": ColumnInfo(
            "max over training points of max_r <w_{y_i,r}, xi_i>",
            label="largest noise memorization",
            formula=r"$\max_{i,r} \langle w_{y_i,r},\, \xi_i\rangle$",
        ),
    }

    @classmethod
    def columns_of(cls, trial: Trial) -> Mapping[str, ColumnInfo]:
        """Its columns, and one for each feature direction that the data model names."""
        if not isinstance(trial.model, AbstractFiltered):
            return cls.columns
        named = {
            f"feature_{name}": ColumnInfo(
                f"max_r |<w_r, v>|, v the unit direction of the {name} feature",
                label=f"learning of the {name} feature",
            )
            for name in trial.data.direction_names
        }
        return {**cls.columns, **named}

    @staticmethod
    def measure(snapshot: Snapshot) -> dict[str, Scalar]:
        """No column without filters, only those of the noise if no feature exists, else all."""
        trial, inputs = snapshot.trial, snapshot.inputs
        if not isinstance(trial.model, AbstractFiltered):
            return {}
        # Patches hold the features first, then the noise vectors.
        on_noise = trial.model.by_class(snapshot.patches[:, -trial.data.noise_vectors :])
        of_class = jnp.where(
            inputs.info.label[:, None] > 0, on_noise[..., 0], on_noise[..., 1]
        ).max(axis=-1)
        # Not `jnp.mean`, which would count padded points.
        mean = jnp.sum(mask_padding(of_class, valid_mask(trial.data.n))) / actual_size(trial.data.n)
        noise = {
            "noise_min": smallest(trial, of_class),
            "noise_mean": mean,
            "noise_max": -smallest(trial, -of_class),
        }
        if feature_count(trial.data) == 0:
            return noise
        names = trial.data.direction_names
        directions = snapshot.network.filters(inputs.tokens.take(slice(max(len(names), 1))))
        named = {
            f"feature_{name}": jnp.max(jnp.abs(direction))
            for name, direction in zip(names, directions, strict=False)
        }
        direction = directions[0]
        positive = trial.model.by_class(direction)[0]
        negative = trial.model.by_class(-direction)[1]
        weaker = jnp.minimum(positive, negative)
        features = {"feature": weaker, "feature_pos": positive, "feature_neg": negative}
        return noise | features | named
