"""Hostile grid files: whatever stands in one, a grid or a GridError comes out, soon, and nothing in it is run.

`python -m tests.fuzz` looks for more; what it found stands here under names.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time
import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep import grid
from sweep.errors import GridError
from sweep.grid.assembly import coordinates
from sweep.grid.fields import validation
from sweep.grid.product import space
from sweep.grid.syntax import yaml_reader
from tests import ROOT
from tests.grid.fuzz import VALUES, edit, edited, kept, words

pytestmark = pytest.mark.thorough

CONFIGS = {path.stem: path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml"))}
PATIENCE = 12.0
"""Seconds on machines that others use too; without a bound the files here take minutes."""


def text_of(
    data: str = "", model: str = "", optimizer: str = "{kind: gd, lr: 0.1}", more: str = ""
) -> str:
    """A good grid of four lines with further fields, another optimizer and more lines."""
    data, model = (f", {fields}" if fields else "" for fields in (data, model))
    lines = [
        "name: t",
        f"data: {{kind: feature_noise{data}}}",
        f"model: {{kind: cnn{model}}}",
        f"optimizer: {optimizer}",
    ]
    return "\n".join([*lines, more])


def union(members: Iterable[str]) -> str:
    return f"[{', '.join(members)}]"


def complaint(text: str) -> str:
    """All problems of a bad text in lines, after a look at each of them."""
    found = kept(text, PATIENCE)
    assert isinstance(found, GridError)
    return str(found)


def size(text: str) -> int:
    """The trials of a good text."""
    found = kept(text, PATIENCE)
    assert isinstance(found, grid.Grid), found
    return found.size


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are given up after a tenth of the usual work, to save time in tests."""
    for name in ("MAX_NUMBERS", "MAX_WORDS"):
        monkeypatch.setattr(yaml_reader, name, getattr(yaml_reader, name) // 10)


# Edits of good grids.

ODD = st.one_of(
    st.sampled_from(VALUES),
    st.text(max_size=8),
    st.integers() | st.floats(),
    st.recursive(
        st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2), max_leaves=6
    ),
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(CONFIGS)), st.lists(ODD, min_size=1, max_size=4), st.integers(0, 2**32 - 1)
)
def test_edits_of_values(name, news, seed):
    chance = random.Random(seed)
    tree = yaml.load(CONFIGS[name], yaml_reader._Loader)
    for new in news:
        edit(tree, new, chance)
    kept(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), PATIENCE)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(CONFIGS)), st.integers(0, 2**32 - 1))
def test_edits_of_words(name, seed):
    kept(edited(CONFIGS[name], random.Random(seed), words()), PATIENCE)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=80)
    | st.text(alphabet="kind: data{}[],-|>'\"#&*!%@`?=()0.e\n\t \x85\u2028\ud800", max_size=80)
)
def test_any_text(text):
    assert isinstance(kept(text), GridError)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(CONFIGS)),
    st.text(max_size=40),
    st.integers(0, 2000),
    st.sampled_from(["", "=", "{log: ["]),
)
def test_any_text_in_a_grid(name, new, place, before):
    text = CONFIGS[name]
    kept(text[:place] + before + new + text[place:], PATIENCE)


# Files.


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(CONFIGS)),
    st.lists(st.tuples(st.integers(0, 1500), st.binary(max_size=3)), max_size=3),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0"]),
    st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-32-be", "cp037"]),
)
def test_any_bytes(tmp_path_factory, name, news, mark, encoding):
    content = mark + CONFIGS[name].encode(encoding)
    for place, new in news:
        content = content[:place] + new + content[place:]
    path = tmp_path_factory.getbasetemp() / f"hostile-{os.getpid()}.yaml"
    path.write_bytes(content)
    try:
        assert grid.load_grid(path).size > 0
    except GridError as error:
        assert all(
            each.line >= 1 and each.column >= 1 and each.what and each.cure
            for each in error.problems
        )


BYTES = [
    (b"name: t\ndata: \xed\xa0\x80", "t.yaml:2:7: the byte 0xed is not UTF-8"),
    (b"\xff\xfen\0a\0m\0e\0", "t.yaml:1:1: the byte 0xff is not UTF-8"),
    (b"name: t\n# \xc3", "t.yaml:2:3: the byte 0xc3 is not UTF-8"),
    (b"name: t\n\0", "t.yaml:2:1: the character 0x0000 cannot stand"),
    (b"\xef\xbb\xbf\xef\xbb\xbfname: t", "t.yaml:1:1: "),
    (b"\r\r\nname: \xe2\x80\xa8 t\x1b", "the character 0x001b cannot stand"),
]


