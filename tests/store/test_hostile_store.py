"""A store that somebody else prepared: links, odd files, sizes and values in every place.

No command may change a file outside of the store, wait for ever, or end in a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sweep.__main__ import app
from sweep.store import owner
from tests import shell
from tests.sampling import every

pytestmark = pytest.mark.thorough

GRID = """\
name: small
seed: {range: [0, 2]}
data: {kind: signal_noise, n: 8, d: 16, snr: [0.5, 1]}
model: {kind: cnn, width: 2}
objective: {kind: logistic}
optimizer: [{kind: gd, lr: 0.1}, {kind: adam, lr: 0.1}]
train: {steps: 4}
test_points: 4
record: {points: 2}
"""
SECONDS = 10
"""Of work; ten times as long on the clock, which other processes of the machine share."""
COMMANDS = ("status", "verify", "repair", "compact", "run", "verify")
Prepare = Callable[[Path, Path], object]
"""What is done to a store, given a folder beside it that must stay as it is."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "grid.yaml").write_text(GRID)
    result = call(folder, "run")
    assert result.exit_code == 0, result.output
    assert call(folder, "report").exit_code == 0
    return folder


def call(folder: Path, command: str) -> Any:
    grid, store = str(folder / "grid.yaml"), str(folder / "store")
    arguments = {
        "run": [grid, "--out", store, "--workers", "1"],
        "gap": [store, "--out", str(folder / "gap.png")],
    }
    return CliRunner().invoke(app, [command, *arguments.get(command, [store])])


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not ended after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10 * seconds)
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < seconds
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def link(name: str, target: str = "") -> Prepare:
    """A link in place of a file or folder of the store."""

    def prepare(store: Path, outside: Path) -> None:
        remove(store / name)
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).symlink_to(outside / target if target else outside)

    return prepare


def pipe(name: str) -> Prepare:
    """A named pipe, which a reader opens and then waits for a writer."""

    def prepare(store: Path, outside: Path) -> None:
        remove(store / name)
        (store / name).parent.mkdir(exist_ok=True)
        os.mkfifo(store / name)

    return prepare


def plug(name: str) -> Prepare:
    """A socket."""

    def prepare(store: Path, outside: Path) -> None:
        remove(store / name)
        here = os.getcwd()
        os.chdir((store / name).parent)  # the names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(Path(name).name)
        finally:
            os.chdir(here)

    return prepare


def folder(name: str, *files: str) -> Prepare:
    """A folder in place of a file, with some files in it."""

    def prepare(store: Path, outside: Path) -> None:
        remove(store / name)
        (store / name).mkdir(parents=True)
        for file in files:
            (store / name / file).write_text("mine")

    return prepare


def content(name: str, text: str | bytes) -> Prepare:
    """Any content in place of a file."""

    def prepare(store: Path, outside: Path) -> None:
        remove(store / name)
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return prepare


def huge(name: str, size: int = 1 << 40) -> Prepare:
    """A file with a terabyte of zeros, none of which takes room on the disk."""

    def prepare(store: Path, outside: Path) -> None:
        content(name, b"")(store, outside)
        os.truncate(store / name, size)

    return prepare


def manifest(**changes: Any) -> Prepare:
    """A manifest with other values, without digests, as version 0.2 wrote it."""

    def prepare(store: Path, outside: Path) -> None:
        values = json.loads((store / "manifest.json").read_text())
        del values["info"]["digest"], values["info"]["grid"]
        values["info"] |= changes.pop("info", {}) if isinstance(changes.get("info"), dict) else {}
        (store / "manifest.json").write_text(json.dumps(values | changes))

    return prepare


def part(name: str, change: Callable[[pa.Table], pa.Table], **metadata: str) -> Prepare:
    """A part with other rows or metadata, without a digest, as version 0.2 wrote it."""

    def prepare(store: Path, outside: Path) -> None:
        table = pq.read_table(store / name)
        kept = {k: v for k, v in table.schema.metadata.items() if k not in (b"digest", b"rows")}
        changed = {key.encode(): text.encode() for key, text in metadata.items()}
        described = change(table).replace_schema_metadata({**kept, **changed})
        pq.write_table(described, store / name)

    return prepare


def both(*steps: Prepare) -> Prepare:
    def prepare(store: Path, outside: Path) -> None:
        for step in steps:
            step(store, outside)

    return prepare


def same(table: pa.Table) -> pa.Table:
    return table


def repeated(table: pa.Table) -> pa.Table:
    """Twenty million rows of one value, which take a few kilobytes."""
    return pa.table({"trial": np.zeros(20_000_000, np.int64)}, metadata=table.schema.metadata)


def as_text(table: pa.Table) -> pa.Table:
    columns = {
        name: [str(value) for value in table[name].to_pylist()] for name in table.column_names
    }
    return pa.table(columns, metadata=table.schema.metadata)


def nested(table: pa.Table) -> pa.Table:
    at = table.column_names.index("status")
    return table.set_column(at, "status", pa.array([[{"a": [1]}]] * table.num_rows))


