"""Declarations: what a part says about its fields, and that all parts say it well."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from sweep import schema, spec, trial
from sweep.grid.syntax import expressions
from sweep.optimizers import from_optax
from sweep.optimizers.schedules import Constant
from sweep.padding import Size, actual_size, mask_padding, scale_size, valid_mask
from sweep.spec import Scalar, lane, nested, part, static
from tests.contracts.parts import PARTS, Example, named, of

ALL_ALIASES = [kind for name in dir(optax) if from_optax(kind := f"optax.{name}")]
ALL_ALIASES += [kind for name in dir(optax.contrib) if from_optax(kind := f"optax.contrib.{name}")]
CLASSES = {
    f"{family}-{kind}": (family, cls)
    for family, kinds in trial.FAMILIES.items()
    for kind, cls in kinds.items()
}
CLASSES |= {kind: ("optimizer", cls) for kind in ALL_ALIASES if (cls := from_optax(kind))}
PARAMETERS = [pytest.param(*each, id=name) for name, each in CLASSES.items()]


@part
class Toy:
    """A part with a field of every sort."""

    size: int = static(3, at_least=1, at_most=9, doc="a count")
    word: str = static("a", choices=("a", "b"), doc="a word")
    limit: int | None = static(None, at_least=1, null="size", doc="a count or nothing")
    rate: Scalar = lane(above=0, below=2, doc="a number")
    count: Scalar = lane(5, integer=True, column="most", doc="a whole number")
    target: Scalar | None = lane(None, at_least=0, doc="a number or nothing")
    schedule: Constant = nested("schedule", Constant(), doc="a part")


def test_every_registered_kind_has_a_row_in_the_table_of_parts() -> None:
    rows = {(each.family, each.kind) for each in PARTS}
    kinds = {(family, kind) for family, kinds in trial.FAMILIES.items() for kind in kinds}
    assert kinds <= rows
    assert len({each.id for each in PARTS}) == len(PARTS)


def test_fields_tell_what_was_declared() -> None:
    found = spec.fields(Toy)
    roles = ["static", "static", "static", "lane", "lane", "lane", "nested"]
    types = [int, str, int, float, int, float, "schedule"]
    assert [each.role for each in found.values()] == roles
    assert [each.type for each in found.values()] == types
    assert [each.column for each in found.values()] == [
        "size",
        "word",
        "limit",
        "rate",
        "most",
        "target",
        "schedule",
    ]
    assert [name for name, each in found.items() if each.required] == ["rate"]
    assert [name for name, each in found.items() if each.optional] == ["limit", "target"]
    assert (found["size"].at_least, found["size"].at_most, found["size"].above) == (1, 9, None)
    assert (found["rate"].above, found["rate"].below, found["rate"].at_least) == (0, 2, None)
    assert (found["word"].choices, found["limit"].null, found["rate"].doc) == (
        ("a", "b"),
        "size",
        "a number",
    )


def test_a_part_takes_keyword_arguments_only_and_never_changes() -> None:
    with pytest.raises(TypeError, match="positional"):
        Toy(1)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Toy(rate=1.0).rate = 2.0  # type: ignore[misc]


def test_what_is_left_out_is_no_leaf() -> None:
    """A feature that a trial does not have costs a program nothing: None is no number of the pytree."""
    assert jax.tree.leaves(Toy(rate=1.5)) == [1.5, 5]
    assert jax.tree.leaves(Toy(rate=1.5, target=0.5)) == [1.5, 5, 0.5]
    assert jax.tree.structure(Toy(rate=1.0, size=2)) != jax.tree.structure(Toy(rate=1.0, size=3))


def test_parts_of_different_kinds_are_never_one_structure() -> None:
    """Programs are kept by structure: Nesterov must not be trained by the program of Momentum, which has its fields."""
    classes = list({cls for _, cls in CLASSES.values()})
    required = [
        {name: _some(each) for name, each in spec.fields(cls).items() if each.required}
        for cls in classes
    ]
    structures = [
        jax.tree.structure(cls(**given)) for cls, given in zip(classes, required, strict=True)
    ]
    likes = {(len(spec.fields(cls)), *spec.fields(cls)) for cls in classes}
    assert len(likes) < len(classes), (
        "no two parts have the same fields, so that this test shows nothing"
    )
    for one, other in itertools.combinations(range(len(classes)), 2):
        assert structures[one] != structures[other], (classes[one], classes[other])


@pytest.mark.parametrize(("family", "cls"), PARAMETERS)
def test_leaves_of_a_part_are_its_lane_fields(family: str, cls: type) -> None:
    fields = spec.fields(cls)
    lanes = [name for name, each in fields.items() if each.role == "lane"]
    values = {name: 1000.0 + place for place, name in enumerate(lanes)}
    given = values | {
        name: _some(each) for name, each in fields.items() if each.required and name not in values
    }
    leaves = jax.tree.leaves(cls(**given))
    assert [each for each in leaves if each >= 1000] == list(values.values())
    assert len(leaves) == len(values) or spec.nested_fields(cls)


def _some(field: spec.Field) -> Any:
    if field.role == "nested":
        (kind, *_) = (each for each in PARTS if each.family == field.type)
        return kind.part()
    return {int: 3, str: "x", bool: True, float: 0.5}[field.type]


@pytest.mark.parametrize(("family", "cls"), PARAMETERS)
def test_everything_is_documented(family: str, cls: type) -> None:
    assert "__doc__" in vars(cls)
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}("), "the docstring that dataclass makes up"
    for name, field in spec.fields(cls).items():
        assert field.doc.strip(), name
        assert field.role in ("static", "lane", "nested")
        assert field.type in (bool, int, float, str) or field.type in trial.FAMILIES


@pytest.mark.parametrize(("family", "cls"), PARAMETERS)
def test_defaults_satisfy_their_own_bounds(family: str, cls: type) -> None:
    for name, field in spec.fields(cls).items():
        if field.required or field.optional or field.role == "nested":
            continue
        value = field.default
        assert field.above is None or value > field.above, name
        assert field.at_least is None or value >= field.at_least, name
        assert field.below is None or value < field.below, name
        assert field.at_most is None or value <= field.at_most, name
        assert not field.choices or value in field.choices, name


def _columns(cls: type) -> set[str]:
    # The kind of a nested part is a column under the name of its slot.
    names = {each.column for each in spec.fields(cls).values() if each.role != "nested"}
    return names | {each.name for each in spec.alternatives(cls)}


@pytest.mark.parametrize(("family", "cls"), PARAMETERS)
def test_columns_of_a_part_are_unique(family: str, cls: type) -> None:
    columns = [each.column for each in spec.fields(cls).values()] + [
        each.name for each in spec.alternatives(cls)
    ]
    assert len(set(columns)) == len(columns)
    assert not set(columns) & (schema.FIXED - {"seed"})
    assert "kind" not in columns


def test_columns_of_different_families_never_meet() -> None:
    """One row holds the columns of a part of each family."""
    by_family: dict[str, dict[str, str]] = {}
    nested = (each for _, cls in CLASSES.values() for each in spec.nested_fields(cls).values())
    prefixes = {field.type: field.prefix for field in nested if field.prefix}
    for name, (family, cls) in CLASSES.items():
        columns = (prefixes.get(family, "") + column for column in _columns(cls))
        by_family.setdefault(family, {}).update(dict.fromkeys(columns, name))
    for one, other in itertools.combinations(by_family, 2):
        shared = set(by_family[one]) & set(by_family[other])
        assert not shared, [(each, by_family[one][each], by_family[other][each]) for each in shared]


def test_a_column_has_one_type_in_all_kinds() -> None:
    types: dict[str, set[Any]] = {}
    for family, cls in CLASSES.values():
        for field in spec.fields(cls).values():
            types.setdefault(f"{family} {field.column}", set()).add(field.type)
    assert {name: each for name, each in types.items() if len(each) > 1} == {}


ALTERNATIVES = [
    pytest.param(family, each, id=f"{name}-{each.name}")
    for name, (family, cls) in CLASSES.items()
    for each in spec.alternatives(cls)
]


@pytest.mark.parametrize(("family", "other"), ALTERNATIVES)
def test_an_alternative_and_its_field_are_inverse(family: str, other: spec.Alternative) -> None:
    """At numbers of either, to and fro is the identity."""
    known = {"n": 12, "d": 100, "sparsity": 9, "signal": 1.7, "batch_size": 5}
    there, back = (
        expressions.parse_expression(other.to_field),
        expressions.parse_expression(other.from_field),
    )
    assert set(there.names) <= {other.name, *known}
    assert set(back.names) <= {other.field, *known}
    columns = {name: np.array([value, value], float) for name, value in known.items()}
    start = np.array([3.0, 7.0])
    middle = expressions.evaluate(there, columns | {other.name: start})
    np.testing.assert_allclose(
        expressions.evaluate(back, columns | {other.field: middle}), start, rtol=1e-12
    )


@pytest.mark.parametrize("example", of("data"), ids=named)
def test_snr_is_what_the_papers_define(example: Example) -> None:
    """||feature|| / (noise sqrt(number of noise coordinates)), at numbers by hand."""
    columns = {
        name: np.array([value])
        for name, value in {"sparsity": 4.0, "d": 9.0, "signal": 6.0, "noise": 0.5}.items()
    }
    snr = {"feature_noise": 1 / (0.5 * 2), "signal_noise": 6 / (0.5 * 3)}
    found = {each.name: each for each in spec.alternatives(example.cls)}
    assert set(found) == ({"snr"} if example.kind in snr else set())
    for each in found.values():
        assert each.field == "noise"
        assert expressions.evaluate(
            expressions.parse_expression(each.from_field), columns
        ) == pytest.approx(snr[example.kind])


@pytest.mark.parametrize(
    ("family", "cls"), [each for each in PARAMETERS if spec.checks(each.values[1])]
)
def test_checks_speak_of_known_fields(family: str, cls: type) -> None:
    """A check may name fields of its own part and of the data, which every trial has."""
    data = set.intersection(*(set(spec.fields(each)) for each in trial.FAMILIES["data"].values()))
    for check in spec.checks(cls):
        assert set(expressions.parse_expression(check.holds).names) <= set(spec.fields(cls)) | data
        assert check.what
        assert check.cure


def test_epochs_are_counted_in_whole_batches() -> None:
    """Seven points in batches of three are three updates an epoch."""
    (epochs,) = (each for each in spec.alternatives(trial.Train) if each.name == "epochs")
    columns = {"epochs": np.array([10.0]), "n": np.array([7.0]), "batch_size": np.array([3.0])}
    assert expressions.evaluate(expressions.parse_expression(epochs.to_field), columns) == 30


@pytest.mark.parametrize("example", PARTS, ids=named)
def test_every_row_builds_a_trial_with_its_values(example: Example) -> None:
    built = example.trial()
    nodes = [built.data, built.model, built.objective, built.optimizer, built.train]
    nodes += [getattr(built.optimizer, "schedule", None), built.train.curriculum]
    (own,) = [each for each in nodes if type(each) is example.cls]
    assert own == example.part()
    nodes += [getattr(each, "inner", None) for each in nodes]
    for given, value in example.values.items():
        name = given.removeprefix("curriculum_")
        of_family = [each for each in nodes if each and name in spec.fields(type(each))]
        assert getattr(own, name, value) == value
        assert {getattr(each, name) for each in of_family} == {value}, name


class TestSize:
    """A count that trials of one program need not share."""

    def test_it_is_the_number_that_arrays_are_made_for(self) -> None:
        size = Size(5, 3)
        assert size == 5 and np.zeros(size).shape == jnp.zeros(size).shape == (5,)
        assert list(range(size)) == [0, 1, 2, 3, 4] and f"{size}" == "5"

    @pytest.mark.parametrize("size", [5, Size(5)])
    def test_without_padding_it_costs_nothing(self, size: int) -> None:
        """Python numbers and None, so that a program is what it would be without sizes."""
        assert actual_size(size) == 5 and type(actual_size(size)) is int
        assert valid_mask(size) is None
        value = jnp.arange(5.0)
        assert mask_padding(value, valid_mask(size)) is value
        assert (
            scale_size(size, 3) == 15
            and actual_size(scale_size(size, 3)) == 15
            and valid_mask(scale_size(size, 3)) is None
        )

    @pytest.mark.parametrize("own", [0, 1, 3, 5])
    def test_what_a_trial_has_of_it(self, own: int) -> None:
        size = Size(5, own)
        assert actual_size(size) == own
        assert np.asarray(valid_mask(size)).tolist() == [place < own for place in range(5)]
        rows = jnp.arange(1.0, 11.0).reshape(2, 5)
        expected = [
            [value if place < own else 0.0 for place, value in enumerate(row)]
            for row in rows.tolist()
        ]
        assert mask_padding(rows, valid_mask(size)).tolist() == expected
        twice = scale_size(size, 2)
        assert (int(twice), actual_size(twice)) == (10, 2 * own)
        assert int(np.sum(valid_mask(twice))) == 2 * own

    def test_cut_hides_what_is_no_number(self) -> None:
        """A product with 0 would let it through."""
        assert mask_padding(
            jnp.array([1.0, jnp.nan, jnp.inf]), valid_mask(Size(3, 1))
        ).tolist() == [1, 0, 0]

    def test_only_what_is_padded_is_a_leaf(self) -> None:
        assert jax.tree.leaves(Size(5)) == [] and jax.tree.leaves(Size(5, 3)) == [3]
        assert jax.tree.structure(Size(5)) != jax.tree.structure(Size(6))
        assert jax.tree.structure(Size(5, 3)) == jax.tree.structure(Size(5, 4))
        assert (
            jax.tree.structure(Size(5, 3))
            != jax.tree.structure(Size(6, 3))
            != jax.tree.structure(Size(6))
        )
        again = jax.tree.map(lambda own: own + 1, Size(5, 3))
        assert type(again) is Size and (again, again.actual) == (5, 4)

    def test_a_program_knows_the_most_and_is_told_its_own(self) -> None:
        """One compilation serves all trials: the number itself is no tracer inside."""
        traced = []

        @jax.jit
        def ones(size: Size) -> jax.Array:
            traced.append(int(size))
            return mask_padding(jnp.ones(size), valid_mask(size)) * actual_size(size)

        assert ones(Size(4, 2)).tolist() == [2, 2, 0, 0]
        assert ones(Size(4, 3)).tolist() == [3, 3, 3, 0]
        assert ones(Size(4)).tolist() == [4, 4, 4, 4]
        assert ones(Size(5, 3)).tolist() == [3, 3, 3, 0, 0]
        assert traced == [4, 4, 5]

    def test_vmap_takes_a_size_of_its_own_for_each_trial(self) -> None:
        kept = jax.vmap(lambda size: valid_mask(size).sum())(Size(4, jnp.array([1, 4, 2])))
        assert kept.tolist() == [1, 4, 2]

    def test_a_padded_field_of_a_part_is_a_size(self) -> None:
        """A part takes a number or a size; other counts stay as they are, and None stays None."""
        plain, padded = Padded(size=3), Padded(size=Size(3, 2))
        assert type(plain.size) is Size and plain.size.actual is None and type(plain.other) is int
        assert plain == Padded(size=Size(3))
        assert jax.tree.leaves(plain) == [] and jax.tree.leaves(padded) == [2]
        assert jax.tree.structure(plain) != jax.tree.structure(padded)
        assert type(Padded().size) is Size and Padded().size == 4
        assert (spec.fields(Padded)["size"].padded, spec.fields(Padded)["other"].padded) == (
            True,
            False,
        )
        assert spec.fields(Padded)["size"].role == "static"


@part
class Padded:
    """A part with a count that may be padded and one that may not."""

    size: int = static(4, padded=True, doc="a count")
    other: int = static(4, doc="another count")


@pytest.mark.parametrize(("family", "cls"), PARAMETERS)
def test_what_is_padded_is_a_count(family: str, cls: type) -> None:
    """Of data and networks, where a packing looks for it; there is always at least one of it."""
    for name, field in spec.fields(cls).items():
        if field.padded:
            assert family in ("data", "model"), name
            assert (field.role, field.type, field.null) == ("static", int, ""), name
            assert field.at_least is not None and field.at_least >= 1, name


class TestBuild:
    """`trial.build`, the one place where kinds and values become a trial."""

    kinds: ClassVar = {
        "data": "separable",
        "model": "linear",
        "objective": "logistic",
        "optimizer": "gd",
    }

    def test_what_is_not_given_has_its_default(self) -> None:
        built = trial.build_trial(self.kinds, {"lr": 0.1})
        assert (built.data.n, built.train.steps, built.seed) == (50, 10_000, 0)
        assert type(built.optimizer.schedule) is Constant

    def test_a_required_value_is_required(self) -> None:
        with pytest.raises(TypeError, match="lr"):
            trial.build_trial(self.kinds, {})

    def test_a_kind_that_does_not_exist_is_named(self) -> None:
        with pytest.raises(AssertionError, match="nope"):
            trial.build_trial({**self.kinds, "model": "nope"}, {"lr": 0.1})