@pytest.mark.parametrize(("content", "said"), BYTES, ids=range(len(BYTES)))
def test_bytes_that_are_no_grid(tmp_path, content, said):
    path = tmp_path / "t.yaml"
    path.write_bytes(content)
    with pytest.raises(GridError) as caught:
        grid.load_grid(path)
    assert said in str(caught.value)


def test_paths_that_are_no_readable_file(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "locked.yaml").touch(0)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(tmp_path / "socket"))
        paths = [
            tmp_path / "loop",
            tmp_path / "socket",
            tmp_path / "socket/x",
            "x" * 5_000,
            "",
            "\udcff",
            "/proc/self/mem",
        ]
        for path in paths if os.getuid() == 0 else [*paths, tmp_path / "locked.yaml"]:
            with pytest.raises(GridError, match="cannot be read") as caught:
                grid.load_grid(path)
            assert caught.value.problems[0].cure


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(GridError, match="more than 1048576 bytes"):
        grid.load_grid("/dev/zero")


# Nothing is run.

TAGS = [
    "!!python/object/apply:os.system ['touch {ran}']",
    "!!python/object/apply:subprocess.Popen {{args: [['touch', '{ran}']]}}",
    "!!python/object/new:os.system ['touch {ran}']",
    "!!python/object:os.system {{}}",
    "!!python/name:os.system",
    "!!python/module:antigravity",
    "!!python/tuple [1, 2]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {ran}']",
    "!%70ython/object/apply:os.system ['touch {ran}']",
]
CODE = [
    "().__class__.__bases__[0].__subclasses__()",
    "n.__class__",
    "sqrt.__globals__",
    "__builtins__",
    "open('{ran}', 'w')",
    'exec(\'open("{ran}", "w")\')',
    "(lambda: open('{ran}', 'w'))()",
    "[open('{ran}', 'w') for n in d]",
    "(n := open('{ran}', 'w'))",
    'f\'{{open("{ran}", "w")}}\'',
    "'{{0.__class__}}'.format(n)",
    "'%s' % n",
    "'x' * 10**9",
    "max(n, key=open)",
    "sqrt(**{{'x': n}})",
    "(yield n)",
    "n @ d",
    "n << 10**9",
    "True + n",
    "n if n else open('{ran}', 'w')",
]
EVENTS: list[str] = []
"""What the interpreter was asked to do while `watch` is on."""
watch = False


def hook(event: str, found: tuple[object, ...]) -> None:
    if watch and event in (
        "exec",
        "import",
        "open",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "subprocess.Popen",
    ):
        EVENTS.append(event)


sys.addaudithook(hook)


@pytest.mark.parametrize("where", [False, True])
def test_nothing_is_run(tmp_path, where):
    global watch
    ran = tmp_path / "ran"
    values = [each.format(ran=ran) for each in (*TAGS, *(f'"={code}"' for code in CODE))]
    texts = [text_of(f"n: {each}") for each in values]
    if where:
        quoted = (each.format(ran=ran).replace("'", "''") for each in CODE)
        texts = [text_of(more=f"where: ['n > 0', '{each}']") for each in quoted]
    for text in texts:
        said = complaint(text)
        watch = True
        try:
            with pytest.raises(GridError):
                grid.parse_grid(text)
        finally:
            watch = False
        assert not EVENTS, said
        assert not ran.exists(), said


def test_aliases_are_no_way_around_the_bounds():
    """Bombs of mappings and of lists, what contains itself, aliases in keys; a good use of them stays."""
    bomb = "a0: &a0 {x: 1, y: 2}\n" + "".join(
        f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 40)
    )
    assert "aliases counted each time" in complaint(bomb)
    wide = "a0: &a0 [1, 2]\n" + "".join(
        f"a{i}: &a{i} [{f'*a{i - 1}, ' * 60}]\n" for i in range(1, 5)
    )
    assert "aliases counted each time" in complaint(wide)
    assert "levels deep" in complaint("&a {name: *a}")
    assert "a key has to be a word" in complaint("&a {*a : 1}")
    assert size(text_of().replace("{kind: cnn}", "{<<: &a {kind: cnn}, width: 3}")) == 1
    assert size(text_of("n: &n 5, d: &d [700, 800]", more="test_points: *n\nseed: *d")) == 4


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "full"])
def test_merge_keys_are_no_way_around_the_bounds(empty):
    """Bombs of merges, by lists and by chains, of mappings with and without keys; what merges itself."""
    first = "{}" if empty else "{x: 1}"
    wide = f"a0: &a0 {first}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 60}]}}\n" for i in range(1, 6)
    )
    assert "aliases counted each time" in complaint(wide)
    deep = f"a0: &a0 {first}\n" + "".join(
        f"a{i}: &a{i} {{<<: *a{i - 1}}}\n" for i in range(1, 15_000)
    )
    assert "levels deep" in complaint(deep)
    assert "levels deep" in complaint("&a {name: t, <<: *a}")
    assert "levels deep" in complaint("&a {name: t, <<: [{<<: *a}]}")
    many = "a: &a {" + ", ".join(f"k{i}: 1" for i in range(5_000)) + "}\n"
    assert "aliases counted each time" in complaint(f"{many}b: {{<<: [{'*a, ' * 60}]}}")


