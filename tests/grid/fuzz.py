"""`python -m tests.grid.fuzz [--seconds S] [--corpus DIR]`: coverage-guided fuzzing of grid files.

Atheris, libFuzzer for Python, counts the edges that an input takes through `sweep.grid` and PyYAML and keeps inputs
that take new ones, beginning with the configs and a dictionary of the words of grids. It is no dependency of the
project: `pip install atheris`. Whatever breaks the promise of `kept` is written to DIR/findings, the shortest input of
each kind, and looked at again without instrumentation; with --corpus a later run goes on where this one ended.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import importlib.util
import math
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import ROOT

if TYPE_CHECKING:
    from sweep.errors import GridError
    from sweep.grid import Grid

SECONDS = 2.0
"""Most processor time that a file of up to 64 KiB may take."""

ODD = """
= =n =1/0 =d**-0.5 =10**5000 ="x" 0 -1 1e308 1e-320 .nan .inf 0x1f 1_0 9223372036854775807 1.5 null ~ true full
[ ] { } , : - ? | > ' " # & * ! !! % @ ` &a *a <<: --- ... !!str !!int !!binary !!set \\t \\x1b \\ud800 and or not == !=
<= ** // % ( ) min( max( sqrt( log( log10( lambda if else in is := log lin range sample count
optax. optax.nadam optax.contrib.muon __class__ __import__ auto ambient span gram support points test 1048576 16777216
"""
"""Words, apart by spaces."""

LARGE = {"lin": [1, 2, 4096]}
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**31,
        2**62,
        -(2**63),
        10**25,
        1e-320,
        1e308,
        math.nan,
        math.inf,
        "",
        "full",
        "\x1b[2J\n",
    ),
    *(
        "optax.lars",
        "optax.nope",
        "=n",
        "=seed + lr",
        "=1/(seed+1)",
        "=noise*feature_noise",
        "=data",
        "=n if d else 0",
        "=n if d > 5 else 1/0",
    ),
    *(
        "=9**9**9",
        "=10**5000",
        f"={'9' * 1_000}",
        "=1/0",
        "=-(0/0)",
        "=log(0)",
        "=exp(10**9)",
        "=n*1e300",
        "=2**63",
    ),
    *(
        f"={'(' * 50}n{')' * 50}",
        f"={'-' * 70}n",
        f"={'+'.join(['n'] * 50)}",
        f"={'sqrt(' * 300}n",
        "=" + "[" * 999,
    ),
    *(
        "n < 0",
        "n ==",
        "d > 0 and seed >= 0",
        "noise < feature_noise",
        "kind",
        "support",
        "gram",
        "constant",
        "'" * 99,
    ),
    *(
        [],
        {},
        [[]],
        [{}],
        [[1], 2],
        [1, 1.0],
        [0.1, None],
        ["full", 3],
        [2, 3],
        [3, 4, 5],
        ["n", "d"],
        ["kind"] * 99,
    ),
    *(
        {"range": [0, 10**18]},
        {"range": [0, 1, 1e-300]},
        {"range": [5, 0, -1]},
        {"range": [-(2**63), 2**63 - 1]},
    ),
    *(
        {"log": [1e-300, 1e300, 10**9]},
        {"log": [1, 2, 2**20]},
        {"log": [-1, 1, 3]},
        {"log": [1, 2, math.nan]},
        LARGE,
    ),
    *(
        {"lin": [0, 1, 10**9]},
        {"lin": [-1e308, 1e308, 5]},
        {"lin": [0, 1, 2.0]},
        {"lin": "x"},
        {"sample": {"log": [1e-4, 0.1]}, "count": 2**20},
        {"sample": {"lin": [-1e308, 1e308]}, "count": 3, "seed": 2**32},
        {"sample": {"sample": {"lin": [1, 2]}, "count": 2}, "count": 2},
        {"lin": [], "log": []},
    ),
    *(
        {"range": [1, 2**24]},
        {"kind": "gd", "lr": "=n"},
        {"kind": "cnn", "width": [1, 2]},
        {"kind": "power", "shift": LARGE},
    ),
)
"""What may stand in a grid where something else is expected."""


class BrokenPromise(Exception):
    """What `parse` did instead of what it promises."""


def kept(text: str, seconds: float = SECONDS) -> Grid | GridError:
    """A grid, or an error of which every problem says where, what and how to cure it. Raises for everything else.

    That is the promise of `parse` for any text, with `seconds` of processor time for a file of up to 64 KiB.
    """
    from sweep import (
        grid,
        schema,
    )  # here as below, since the fuzzer instruments what is imported for the first time
    from sweep.errors import GridError

    begin = time.process_time()
    found: Grid | GridError
    try:
        found = grid.parse_grid(text, "grid.yaml")
        assert found.size > 0 and found.name, "a grid without a trial"
        assert found.columns and not set(found.columns) & set(schema.KINDS), "no columns"
    except GridError as error:
        found, said = error, str(error).split("\n")
        assert len(said) == len(error.problems) > 0, (
            "a problem takes more than a line, or there is none"
        )
        for problem, line in zip(error.problems, said, strict=True):
            assert problem.line >= 1 and problem.column >= 1 and problem.what and problem.cure, (
                f"{problem} is incomplete"
            )
            assert line.isprintable() and len(line) < 6_000, f"{line[:6_000]!r} cannot be shown"
    took = time.process_time() - begin
    if took > seconds and len(text) <= 1 << 16:
        raise BrokenPromise(f"took {took:.1f} s")
    return found


def words() -> list[str]:
    """Keys, kinds, fields and functions of grids, and what YAML and expressions trip over."""
    from sweep import trial
    from sweep.grid import loader
    from sweep.grid.fields import validation
    from sweep.grid.syntax import expressions

    parts = [(kind, cls) for kinds in trial.FAMILIES.values() for kind, cls in kinds.items()]
    fields = [name for _, cls in parts for name in validation.declared(cls)]
    kinds = [kind for kind, _ in parts]
    return [
        *dict.fromkeys(
            [*loader._KEYS, "kind", *kinds, *fields, *expressions.FUNCTIONS, *ODD.split()]
        )
    ]


def edited(text: str, chance: random.Random, vocabulary: list[str]) -> str:
    """A text with some of its words, marks or lines replaced, taken out, doubled, swapped or put elsewhere."""
    pieces = (
        text.splitlines(keepends=True)
        if chance.random() < 0.2
        else re.findall(r"\w+|\s+|.", text, re.DOTALL)
    )
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(pieces) + 1), chance.randrange(len(pieces) + 1)
        new = chance.choice([chance.choice(vocabulary), *pieces[other : other + 1]])
        match chance.randrange(4):
            case 0:
                pieces[at : at + 1] = [new]
            case 1:
                pieces[at:at] = [new]
            case 2:
                del pieces[at : at + chance.randint(1, 3)]
            case _:
                first, last = sorted((at, other))
                pieces[at:at] = pieces[first : min(last, first + 40)]
    return "".join(pieces)


def edit(tree: dict[str, Any], new: Any, chance: random.Random) -> None:
    """Put something else somewhere, take something out, give it another name, or let it stand in two places."""
    paths = places(tree)
    if not paths:
        return
    *above, key = chance.choice(paths)
    node, other = at(tree, above), chance.choice(paths)
    match chance.randrange(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[chance.choice([str(other[-1]), f"{key}s", "kind", "where", "zip"])] = node.pop(key)
        case 2:
            node[key] = at(tree, other)  # which yaml writes as anchor and alias
        case 3:
            node[key] = [node[key], copy.deepcopy(new)]
        case 4:
            names = [str(path[-1]) for path in chance.choices(paths, k=chance.randint(1, 4))]
            said = [
                names,
                [names, names[:2]],
                f"{names[0]} > 0",
                new if isinstance(new, str) else "support",
            ]
            tree[chance.choice(["zip", "where", "coordinates"])] = chance.choice(said)
        case _:
            node[key] = copy.deepcopy(new)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values below the top, but for deep ones: a value may contain itself."""
    if len(path) == 6:
        return []
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [each for key, value in inner for each in ((*path, key), *places(value, (*path, key)))]


