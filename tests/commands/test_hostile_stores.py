"""Stores whose manifest or kept grid is damaged or hostile: each command ends with a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweep.__main__ import app
from sweep.run import sweep
from tests.sampling import every
from tests.shell import Answer, environment, files, jax_as_it_was, write_grid
from tests.store.small_store import edit_manifest

GRID = """
name: kept
seed: [0, 1]
data: {kind: separable, n: 8, d: 16}
model: {kind: linear}
optimizer: {kind: gd, lr: 0.2}
train: {steps: 5}
test_points: 0
record: {points: 0}
"""
ESCAPE = "\x1b[31mred\x07"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small store. Read only."""
    home = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch, jax_as_it_was():
        patch.setenv("JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"])
        yield sweep(write_grid(home, GRID), home / "store", workers=1, quiet=True)


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """A copy of it, beside its grid, in a folder whose name recolours a terminal."""
    shutil.copy(original.parent / "grid.yaml", tmp_path)
    return shutil.copytree(original, tmp_path / ESCAPE)


WRITING = {
    "run": ("run", "GRID", "--out", "STORE", "--workers", "1"),
    "repair": ("repair", "STORE"),
    "compact": ("compact", "STORE"),
}
READING = {
    "status": ("status", "STORE"),
    "status of a grid": ("status", "STORE", "--grid", "GRID"),
    "verify": ("verify", "STORE"),
}
REPLAY = {"replay": ("verify", "STORE", "--replay", "1")}


def end(words: tuple[str, ...], store: Path) -> Answer:
    """How a command ended, which must not be by a traceback or with a raw control character."""
    paths = {"STORE": str(store), "GRID": str(store.parent / "grid.yaml")}
    with jax_as_it_was():
        answer = CliRunner().invoke(app, [paths.get(word, word) for word in words])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), words
    assert answer.exit_code in (0, 1, 2, 3)
    assert answer.output and not {"\x1b", "\x07"} & set(answer.output)
    return Answer(answer.exit_code, answer.stdout, answer.stderr)


def put(*path: str, value: Any = None) -> Callable[[dict[str, Any]], Any]:
    """A change of a manifest: a value at a place, which is made."""

    def change(manifest: dict[str, Any]) -> Any:
        *around, last = path
        for key in around:
            manifest = manifest.setdefault(key, {})
        manifest[last] = value

    return change


TYPES = (None, [], {}, 3, 1e400, True, ESCAPE, [[1, 2]], {"a": {"b": []}})
HOSTILE = {
    **{f"dtype {value}": put("dtype", value=value) for value in (*TYPES, "float16")},
    **{f"platform {value}": put("platform", value=value) for value in (None, [], 3)},
    **{f"another column {value}": put("columns", ESCAPE, value=value) for value in TYPES},
    **{f"another default {value}": put("defaults", ESCAPE, value=value) for value in TYPES[3:]},
    **{f"info {value}": put("info", value=value) for value in TYPES},
    **{f"plugins {value}": put("plugins", value=value) for value in TYPES},
    "listed plugins": put("info", "plugins", value=[ESCAPE, None, 3]),
    "a plugin": put("plugins", ESCAPE, value=[ESCAPE]),
    "a name": put("name", value=ESCAPE),
    "its versions": put("versions", ESCAPE, value=ESCAPE),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", every(6, HOSTILE), ids=ascii)
def test_any_manifest_is_followed_by_a_sentence(store: Path, name: str) -> None:
    edit_manifest(store, HOSTILE[name])
    before = files(store)
    for words in READING.values():
        end(words, store)
    assert files(store) == before
    for words in WRITING.values():
        end(words, store)


def nested(depth: int) -> str:
    """A manifest with values inside of each other."""
    return '{"a": ' * depth + "1" + "}" * depth


@pytest.mark.parametrize("words", [*READING.values(), *REPLAY.values(), *WRITING.values()])
@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{}", "[[1, 2]]", "\x00\xff", "9" * 5000, nested(300), nested(100_000), None],
    ids=["empty", "list", "number", "object", "pairs", "bytes", "digits", "deep", "deeper", "none"],
)
def test_what_is_no_manifest_is_a_sentence(
    store: Path, text: str | None, words: tuple[str, ...]
) -> None:
    path = store / "manifest.json"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="latin-1")
    answer = end(words, store)
    # Status needs nothing of it, and a run in a folder without a manifest is a new sweep.
    enough_for = {None: "run", "{": "status"}.get(text and text[:1])
    assert answer.code in (1, 3) or (words[0] == enough_for and not answer.code)


@pytest.mark.parametrize("dtype", ["float16", None, ["float32"]])
def test_a_replay_needs_to_know_the_dtype(store: Path, dtype: Any) -> None:
    edit_manifest(store, put("dtype", value=dtype))
    answer = end(REPLAY["replay"], store)
    assert answer.code == 1
    assert "does not say with which dtype and platform its rows were trained" in answer.err


KEPT = {
    "none": (None, 1, "holds no grid.yaml"),
    "empty": (b"", 2, "the file is empty"),
    "bytes": (b"\xff\x00", 2, "is not UTF-8 text"),
    "half": (GRID[:60].encode(), 2, "this is not YAML"),
    "a list": (b"- 1", 2, "a grid is a mapping"),
    "words": (b'"\\e[31m\\a": 3', 2, r"\x1b[31m\x07"),
    "nested": (b"a: " + b"[" * 5000, 2, "levels deep"),
    "large": (b"#" * (2 << 20), 2, "more than 1048576 bytes"),
}


@pytest.mark.parametrize(("content", "code", "said"), KEPT.values(), ids=KEPT)
def test_a_kept_grid_that_is_none_is_a_sentence(
    store: Path, content: bytes | None, code: int, said: str
) -> None:
    """For those commands that need it; the others do what they do without it."""
    edit_manifest(store, lambda manifest: None)  # verify would name the copy by its digest
    (store / "grid.yaml").unlink()
    if content is not None:
        (store / "grid.yaml").write_bytes(content)
    for words in (READING["status"], REPLAY["replay"]):
        answer = end(words, store)
        assert answer.code == code and said in answer.err
    for name in ("status of a grid", "verify"):
        assert end(READING[name], store).code == 0
    assert end(WRITING["run"], store).code == 0


@pytest.mark.parametrize("words", [*READING.values(), *REPLAY.values(), *WRITING.values()])
def test_a_file_or_nothing_instead_of_a_folder_is_a_sentence(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    grid = write_grid(tmp_path, GRID)
    if words[0] != "run":
        assert end(words, tmp_path / ESCAPE).code == 1
    file = tmp_path / f"{ESCAPE} file"
    file.write_text("a file")
    assert end(words, file).code == 1
    assert {path.name for path in tmp_path.iterdir()} == {grid.name, file.name}