def test_many_merges_are_joined_in_linear_time():
    """Mappings were copied once for each that followed: 5 x 10^8 keys, for ten seconds."""
    keys = ", ".join(f"k{i}: 1" for i in range(12_000))
    text = f"a: &a {{{keys}}}\ne: &e {{}}\nb: {{<<: [*a, {'*e, ' * 40_000}]}}"
    begin = time.process_time()
    assert len(yaml_reader.read_yaml(text, "t").value["b"]) == 12_000
    assert time.process_time() - begin < PATIENCE / 2


# Findings, each with about the smallest file that has it. What they were before stands in their names.

LIN = "{lin: [1, 2, 4096]}"
SLOW = {
    "many_lists_of_a_million": text_of(
        optimizer=union(["{kind: gd, lr: {log: [1, 2, 1048576]}}"] * 200)
    ),
    "many_samples_of_a_million": text_of(
        optimizer=union(["{kind: gd, lr: {sample: {log: [1, 2]}, count: 1048576}}"] * 200)
    ),
    "many_ranges_of_16_million": text_of().replace(
        "{kind: feature_noise}", union(["{kind: separable, n: {range: [1, 16777217]}}"] * 30)
    ),
    "expressions_over_16_million_points": text_of(
        f"noise: {LIN}, feature_noise: {LIN}",
        optimizer="{kind: adam, lr: =noise*feature_noise, b1: =noise*feature_noise/9, b2: =noise*feature_noise/8}",
    ),
    "a_minimum_of_95_large_arrays": text_of(
        f"noise: {LIN}, feature_noise: {LIN}",
        more=f"where: 'min({','.join(['noise*feature_noise'] * 95)}) < 3'",
    ),
    "conditions_over_16_million_points": text_of(
        f"noise: {LIN}, feature_noise: {LIN}",
        more=f"where: {union([' or '.join(['noise<feature_noise'] * 80)] * 30)}",
    ),
    "conditions_of_a_thousand_blocks": text_of(
        optimizer=union([f"{{kind: gd, lr: {i}}}" for i in range(1, 1001)]),
        more=f"where: {union(['n>1'] * 9_000)}",
    ),
    "a_long_condition_by_alias": text_of(
        more=f"description: &a {'n>0 and ' * 240}n>0\nwhere: [{'*a, ' * 15_000}]"
    ),
    "a_condition_of_blanks_by_alias": text_of(
        more=f"description: &a 'n>0{' ' * 20_000}'\nwhere: [{'*a, ' * 10_000}]"
    ),
    "a_long_word_by_alias": text_of(
        more=f"description: &a {'n' * 20_000}\nwhere: [{'*a, ' * 900}]"
    ),
    "a_nested_condition_by_alias": text_of(
        more=f"description: &a {'+'.join(['n'] * 950)}\nwhere: [{'*a, ' * 15_000}]"
    ),
    "rows_of_two_members_compared": text_of(
        optimizer=union(
            f"{{kind: gd, lr: {{lin: [1, 2, 3001]}}, schedule: {{kind: power, exponent: '={a}', shift: '={b}'}}}}"
            for a, b in (("lr+seed", "lr-seed/7000"), ("3-lr+seed", "lr-seed/7001"))
        ),
        more="seed: {range: [1, 5001]}",
    ),
    "all_pairs_of_zipped_members": text_of(
        optimizer=union(
            f"{{kind: gd, lr: [{i}, 1], schedule: {{kind: power, exponent: [1, {i}]}}}}"
            for i in range(2, 602)
        ),
        more="zip: [lr, exponent]",
    ),
    "an_expression_in_a_thousand_blocks": text_of(
        "n: {range: [1, 100]}, d: {range: [4000, 4100]}, sparsity: {range: [1, 100]}",
        optimizer=union([f"{{kind: gd, lr: '={i} + n + d*2 + sparsity'}}" for i in range(1, 1001)]),
    ),
}