def at(tree: Any, path: Iterable[Any]) -> Any:
    """What stands at a path."""
    for key in path:
        tree = tree[key]
    return tree


def rewritten(text: str, chance: random.Random) -> str:
    """A text, where it is YAML, with some of its values edited."""
    import yaml

    from sweep.grid.syntax import yaml_reader

    with contextlib.suppress(Exception):  # what is no YAML stays as it is
        tree = yaml.load(text, yaml_reader._Loader)
        if isinstance(tree, dict):
            for _ in range(chance.randint(1, 4)):
                edit(tree, chance.choice(VALUES), chance)
            return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return text


def _fuzz(home: Path, seconds: int) -> None:
    """Fuzz in this process, which libFuzzer ends."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["sweep.grid", "yaml"]):
        importlib.import_module("sweep.grid")
    vocabulary = words()

    def attempt(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        try:
            kept(text)
        except Exception as error:
            _note(home / "findings", data, error)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        text, way = data.decode("utf-8", "replace"), chance.random()
        if way < 0.3:
            return atheris.Mutate(data, most)
        text = edited(text, chance, vocabulary) if way < 0.6 else rewritten(text, chance)
        return text.encode("utf-8", "replace")[:most]

    quoted = (word.replace("\\", r"\\").replace('"', r"\"") for word in vocabulary)
    (home / "words").write_text("".join(f'"{word}"\n' for word in quoted))
    options = {
        "max_total_time": seconds,
        "max_len": 1 << 13,
        "timeout": 30,
        "rss_limit_mb": 4096,
        "dict": home / "words",
        "artifact_prefix": f"{home / 'findings'}/",
        "print_final_stats": 1,
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(home / "corpus")], attempt, custom_mutator=mutated)
    atheris.Fuzz()


def _note(folder: Path, data: bytes, error: Exception) -> None:
    """Keep the shortest input of each kind of finding: its error and the line of ours that it comes from."""
    ours = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if Path(each.filename).is_relative_to(ROOT)
    ]
    path = folder / f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].lineno}"
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)


def _findings(folder: Path) -> Iterator[tuple[Path, str]]:
    """What breaks a promise without instrumentation too, or ended the fuzzer."""
    for path in sorted(folder.iterdir()):
        try:
            kept(path.read_bytes().decode("utf-8", "surrogateescape"))
        except Exception as error:
            yield path, f"{type(error).__name__}: {error}"


def main() -> None:
    """Fuzz for a while; exits with 1 where something was found."""
    parser = argparse.ArgumentParser(description="Fuzz sweep.grid.parse_grid, guided by coverage.")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument(
        "--corpus", type=Path, help="folder of inputs and findings, a temporary one by default"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit(
            "atheris is missing. It is no dependency of the project: pip install atheris (Linux, Python 3.11 to 3.13)."
        )
    home = options.corpus or Path(tempfile.mkdtemp(prefix="sweep-fuzz-"))
    if options.inside:
        _fuzz(home, options.seconds)
    for name in ("corpus", "findings"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "configs").glob("*.yaml"):
        (home / "corpus" / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "tests.grid.fuzz", "--inside", "--corpus", str(home)]
    end = time.monotonic() + options.seconds
    while (left := int(end - time.monotonic())) > 0:
        # A hang or a full memory ends the fuzzer, which leaves the input behind; there may be others.
        subprocess.run([*command, "--seconds", str(left)], cwd=ROOT, check=False)
    found = list(_findings(home / "findings"))
    print(
        "\n".join(f"{path}: {what}" for path, what in found)
        or f"Nothing was found; the inputs are in {home}."
    )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
