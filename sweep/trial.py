"""A training run as a pytree of scalars; everything that is not a scalar is compiled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from sweep import data, models, objectives, optimizers
from sweep.data.base import AbstractData
from sweep.filters import COORDINATES, Source
from sweep.models.base import AbstractModel
from sweep.objectives.base import AbstractObjective
from sweep.optimizers.base import AbstractOptimizer
from sweep.spec import Alternative, Check, Registry, Scalar, fields, lane, part, static


@part
class Train:
    """How long and on what batches: `steps` updates unless a target is reached before."""

    steps: Scalar = lane(
        10_000, at_least=0, integer=True, column="max_steps", doc="most updates that are made"
    )
    batch_size: int | None = static(
        None, at_least=1, null="n", doc="points a gradient sees; full for all of them"
    )
    target_loss: Scalar | None = lane(
        None, at_least=0, doc="end when the training loss (without l2) is at most this"
    )
    target_grad: Scalar | None = lane(
        None, at_least=0, doc="end when the norm of the gradient is at most this"
    )

    alternatives: ClassVar[tuple[Alternative, ...]] = (
        Alternative(
            name="epochs",
            field="steps",
            to_field="epochs * ceil(n / batch_size)",
            from_field="steps / ceil(n / batch_size)",
            doc="passes over the training set",
        ),
    )
    checks: ClassVar[tuple[Check, ...]] = (
        Check(
            holds="batch_size <= n",
            what="a batch cannot have more points than the training set",
            cure="Lower batch_size or write batch_size: full",
        ),
    )


@part
class Trial:
    """A training run. Trials with equal data, model, objective and seeds have the same *problem*.

    Their `coordinates` may differ, except that `gram` draws differently and so is its own problem.
    """

    data: AbstractData
    model: AbstractModel
    objective: AbstractObjective
    optimizer: AbstractOptimizer
    train: Train
    coordinates: str = static(
        "ambient", choices=tuple(COORDINATES), doc="coordinates of the first layer"
    )
    seed: Scalar = lane(
        0, at_least=0, at_most=2**32 - 1, integer=True, doc="decides data and initial weights"
    )
    init_seed: Scalar | None = lane(
        None,
        at_least=0,
        at_most=2**32 - 1,
        integer=True,
        doc="decides the initial weights in place of the seed, which then decides the data alone",
        label="seed of initial weights",
    )

    @property
    def source(self) -> Source:
        """What its data and initial weights are drawn from: data model, network and seeds."""
        return Source(self.data, self.model, self.seed, self.init_seed)


FAMILIES: dict[str, Registry] = {
    "data": data.KINDS,
    "model": models.KINDS,
    "objective": objectives.KINDS,
    "optimizer": optimizers.KINDS,
    "train": {"train": Train},
    "schedule": optimizers.SCHEDULES,
}
"""The kinds of each family. The first five families make a trial; the others are nested in them."""

PARTS = ("data", "model", "objective", "optimizer", "train")
PROBLEM = ("data", "model", "objective", "seed")
"""What defines the problem: trials that agree in it have bitwise equal data and initial weights.

`seed` stands for both seeds, of which `init_seed` counts where it differs from the other."""

SEEDS = ("seed", "init_seed")


def defaults(kinds: Iterable[Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """The defaults of all fields of these kinds, by `family kind`.

    A store is rejected where they differ: ids ignore fields at their default.
    """
    used: set[tuple[str, str]] = set()
    for block_kinds in kinds:
        # Train has a single kind, which blocks do not name.
        used |= {*block_kinds.items(), ("train", "train")}
    parts = {f"{family} {kind}": find_kind(family, kind) for family, kind in sorted(used)}
    return {name: _defaults(cls) for name, cls in parts.items() if cls is not None}


def _defaults(cls: type) -> dict[str, Any]:
    """The default of each field of a kind that has one, by field name."""
    return {
        name: field.default
        for name, field in fields(cls).items()
        if field.role != "nested" and not field.required
    }


def find_kind(family: str, kind: str) -> type | None:
    """The class of a kind, or None where the family has none of that name."""
    registered = FAMILIES[family].get(kind)
    if registered is None and family == "optimizer":
        return optimizers.from_optax(kind)
    return registered


def build_trial(kinds: Mapping[str, str], values: Mapping[str, Any]) -> Trial:
    """A trial, or a batch of trials where the values of lane fields are arrays.

    `kinds` maps each family that occurs to its kind (`{"data": "feature_noise", ..., "schedule":
    "constant"}`); `values` maps fields to values and may omit fields with a default.
    """
    parts = {name: _build_part(name, kinds, values) for name in PARTS}
    # Seeds and coordinates belong to the trial itself and have the same defaults as there.
    return Trial(
        seed=values.get("seed", 0),
        init_seed=values.get("init_seed"),
        coordinates=values.get("coordinates", "ambient"),
        **parts,
    )


def _build_part(family: str, kinds: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """The part of a family, with those nested in it."""
    cls = find_kind(family, kinds.get(family, family))
    assert cls is not None, f"{family} has no kind {kinds.get(family)!r}"
    arguments = {}
    for name, field in fields(cls).items():
        # A family without a kind in this block keeps the field's default.
        if field.role == "nested" and field.type in kinds:
            arguments[name] = _build_part(field.type, kinds, values)
        elif name in values:
            arguments[name] = values[name]
    return cls(**arguments)