LARGE = (
    "many_lists_of_a_million",
    "many_samples_of_a_million",
    "many_ranges_of_16_million",
    "a_minimum_of_95_large_arrays",
)


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
@pytest.mark.usefixtures("hasty")
def test_what_took_minutes(text):
    assert "the grid takes too long to check" in complaint(text)


TOO_MUCH = {
    "expressions_over_16_million_points": "numbers have to be computed. Give fewer values",
    "conditions_of_a_thousand_blocks": "words of conditions, expressions, zips and members have",
}


@pytest.mark.parametrize(("name", "said"), TOO_MUCH.items(), ids=TOO_MUCH)
@pytest.mark.usefixtures("hasty")
def test_what_there_is_too_much_of_is_named(name, said):
    assert said in complaint(SLOW[name])


@pytest.mark.parametrize("name", LARGE)
def test_what_took_gigabytes(name):
    tracemalloc.start()
    try:
        assert "the grid takes too long to check" in complaint(SLOW[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1e9


def test_members_that_repeat_each_other():
    """They were compared pair by pair for minutes, and half a million problems were told."""
    for members in (
        ["{kind: gd, lr: 1}"] * 300,
        [f"{{kind: gd, lr: [{i}, {i + 1}]}}" for i in range(1, 200)],
    ):
        said = complaint(text_of(optimizer=union(members)))
        assert "makes a trial that optimizer[0] in line 4 makes too" in said
    wide = [f"{{kind: gd, lr: [{i}, {i}.5]}}" for i in range(1, 301)]
    assert size(text_of(optimizer=union(wide))) == 600


def test_members_that_differ_where_it_takes_a_look_at_all_rows():
    """10^11 rows of each were to be listed, since only one field decides."""
    members = [
        f"{{kind: gd, lr: {{lin: [1, 2, 1001]}}, schedule: {{kind: power, exponent: '={each}', shift: {LIN}}}}}"
        for each in ("lr", "3-lr")
    ]
    text = text_of(optimizer=union(members), more="seed: {range: [0, 10000]}\n")
    assert size(text + "where: lr != 1.5") == 2 * 1_000 * 4096 * 10_000
    assert "makes a trial that optimizer[0] in line 4 makes too, with lr=1.5" in complaint(text)


def test_comparing_members_needs_too_many_points():
    """TooManyPoints came out."""
    some = "{lin: [1, 2, 300]}"
    text = text_of(
        f"noise: {some}, feature_noise: {some}",
        optimizer="[{kind: gd, lr: =noise+seed}, {kind: gd, lr: =noise+seed+1}]",
        more="seed: {range: [0, 1000]}\nwhere: noise < feature_noise",
    )
    assert (
        "may repeat a trial of optimizer[0] in line 4: to tell it, more than 16777216 points"
        in complaint(text)
    )


def test_null_in_a_list_stands_for_a_large_table():
    """MemoryError: 2,000 values with `full` among them, times 100,000 values of n."""
    batches = ", ".join(map(str, range(1, 2_000)))
    text = text_of(
        "n: {range: [2000, 102000]}", more=f"train: {{steps: 1, batch_size: [full, {batches}]}}"
    )
    assert (
        "batch_size with the values that stand for null has more than 16777216 combinations"
        in complaint(text)
    )


def test_compiled_in_fields_of_too_many_combinations():
    """TooManyPoints came out when the plan asked for them."""
    text = text_of("n: {range: [1, 300]}, d: {range: [900, 1200]}, sparsity: {range: [1, 300]}")
    assert "compiled-in fields depend on more than 16777216 points" in complaint(text)


@pytest.mark.parametrize(
    "sizes",
    ["d: 4611686018427387904", "n: 3, d: 9223372036854775807, sparsity: 9223372036854775806"],
)
@pytest.mark.parametrize("asked", ["support", "span", "gram"])
def test_sizes_beyond_those_of_jax(sizes, asked):
    """OverflowError: Python integer 4611686018427387804 out of bounds for int32."""
    assert "not at most 2147483647" in complaint(text_of(sizes, more=f"coordinates: {asked}"))
    largest = text_of("d: 2147483647", more=f"coordinates: {asked}")
    # Sparse noise has no law in gram coordinates, whatever the size.
    assert isinstance(kept(largest), GridError if asked == "gram" else grid.Grid)


def test_coordinates_are_asked_about_once_for_blocks_alike(monkeypatch):
    """A thousand blocks were traced for eight seconds."""
    asked = []
    monkeypatch.setattr(coordinates.filters, "incompatibility", lambda *parts: asked.append(parts))
    optimizer = union([f"{{kind: gd, lr: {i}}}" for i in range(1, 51)])
    assert size(text_of(optimizer=optimizer, more="coordinates: support")) == 50
    assert len(asked) == 1


def test_coordinates_are_asked_about_for_few_sizes(monkeypatch):
    """Each of a thousand sizes was traced, for half a minute."""
    monkeypatch.setattr(coordinates, "MAX_TRACED", 3)
    monkeypatch.setattr(coordinates.filters, "incompatibility", lambda *parts: None)

    def text(count):
        members = union(f"{{kind: separable, n: {n}}}" for n in range(2, 2 + count))
        return text_of(more="coordinates: support").replace("{kind: feature_noise}", members)

    assert size(text(3)) == 3
    said = complaint(text(4))
    assert "the grid takes too long to check: support has to be tried with more than 3" in said


@pytest.mark.parametrize("value", ["=1e300", "=2**63", "=d*1e18", "=-(2**70)"])
def test_whole_numbers_beyond_64_bits(value):
    """They became 0, and a grid of n = 0 was looked at."""
    said = complaint(text_of(f"n: '{value}'"))
    assert f"data.n: n = {value[1:]} is " in said
    assert "batch_size" not in said


@pytest.mark.parametrize(
    "text",
    [
        text_of(more=r'"\ud800": 1'),
        text_of(more=r'"\e[31m\n\u202e": 1'),
        text_of(more=f"? {'k' * 50_000}\n: 1"),
        text_of(r'n: "\e]0;x\a\n"'),
        text_of(r'"n\n": 1'),
        text_of(more="seed: !" + "k" * 50_000 + " 1"),
        text_of(more="seed: !%1B%0A 1"),
        text_of(more="seed: *" + "k" * 50_000),
        text_of(more=r'''where: "model == '\e[2J\n'"'''),
        text_of(more=r'zip: ["\n", "\e"]'),
        text_of(f"noise: {{{', '.join(f'k{i}: 1' for i in range(5_000))}}}"),
        "%YAML " + "9" * 5_000 + ".1\n--- {}",
    ],
    ids=range(12),
)
def test_messages_are_short_lines_of_plain_text(text):
    """Terminals obeyed them, UnicodeEncodeError when they were printed, or a screen of the letter k."""
    complaint(text)


def test_a_thousand_problems_are_enough():
    for text in (
        text_of(", ".join(f"k{i}: 1" for i in range(5_000))),
        text_of(more=f"zip: [{', '.join(f'[a{i}, b{i}]' for i in range(4_000))}]"),
        text_of(optimizer=f"[&a {{kind: adam}}, {'*a, ' * 15_000}]"),
        text_of(more=f"a: {{{'a: 1, ' * 9_000}}}"),
        text_of(more=f"where: [{'n==, ' * 9_000}]"),
    ):
        said = complaint(text)
        assert "1000 things are wrong, and the rest was not looked at" in said
        assert said.count("\n") <= 1_000
    for count in (998, 999, 1_000):
        said = complaint(f"[{{{'a: 1, ' * count}}}, {{b: {'[' * 24}]")
        assert "levels deep" in said
        said = complaint(f"[{{{'a: 1, ' * count}}}]")
        assert "a grid is a mapping" in said


def test_many_conditions_and_many_orders_of_fields():
    """Conditions were joined in quadratic time, and each order of fields had a pydantic model of its own."""
    assert size(text_of(more=f"where: [{'n>1, ' * 6_000}]")) == 1
    fields = ["d: 500", "sparsity: 3", "noise: 0.1", "feature_noise: 0.1", "balanced: true"]
    chance = random.Random(0)
    members = [
        f"{{kind: feature_noise, n: {n}, {', '.join(chance.sample(fields, len(fields)))}}}"
        for n in range(1, 200)
    ]
    validation._values.cache_clear()
    assert size(text_of().replace("{kind: feature_noise}", union(members))) == 199
    assert validation._values.cache_info().currsize < 20


def test_long_words_by_alias():
    """Each was compared with all known words, letter by letter."""
    word = f"description: &a {'kind ' * 9_000}\n"
    assert "4997 more of its values are not allowed" in complaint(
        word + text_of(model=f"readout: [{'*a, ' * 5_000}]")
    )
    said = complaint(word + text_of(optimizer=union(["{kind: *a}"] * 900)))
    assert (
        "optimizer[899].kind: there is no optimizer 'kind kind kind kind kind kind kind ki...'"
        in said
    )


def test_a_name_longer_than_names_of_folders():
    assert size(text_of().replace("name: t", "name: " + "t" * 100)) == 1
    assert "cannot name a folder" in complaint(text_of().replace("name: t", "name: " + "t" * 101))


# What the mends rely on.

FLOATS = st.floats(allow_nan=False) | st.integers(0, 10**13).map(
    lambda k: (k + 0.5) / 10 ** (k % 9)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=20), st.integers(-30, 30))
def test_canonical_is_the_float_of_twelve_digits(values, power):
    many = np.array([value * 10.0**power for value in values for _ in range(80 // len(values) + 1)])
    expected = np.array([float(f"{value + 0.0:.12g}") for value in many])
    found = space.canonical(many)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected + 0.0))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.floats(allow_nan=False) | st.integers(1, 30).map(lambda k: 1 + k * 4e-12),
        min_size=2,
        max_size=6,
    ),
    st.booleans(),
)
def test_distinct_values_stay_distinct(values, falling):
    line = np.sort(values)[:: -1 if falling else 1]
    if space.sorted_distinct(line[None]):
        assert len(set(space.canonical(line).tolist())) == len(line)
    assert space.sorted_distinct(np.arange(5)[None]) and space.sorted_distinct(
        np.array([[1.0, 2.0], [3.0, 4.0]])
    )
    assert not space.sorted_distinct(
        np.array([[1.0, 2.0], [4.0, 3.0]])
    ) and not space.sorted_distinct(np.array([[1, 1]]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=4).map(tuple), st.integers(1, 40))
