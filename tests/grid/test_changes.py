"""`--set`: what it changes, that the text which a store keeps is the grid, and errors that name the option."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep import grid
from sweep.errors import GridError
from sweep.grid.syntax.changes import change_text, write_yaml
from sweep.grid.syntax.yaml_reader import Document, read_yaml

TEXT = """\
# A comment.
name: t
seed: {range: [0, 2]}
data: {kind: feature_noise, n: &n [10, 20], d: 50, sparsity: 5, noise: 0.1}
model: cnn
optimizer:
  - &adam {kind: adam, lr: 1e-3}
  - {<<: *adam, b1: 0.5, schedule: {kind: warmup, warmup: 10}}
train: {steps: 100}
"""


def changed(*changes: str, text: str = TEXT) -> grid.Grid:
    return grid.parse_grid(text, "grid.yaml", changes)


def values_of(read: grid.Grid, name: str) -> list[list[object]]:
    """The values of a field in each block that has it, without repeats, in order."""
    return [
        list(dict.fromkeys(v for rows in block.rows() for v in block.values(rows)[name].tolist()))
        for block in read.blocks
        if name in block.first_values
    ]


def ids_of(read: grid.Grid) -> list[int]:
    return [each for block in read.blocks for rows in block.rows() for each in block.ids(rows)[0]]


def complaint(*changes: str, text: str = TEXT) -> str:
    with pytest.raises(GridError) as caught:
        changed(*changes, text=text)
    return str(caught.value)


CHANGES = [
    ("data.n=100", "n", [[100], [100]]),
    ("data.n={range: [10, 40, 10]}", "n", [[10, 20, 30]] * 2),
    ("data.sparsity==n/5", "sparsity", [[2, 4]] * 2),
    ("optimizer[0].lr=[1e-3, 1e-2]", "lr", [[0.001, 0.01], [0.001]]),
    ("optimizer[1].schedule.warmup=20", "warmup", [[20]]),
    ("optimizer={kind: gd, lr: 0.5}", "lr", [[0.5]]),
    ("model.width=7", "width", [[7], [7]]),
    ("train.batch_size=5", "batch_size", [[5], [5]]),
    ("objective={kind: logistic, l2: 1e-4}", "l2", [[1e-4], [1e-4]]),
    ("seed=5", "seed", [[5], [5]]),
    (" data.d = 60", "d", [[60], [60]]),
]


@pytest.mark.parametrize(("change", "name", "values"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_change_is_read_as_if_it_stood_in_the_file(change, name, values):
    """By its values, and by the text that a store keeps, which is a grid of the same trials."""
    read = changed(change)
    assert values_of(read, name) == values
    again = grid.parse_grid(read.text)
    assert ids_of(again) == ids_of(read)
    assert (again.settings, again.name, again.columns) == (read.settings, read.name, read.columns)
    assert changed(change, text=read.text).text == read.text


def test_changes_apply_in_order_and_the_rest_stays():
    read = changed("optimizer={kind: gd, lr: 1}", "optimizer.lr=2", "name=u", "test_points=7")
    assert values_of(read, "lr") == [[2.0]]
    assert (read.name, read.settings.test_points) == ("u", 7)
    assert values_of(read, "n") == [[10, 20]]
    assert changed().text == TEXT, "without changes the text of the user is kept"


def test_an_alias_is_changed_in_one_place():
    read = changed("optimizer[0].lr=7")
    assert values_of(read, "lr") == [[7.0], [0.001]]


ERRORS = [
    (
        "data.sparsty=3",
        "--set data.sparsty=3: data.sparsty: is not a field of data feature_noise. Did you mean sparsity?",
    ),
    ("daat.n=3", "--set daat.n=3: daat: is not a key of a grid. Did you mean data?"),
    ("data.n=x", "--set data.n=x: data.n: expected a whole number, got 'x'"),
    ("data.n=[1, 2.5]", "--set data.n=[1, 2.5]: data.n[1]: expected a whole number, got 2.5"),
    ("data.n=1k", "got '1k'. Write 1000."),
    ("data.n=", "--set data.n=: data.n: expected a whole number, got null"),
    ("data.n==d/3", "--set data.n==d/3: data.n: n = d/3 is 16.6666666667 at d=50"),
    ("data.n=[3, 3]", "--set data.n=[3, 3]: data.n[1]: values 1 and 2 of n make the same trials"),
    ("data.n=[1", "--set data.n=[1: this is not YAML"),
    ("data.n=!!int 3 4", "--set data.n=!!int 3 4: data.n: '3 4' is not a value"),
    ("data.n=*n", "--set data.n=*n: this is not YAML: found undefined alias"),
    ("optimizer.lr=1", "--set optimizer.lr=1: optimizer is a list of 2. Say which one is meant"),
    ("optimizer[2].lr=1", "--set optimizer[2].lr=1: the last one of optimizer is optimizer[1]"),
    ("data[0].n=1", "--set data[0].n=1: data is no list. Leave [0] out"),
    ("data.d.log=1", "--set data.d.log=1: data.d is a single value. Set data.d itself"),
    ("data.n", "--set data.n: there is no =. Write --set data.n=100"),
    ("=3", "--set =3: '' names no value of a grid"),
    ("data..n=3", "--set data..n=3: 'data..n' names no value of a grid"),
    (
        "optimizer=[{kind: sgd, lr: 1}, {kind: sgd, lr: 1}]",
        "makes a trial that optimizer[0] of --set",
    ),
    ("data.n=" + "[" * 40 + "]" * 40, "levels deep"),
    ("data.n=\x1b[2J", "--set data.n=\\x1b[2J: "),
    ("train.trian=3", "--set train.trian=3: train.trian: is not a field of train"),
    (
        "model.kind=CNN",
        "--set model.kind=CNN: model.kind: there is no model 'CNN'. Did you mean cnn?",
    ),
]


@pytest.mark.parametrize(("change", "said"), ERRORS, ids=range(len(ERRORS)))
def test_errors_name_the_option(change, said):
    found = complaint(change)
    assert said in found
    assert found.isprintable() or "\n" in found
    assert all(line.startswith("--set ") and line.endswith(".") for line in found.split("\n"))


def test_errors_of_file_and_options_come_together():
    found = complaint("data.n=0", "train.steps=-1", text=TEXT.replace("lr: 1e-3", "lr: -1"))
    assert "--set data.n=0: data.n: 0 is not at least 1" in found
    assert "--set train.steps=-1: train.steps: -1 is not at least 0" in found
    assert "grid.yaml:7:28: optimizer[0].lr: -1 is not above 0" in found


def test_a_value_is_set_once():
    assert "data.n is set twice. Keep one of the two." in complaint("data.n=3", "data.n=4")


def test_a_broken_file_is_reported_without_changes():
    found = complaint("data.n=3", text="name: [")
    assert found.startswith("grid.yaml:")
    assert "a grid is a mapping" in complaint("data.n=3", text="[1]")


def test_a_text_that_the_store_could_not_read_again_is_refused():
    text = TEXT + f"description: &a {'a' * 20_000}\nwhere: [{'*a, ' * 60}]\n"
    assert "written out the grid has more than 1048576 bytes" in complaint("data.n=3", text=text)


WORDS = st.text(max_size=12) | st.sampled_from(
    [
        "1e-3",
        "1_000",
        "010",
        "no",
        "yes",
        "null",
        "~",
        ".inf",
        "<<",
        "=n",
        "1:30",
        "",
        "0x1f",
        "- a",
    ]
)
SCALARS = (
    WORDS
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def _is_text(value: object) -> bool:
    """Whether YAML can hold all texts in a value."""
    return all(
        character.isprintable() or character == "\n"
        for character in "".join(yaml.safe_dump(value, allow_unicode=True))
    )


@settings(max_examples=200, deadline=None)
@given(VALUES.filter(_is_text))
def test_what_is_written_reads_as_the_same_values(value):
    """Also texts that look like numbers, and numbers that PyYAML would write as text."""
    document = Document("t")
    document.value = {"a": value}
    assert read_yaml(write_yaml(document), "t").value == {"a": value}


@settings(max_examples=100, deadline=None)
@given(VALUES.filter(_is_text))
def test_a_value_of_python_becomes_the_same_value(value):
    text = change_text("a", value)
    assert text.startswith("a=")
    assert read_yaml(f"a: {text[2:]}", "t").value == {"a": value}


def test_values_of_python_keep_their_type():
    for value in (1e-3, 1e22, 3, True, "1e-3", math.inf, [0.1, "0.1"], {"log": [1e-4, 1.0, 3]}):
        (key,) = read_yaml(f"a: {change_text('a', value)[2:]}", "t").value.values()
        assert key == value and type(key) is type(value)
