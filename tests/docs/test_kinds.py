"""The field reference names every field of every kind, with what the declaration says."""

from __future__ import annotations

import pytest

from sweep import spec, trial
from sweep.commands import kinds
from sweep.errors import SweepError
from sweep.spec import Alternative, Check, lane, part, static

KINDS = [(family, kind) for family, registry in trial.FAMILIES.items() for kind in registry]


@part
class Example:
    """A definition with a source (arXiv 0000.00000)."""

    count: int = static(doc="a count", at_least=1)
    word: str = static("one", choices=("one", "two"), doc="a word")
    flag: bool = static(False, doc="a flag")
    size: int | None = static(None, null="count", doc="a size")
    rate: spec.Scalar = lane(0.5, above=0, at_most=1, column="speed", doc="a rate")
    target: spec.Scalar | None = lane(None, doc="a target")

    alternatives = (Alternative("pace", "rate", "1 / pace", "1 / rate", "its inverse"),)
    checks = (Check("size <= count", "the size exceeds the count", "Lower size"),)


EXPECTED = """\
A definition with a source (arXiv 0000.00000).

- `count` (integer, required, at least 1, static): a count
- `word` (one of one, two, default one, static): a word
- `flag` (true or false, default false, static): a flag
- `size` (integer, default count, static): a size
- `rate` (number, default 0.5, above 0, at most 1, column `speed`): a rate
- `target` (number, left out by default): a target

- `pace` instead of `rate`: its inverse; sets `rate = 1 / pace`

- Must hold: `size <= count`. Otherwise the size exceeds the count."""


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of a plugin."""
    monkeypatch.setitem(trial.FAMILIES["objective"], "example", Example)  # type: ignore[arg-type]
    return "example"


def test_everything_that_is_declared_is_in_the_reference(example: str):
    assert kinds.field_reference("objective", example) == EXPECTED


def test_the_kinds_of_plugins_are_listed(example: str):
    assert (
        "- `example`: A definition with a source (arXiv 0000.00000)."
        in kinds.list_kinds().splitlines()
    )
    assert kinds.describe_kind(example).startswith("## objective example\n\nA definition")


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_kind_is_described(family: str, kind: str):
    cls = trial.FAMILIES[family][kind]
    reference = kinds.field_reference(family, kind)
    assert f"`{kind}`" in kinds.list_kinds()
    assert all(
        f"- `{name}` (" in reference and field.doc in reference
        for name, field in spec.fields(cls).items()
    )
    assert (cls.__doc__ or "").splitlines()[0] in reference


def test_the_optimizers_of_optax_are_described():
    names = kinds.optax_kinds()
    assert {"optax.nadam", "optax.contrib.muon"} <= set(names)
    assert "optax.lbfgs" not in names
    assert all(
        "- `lr` (number, required, above 0): step size" in kinds.describe_kind(name)
        for name in names
    )


def test_an_unknown_kind_is_an_error_with_a_suggestion():
    with pytest.raises(SweepError, match=r"no kind 'adamm'\. Did you mean adam\? `sweep kinds`"):
        kinds.describe_kind("adamm")
    with pytest.raises(SweepError, match=r"There is no data 'adam'\."):
        kinds.field_reference("data", "adam")