def test_pieces_are_a_whole(shape, most):
    count = np.zeros(shape, int)
    for piece in space.pieces(shape, most):
        assert count[piece].size <= most
        count[piece] += 1
    assert (count == 1).all()


def test_an_expression_by_pieces():
    text = text_of(
        "noise: {lin: [0, 1, 700]}, feature_noise: {lin: [0, 1, 900]}",
        more="where: noise**2 < feature_noise",
    )
    one, other = np.linspace(0, 1, 700)[:, None], np.linspace(0, 1, 900)
    assert size(text) == np.count_nonzero(one**2 < other)


MEMBERS = st.fixed_dictionaries(
    {
        "kind": st.just("gd"),
        "lr": st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3, unique=True)
        | st.sampled_from(["=n", "=seed + 1"]),
        "schedule": st.fixed_dictionaries(
            {
                "kind": st.just("power"),
                "exponent": st.lists(
                    st.sampled_from([1, 2, 3]), min_size=1, max_size=3, unique=True
                )
                | st.sampled_from(["=lr", "=4 - lr", "=seed"]),
                "shift": st.lists(st.sampled_from([1, 2]), min_size=1, max_size=2, unique=True),
            }
        ),
    }
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(MEMBERS, min_size=2, max_size=4),
    st.lists(
        st.sampled_from(["lr != 2", "exponent <= lr", "seed > 0 or shift == 1", "n < 3"]),
        max_size=2,
    ),
)
def test_members_meet_where_they_have_a_trial_in_common(members, wheres):
    """Against all ids of each member alone."""

    def written(optimizer: object) -> str:
        data = {"kind": "separable", "n": [2, 3]}
        head = {
            "name": "t",
            "data": data,
            "model": "linear",
            "optimizer": optimizer,
            "where": wheres,
            "seed": [0, 1, 2],
        }
        return yaml.safe_dump(head, sort_keys=False)

    alone = []
    for member in members:
        try:
            found = grid.parse_grid(written(member))
            alone.append(
                [
                    id
                    for block in found.blocks
                    for rows in block.rows(50)
                    for id in block.ids(rows)[0].tolist()
                ]
            )
        except GridError as error:
            if "keeps no point" not in str(error):
                return
    try:
        met = False
        grid.parse_grid(written(members))
    except GridError as error:
        met = "makes a trial that" in str(error)
    assert met == (len({id for ids in alone for id in ids}) < sum(map(len, alone)))