FIRST, CURVES = "runs/part-00000000.parquet", "curves/part-00000000.parquet"
TEMPORARY = f"_tmp-{owner()}-0123abcd"
GONE = "_tmp-nowhere.1-1.1-0123abcd"
HOSTILE: dict[str, Prepare] = {
    **{
        f"{name} is a link": link(name)
        for name in (
            *("runs", "curves", "claims", "checkpoints", "broken", "report"),
            *("_new-runs", "_new-curves", "_old-runs", "_old-curves"),
        )
    },
    **{
        f"{name} is a link during a compaction": both(link(name), content("_swap", "0"))
        for name in ("runs", "curves", "_new-runs", "_new-curves", "_old-runs", "_old-curves")
    },
    **{
        f"{name} is a link to a file": link(name, "notes.txt")
        for name in (
            *("manifest.json", "grid.yaml", "grid-0123abcd.yaml", "_swap", FIRST, CURVES),
            *("runs/part-00000001.parquet", f"runs/{GONE}"),
            *("claims/alone", "claims/worker-a.1-1.1", "report/index.html", "report/gap.csv"),
        )
    },
    **{
        f"{name} is a pipe": pipe(name)
        for name in (
            *("manifest.json", "grid.yaml", "_swap", FIRST, CURVES, "runs/part-00000001.parquet"),
            *(
                "grid-0123abcd.yaml",
                "current-grid.txt",
                "claims",
                "claims/alone",
                "claims/worker-a.1-1.1",
                "checkpoints",
                "report",
            ),
            *("report/index.html", "runs/mine", "runs", "broken"),
        )
    },
    **{f"{name} is a socket": plug(name) for name in ("manifest.json", FIRST, "grid.yaml")},
    **{
        f"{name} is a folder": folder(name, "notes.txt")
        for name in (
            *("manifest.json", "grid.yaml", "_swap", FIRST, CURVES, "runs/part-00000001.parquet"),
            *(f"runs/{GONE}", "claims/alone", "claims/worker-a.1-1.1"),
            *("report/index.html", "_new-runs", "_old-runs"),
        )
    },
    **{f"{name} is a file": content(name, "mine") for name in ("curves", "claims", "report")},
    **{
        f"{name} is huge": huge(name)
        for name in (
            *("manifest.json", "grid.yaml", "grid-0123abcd.yaml", "_swap", FIRST, CURVES),
            *("claims/alone", "claims/worker-a.1-1.1"),
        )
    },
    "a temporary file of this process is a link": link(f"runs/{TEMPORARY}", "notes.txt"),
    "a temporary file of this process is a folder": folder(f"runs/{TEMPORARY}", "notes.txt"),
    "a link that leads nowhere is the first part": link(FIRST, "missing"),
    "a link to itself is the manifest": lambda store, outside: (
        remove(store / "manifest.json"),
        (store / "manifest.json").symlink_to("manifest.json"),
    ),
    "the manifest is deep": content("manifest.json", "[" * 100_000),
    "the manifest is a list": content("manifest.json", "[1, 2]"),
    "the manifest has a number of columns": manifest(columns=7),
    "the manifest has unknown types": manifest(columns={"n": "eval", "lr": ["float"]}),
    "the manifest has a list of information": manifest(info=[1]),
    "the manifest has odd information": manifest(
        info={"trials": "many", "started": 7, "command": {"a": 1}, "meanings": [1], "store": None}
    ),
    "the manifest has odd meanings": manifest(
        info={"meanings": {"snr": 7, "test_error": {"label": [1], "scale": {}}}, "definitions": 3}
    ),
    "the manifest has controls": manifest(name="\x1b]0;owned\x07\x1b[2J", dtype="\x1b[31m"),
    "the compaction covers nonsense": content("_swap", "-7\x1b[2J"),
    "a part of a far number": lambda store, outside: shutil.copy(
        store / FIRST, store / "runs/part-99999999.parquet"
    ),
    "a part that covers a far span": part(FIRST, same, first="0", last="999999999999999999"),
    "a part with a negative number": part(FIRST, same, first="-1"),
    "a part with odd metadata": part(FIRST, same, buckets="[1]", trials="\x1b[2J", curves="../x"),
    "a part with deep buckets": part(FIRST, same, buckets="[" * 100_000),
    "a part names itself as its curves": part(FIRST, same, curves="part-00000000.parquet"),
    "a part names a file outside as its curves": part(
        FIRST, same, curves="../../outside/notes.txt"
    ),
    "a part of text": part(FIRST, as_text),
    "a part of lists": part(FIRST, nested),
    "a part without rows or columns": part(FIRST, lambda table: table.select([])),
    "a part of many equal rows": part(FIRST, repeated),
    "many empty parts": lambda store, outside: [
        (store / "runs" / f"part-{number:08d}.parquet").touch() for number in range(1, 500)
    ],
    "a part in the wrong table": lambda store, outside: shutil.copy(store / FIRST, store / CURVES),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")}


def is_shown_in_a_report(name: str) -> bool:
    return any(word in name for word in ("report", "manifest", "grid", "metadata"))


@pytest.mark.promise(18)
@pytest.mark.parametrize("name", every(6, HOSTILE))
def test_no_command_leaves_the_store_waits_or_fails_without_a_sentence(
    trained: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(trained / "store" / FIRST, outside / "part-00000000.parquet")
    for file in ("notes.txt", "index.html", "_tmp-mine"):
        (outside / file).write_text("mine")
    HOSTILE[name](tmp_path / "store", outside)
    before = contents(outside)
    for command in (*COMMANDS, *(["gap", "report"] if is_shown_in_a_report(name) else [])):
        with time_limit(SECONDS):
            result = call(tmp_path, command)
        assert contents(outside) == before, command
        assert result.exit_code in (0, 1, 2, 3), (command, result.output)
        failure = result.exception
        assert failure is None or isinstance(failure, SystemExit), (command, failure)
        assert "\x1b" not in result.output, command
        assert result.exit_code == 0 or result.output.strip(), command


@pytest.mark.promise(18, mutant=True)
def test_a_store_that_follows_links_would_be_seen(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(trained / "store" / FIRST, outside / "part-00000000.parquet")
    link("_new-runs")(tmp_path / "store", outside)
    monkeypatch.setattr(os, "O_NOFOLLOW", 0)
    call(tmp_path, "repair")
    assert not contents(outside)


def test_the_table_is_long() -> None:
    assert len(HOSTILE) >= 40
    assert shell.PACKAGES.is_dir()
