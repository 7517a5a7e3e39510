"""A training run as a pytree of scalars; everything that is not a scalar is compiled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from sweep import curricula, data, models, objectives, optimizers
from sweep.curricula.base import AbstractCurriculum
from sweep.curricula.expansion import Everything
from sweep.data.base import AbstractData
from sweep.filters import COORDINATES, Source
from sweep.models.base import AbstractModel
from sweep.objectives.base import AbstractObjective
from sweep.optimizers.base import AbstractOptimizer
from sweep.spec import (
    Alternative,
    Check,
    Registry,
    Scalar,
    Slot,
    fields,
    lane,
    nested,
    nested_fields,
    part,
    static,
)


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

    sampling: str = static(
        "permutation",
        choices=("permutation", "replacement", "fixed", "stratified"),
        doc="how mini-batches are drawn: a new permutation each epoch, independent points with "
        "replacement, the order of the rows, or permutations with equal shares of the classes",
    )
    curriculum: AbstractCurriculum = nested(
        "curriculum",
        Everything(),
        doc="from which update on each point is seen",
        prefix="curriculum_",
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
    "curriculum": curricula.KINDS,
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
    used = {(slot.family, kind) for block in kinds for slot, kind, _ in parts_of(block)}
    parts = {f"{family} {kind}": find_kind(family, kind) for family, kind in sorted(used)}
    return {name: _defaults(cls) for name, cls in parts.items() if cls is not None}


def parts_of(kinds: Mapping[str, str]) -> Iterator[tuple[Slot, str, type]]:
    """The slot, kind and class of each part that the kinds of a block name, nested ones included.

    `train` has a single kind, which blocks do not name.
    """
    for family in PARTS:
        yield from _parts_within(Slot(family, family), kinds)


def _parts_within(slot: Slot, kinds: Mapping[str, str]) -> Iterator[tuple[Slot, str, type]]:
    kind = kinds.get(slot.name, slot.family)
    cls = find_kind(slot.family, kind)
    # A store may name kinds of a plugin that is not there.
    if cls is None:
        return
    yield slot, kind, cls
    for field in nested_fields(cls).values():
        if (inner := slot.within(field)).name in kinds:
            yield from _parts_within(inner, kinds)


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

    `kinds` maps each slot that is filled to its kind (`{"data": "feature_noise", ..., "schedule":
    "constant"}`); `values` maps fields to values and may omit fields with a default.
    """
    parts = {name: _build_part(Slot(name, name), kinds, values) for name in PARTS}
    # Seeds and coordinates belong to the trial itself and have the same defaults as there.
    return Trial(
        seed=values.get("seed", 0),
        init_seed=values.get("init_seed"),
        coordinates=values.get("coordinates", "ambient"),
        **parts,
    )


def example_part(family: str, kinds: Mapping[str, str]) -> Any:
    """A part with 1 for each required number, for questions that the kinds alone decide."""
    values = {
        slot.prefix + name: 1
        for slot, _, cls in parts_of(kinds)
        for name, field in fields(cls).items()
        if field.required and field.role != "nested"
    }
    return _build_part(Slot(family, family), kinds, values)


def _build_part(slot: Slot, kinds: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """The part of a slot, with those nested in it."""
    cls = find_kind(slot.family, kinds.get(slot.name, slot.family))
    assert cls is not None, f"{slot.family} has no kind {kinds.get(slot.name)!r}"
    arguments = {}
    for name, field in fields(cls).items():
        inner = slot.within(field) if field.role == "nested" else None
        # A slot without a kind in this block keeps the field's default.
        if inner and inner.name in kinds:
            arguments[name] = _build_part(inner, kinds, values)
        elif not inner and slot.prefix + name in values:
            arguments[name] = values[slot.prefix + name]
    return cls(**arguments)
