"""Verify names what is broken, repair and compact may be killed anywhere, status says how far a sweep has come.

Run as a script, this file is the process that the tests kill: `test_maintenance.py COMMAND MUTANT WHAT STORE FOLDER`.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sweep import schema
from sweep.__main__ import app
from sweep.errors import StoreError
from sweep.grid import parse_grid
from sweep.planning.manifest import results_identity
from sweep.run import sweep
from sweep.store import (
    Claims,
    Store,
    compact,
    grid_digest,
    list_parts,
    live_workers,
    owner,
    read_part_metadata,
    read_rows,
    repair,
    verify,
)
from sweep.store import swap as swap_module
from sweep.store.directory import Directory
from sweep.store.maintenance import part_scan
from sweep.store.maintenance import repair as maintenance
from sweep.store.parts import part_name, to_parquet
from sweep.store.swap import finish_swap
from tests import ROOT, shell

pytestmark = pytest.mark.thorough

COLUMNS = {"n": "int", "lr": "float", "schedule": "str"}
MANIFEST = {"name": "test", "columns": COLUMNS, "dtype": "float32", "info": {"trials": 8}}
RUNS = schema.runs(schema.columns_from_text(COLUMNS))
CURVES = schema.curves()
BATCHES = [(2, 1), (4, 3), (5,), (6, 8, 7)]
BARE = (5,)
"""The batch that has no curves."""
TRIALS = sorted(itertools.chain(*BATCHES))
STEPS = 3
KEYS = {"runs": ["trial"], "curves": ["trial", "step"]}


def table(trials: tuple[int, ...], wanted: pa.Schema, **columns: Any) -> pa.Table:
    nulls = {each.name: pa.nulls(len(columns.get("trial", trials)), each.type) for each in wanted}
    return pa.table({**nulls, "trial": trials, **columns}, schema=wanted)


def rows(trials: tuple[int, ...]) -> pa.Table:
    lr = np.random.default_rng(sum(trials)).random(len(trials))
    return table(trials, RUNS, n=trials, lr=lr, status=["converged"] * len(trials))


def points(trials: tuple[int, ...]) -> pa.Table | None:
    if trials == BARE:
        return None
    steps = np.tile(np.arange(STEPS), len(trials))
    return table(trials, CURVES, trial=np.repeat(trials, STEPS), step=steps, train_loss=steps / 7)


def train(folder: Path) -> Store:
    """A sweep in small: open the store, commit what is missing."""
    store = Store(folder)
    store.open(MANIFEST, "name: test\n")
    done = set(store.done().tolist())
    for batch in BATCHES:
        if left := tuple(trial for trial in batch if trial not in done):
            store.commit(rows(left), points(left), {"trials": "8"})
    return store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of four parts, of which the third has no curves."""
    return train(tmp_path / "store").folder


def part(folder: Path, kind: str, number: int) -> Path:
    return folder / kind / part_name(number)


def held(folder: Path, kind: str) -> list[tuple[int, ...]]:
    """Trials, and steps where there are some, of all parts that can be read, as a reader meets them."""
    found = []
    for path in sorted((folder / kind).glob("*.parquet")):
        with suppress(StoreError, KeyError):
            found += [tuple(row.values()) for row in read_rows(path, KEYS[kind]).to_pylist()]
    return found


def whole(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of both tables by trial and step, as one who reads the folders meets them."""
    by = {kind: [(key, "ascending") for key in keys] for kind, keys in KEYS.items()}
    return {kind: pq.read_table(folder / kind).sort_by(by[kind]).to_pylist() for kind in KEYS}


def numbers(folder: Path) -> list[int]:
    """All numbers that the parts of the runs say they cover."""
    said = [read_part_metadata(path) for path in list_parts(folder, "runs")]
    spans = [(int(each["first"]), int(each.get("last", each["first"]))) for each in said]
    return sorted(number for first, last in spans for number in range(first, last + 1))


def names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        name: ((folder / name).stat().st_mtime_ns, (folder / name).read_bytes())
        for name in names(folder)
    }


def call(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `python -m sweep ARGUMENTS`."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


# Damage


def flip(path: Path, seed: int = 0) -> None:
    """Flip one bit in the values of a page."""
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(random.Random(seed).randrange(2) * 8)
    start = column.dictionary_page_offset or column.data_page_offset
    at = random.Random(seed).randrange(
        start + column.total_compressed_size - 8, start + column.total_compressed_size
    )
    content[at] ^= 1 << random.Random(seed).randrange(8)
    path.write_bytes(content)


def truncate(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    for source, target in ((one, aside), (other, one), (aside, other)):
        source.rename(target)


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table], **words: str | None) -> None:
    """A part with other rows or other metadata, well formed."""
    said = {
        key: word for key, word in {**read_part_metadata(path), **words}.items() if word is not None
    }
    path.write_bytes(to_parquet(change(read_rows(path)), said))


def of_another_store(folder: Path) -> None:
    other = train(folder.parent / "other").folder
    shutil.copy(part(other, "runs", 1), part(folder, "runs", 1))


def fewer_rows(path: Path) -> None:
    """Flip the bit that makes 1 row of the 3 of the row group: it is in the footer, which no checksum covers."""
    content = path.read_bytes()
    assert content.count(b"\x16\x06\x26\x08") == 1
    path.write_bytes(content.replace(b"\x16\x06\x26\x08", b"\x16\x02\x26\x08"))
    assert pq.read_table(path).num_rows == 1


def whole_table(found: pa.Table) -> pa.Table:
    return found


Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, list[tuple[str, str]], list[int]]] = {
    "a flipped bit": (lambda f: flip(part(f, "runs", 1)), [("runs 1", "cannot be read")], [3, 4]),
    "a flipped bit in curves": (
        lambda f: flip(part(f, "curves", 3)),
        [("curves 3", "cannot be read")],
        [6, 7, 8],
    ),
    "truncated": (lambda f: truncate(part(f, "runs", 2), 0.6), [("runs 2", "cannot be read")], [5]),
    "empty": (lambda f: truncate(part(f, "runs", 0), 0), [("runs 0", "cannot be read")], [1, 2]),
    "truncated curves": (
        lambda f: truncate(part(f, "curves", 0), 0.99),
        [("curves 0", "cannot be read")],
        [1, 2],
    ),
    "fewer rows": (
        lambda f: fewer_rows(part(f, "runs", 3)),
        [("runs 3", "does not match its digest")],
        [6, 7, 8],
    ),
    "two names swapped": (
        lambda f: swap(part(f, "runs", 1), part(f, "runs", 3)),
        [("runs 1", "claims to be part 3"), ("runs 3", "claims to be part 1")],
        [3, 4, 6, 7, 8],
    ),
    "two names swapped in both tables": (
        lambda f: [swap(part(f, kind, 0), part(f, kind, 1)) for kind in ("runs", "curves")],
        [
            (f"{kind} {number}", "claims to be part")
            for kind in ("curves", "runs")
            for number in (0, 1)
        ],
        [1, 2, 3, 4],
    ),
    "two names of curves swapped": (
        lambda f: swap(part(f, "curves", 1), part(f, "curves", 3)),
        [("curves 1", "claims to be part 3"), ("curves 3", "claims to be part 1")],
        [3, 4, 6, 7, 8],
    ),
    "runs for curves": (
        lambda f: swap(part(f, "runs", 1), part(f, "curves", 1)),
        [("runs 1", "is not a part of the runs"), ("curves 1", "is not a part of the curves")],
        [3, 4],
    ),
    "of another store": (of_another_store, [("runs 1", "belongs to another store")], [3, 4]),
    "another type": (
        lambda f: rewritten(
            part(f, "runs", 1), lambda t: t.set_column(7, "n", pa.array([1.0, 2.0]))
        ),
        [("runs 1", "n is double, not int64")],
        [3, 4],
    ),
    "no mark": (
        lambda f: rewritten(part(f, "runs", 1), whole_table, store=None, first=None),
        [("runs 1", "belongs to another store")],
        [3, 4],
    ),
    "no number": (
        lambda f: rewritten(part(f, "runs", 1), whole_table, first=None),
        [("runs 1", "does not state its part number")],
        [3, 4],
    ),
    "the first is missing": (
        lambda f: part(f, "runs", 0).unlink(),
        [("runs 0", "is missing"), ("curves 0", "no matching part of the runs")],
        [1, 2],
    ),
    "one in the middle is missing": (
        lambda f: part(f, "runs", 2).unlink(),
        [("runs 2", "is missing")],
        [5],
    ),
    "the last is missing": (
        lambda f: part(f, "runs", 3).unlink(),
        [("runs 3", "is missing"), ("curves 3", "no matching part of the runs")],
        [6, 7, 8],
    ),
    "curves are missing": (
        lambda f: part(f, "curves", 1).unlink(),
        [("runs 1", "has lost its curves")],
        [3, 4],
    ),
    "both are missing": (
        lambda f: [part(f, kind, 1).unlink() for kind in ("runs", "curves")],
        [("runs 1", "is missing")],
        [3, 4],
    ),
    "several are missing": (
        lambda f: [
            part(f, "runs", 2).unlink(),
            *(part(f, kind, 1).unlink() for kind in ("runs", "curves")),
        ],
        [("runs 1", "is missing, and so are the parts after it up to part-00000002.parquet")],
        [3, 4, 5],
    ),
    "missing beside broken": (
        lambda f: [
            truncate(part(f, "runs", 3), 0.5),
            part(f, "runs", 2).unlink(),
            flip(part(f, "runs", 0)),
        ],
        [("runs 0", "cannot be read"), ("runs 3", "cannot be read")],
        [1, 2, 5, 6, 7, 8],
    ),
    "a trial twice in one part": (
        lambda f: rewritten(part(f, "runs", 1), lambda t: pa.concat_tables([t, t.slice(0, 1)])),
        [("runs 1", "holds trial 3 twice")],
        [3, 4],
    ),
    "a step twice": (
        lambda f: rewritten(part(f, "curves", 1), lambda t: pa.concat_tables([t, t.slice(0, 1)])),
        [("curves 1", "holds trial 3 twice")],
        [3, 4],
    ),
    "a trial in two parts": (
        lambda f: rewritten(part(f, "runs", 2), lambda t: pa.concat_tables([t, rows((1,))])),
        [("runs 2", "holds trial 1 that part-00000000.parquet holds (1 such trials)")],
        [5],
    ),
    "curves of a trial elsewhere": (
        lambda f: rewritten(
            part(f, "curves", 1),
            lambda t: pa.concat_tables([t, t.slice(0, 1).set_column(0, "trial", pa.array([5]))]),
        ),
        [("curves 1", "holds trial 5, which its part of the runs does not")],
        [3, 4],
    ),
    "curves where there are none": (
        lambda f: shutil.copy(part(f, "curves", 1), part(f, "curves", 2)),
        [("curves 2", "claims to be part 1 to 1, not 2")],
        [],
    ),
}


def place(folder: Path, name: str) -> Path:
    kind, number = name.split()
    return part(folder, kind, int(number))


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_and_only_its_trials_run_again(store: Path, name: str) -> None:
    damage, findings, lost = DAMAGES[name]
    before = whole(store)
    damage(store)
    found = verify(store)
    assert sorted(each.path for each in found) == sorted(
        place(store, where) for where, _ in findings
    )
    for where, what in findings:
        assert any(each.path == place(store, where) and what in each.what for each in found), found
    broken = {each.path.read_bytes() for each in found if each.path.exists()}
    moved = repair(store).moved
    assert verify(store) == []
    assert {path.read_bytes() for path in moved} >= broken and all(
        path.parent == store / "broken" for path in moved
    )
    left = [row for row in before["runs"] if row["trial"] not in lost]
    assert whole(store)["runs"] == left
    assert whole(store)["curves"] == [row for row in before["curves"] if row["trial"] not in lost]
    assert numbers(store) == [0, 1, 2, 3]
    again = state(store)
    assert repair(store).moved == () and state(store) == again
    train(store)
    assert verify(store) == []
    assert [row["trial"] for row in whole(store)["runs"]] == TRIALS
    assert len(whole(store)["curves"]) == len(before["curves"])


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A store with a part of many random numbers, which no compression makes shorter."""
    store = Store(tmp_path / "many")
    store.open(MANIFEST, "name: test\n")
    store.commit(rows(tuple(range(300))), None, {})
    return store.folder


def unnamed(folder: Path) -> int:
    """How many of 40 flipped bits in the values of a part verify doesn't name."""
    path, found = part(folder, "runs", 0), 0
    content, column = (
        path.read_bytes(),
        pq.read_metadata(path).row_group(0).column(RUNS.names.index("lr")),
    )
    values = range(column.data_page_offset - 2000, column.data_page_offset - 50)
    assert column.dictionary_page_offset < values.start
    for seed in range(40):
        at, bit = random.Random(seed).choice(values), 1 << seed % 8
        path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        found += not verify(folder)
    return found


@pytest.mark.promise(12)
def test_every_flipped_bit_in_a_page_is_named(many: Path) -> None:
    assert unnamed(many) == 0


@pytest.mark.promise(12, mutant=True)
def test_the_flips_find_a_verify_without_checksums(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_scan, "read_rows", lambda path: pq.ParquetFile(path).read())
    assert unnamed(many) > 20


@pytest.mark.promise(12)
def test_a_copy_laid_over_a_compacted_store_costs_no_row(store: Path) -> None:
    """As rsync does without --delete: old parts beside the large one that holds them."""
    copy, before = shutil.copytree(store, store.parent / "copy"), whole(store)
    compact(store)
    for kind, number in itertools.product(("runs", "curves"), (0, 1)):
        shutil.copy(part(copy, kind, number), part(store, kind, number))
    flip(part(store, "runs", 1))
    assert [each.path for each in verify(store)] == [part(store, "runs", 1), part(store, "runs", 0)]
    repair(store)
    assert verify(store) == [] and whole(store) == before
    assert names(store / "runs") == [part_name(4)]


def test_swapped_parts_that_were_joined_are_named(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.store.compaction.ROWS", 16)  # the first two parts, the other two
    before = whole(store)
    assert compact(store).after == {"runs": 2, "curves": 2}
    assert verify(store) == [] and whole(store) == before
    swap(part(store, "runs", 4), part(store, "runs", 5))
    assert [(each.path, each.what) for each in verify(store)] == [
        (part(store, "runs", 4), "claims to be part 5 to 5, not 4"),
        (part(store, "runs", 5), "claims to be part 0 to 4, not 5"),
    ]


@pytest.mark.promise(15)
def test_foreign_files_are_named_and_stay(store: Path) -> None:
    pq.write_table(pa.table({"trial": [9]}), store / "runs" / "mine.parquet")
    (store / "curves" / "sub").mkdir()
    shutil.copy(store / "runs" / "mine.parquet", store / "curves" / "sub" / part_name(0))
    hidden = [store / "runs" / name for name in ("_notes", ".hidden.parquet", "_tmp-mine")]
    for path in hidden:
        path.write_text("mine")
    foreign = [store / "curves" / "sub" / part_name(0), store / "runs" / "mine.parquet"]
    assert sorted(each.path for each in verify(store)) == foreign
    flip(part(store, "runs", 1))
    code, out, _ = call("repair", store)
    assert code == 0 and all(str(path) in out for path in foreign) and "Move it elsewhere" in out
    assert compact(store).after["runs"] == 1
    assert [path for path in [*foreign, *hidden] if not path.exists()] == []
    assert sorted(each.path for each in verify(store)) == foreign


def test_curves_under_a_hidden_name_are_no_finding(store: Path) -> None:
    before = whole(store)
    hidden = part(store, "curves", 1).with_name(
        read_part_metadata(part(store, "runs", 1))["curves"]
    )
    part(store, "curves", 1).rename(hidden)
    code, out, _ = call("verify", store)
    assert code == 0 and str(hidden) in out and "The same sweep command" in out
    truncate(part(store, "runs", 0), 0.5)
    assert [each.path for each in verify(store)] == [part(store, "runs", 0)]
    repair(store)
    assert verify(store) == [] and part(store, "curves", 1).exists()
    train(store)
    assert len(whole(store)["curves"]) == len(before["curves"])


def test_broken_curves_under_a_hidden_name_are_a_finding(store: Path) -> None:
    hidden = part(store, "curves", 1).with_name(
        read_part_metadata(part(store, "runs", 1))["curves"]
    )
    part(store, "curves", 1).rename(hidden)
    flip(hidden)
    assert [each.path for each in verify(store)] == [hidden]
    repair(store)
    assert verify(store) == [] and (3,) not in held(store, "runs")


@pytest.mark.parametrize(
    "content", [None, b"{", b"[]", b'{"columns": {"n": "complex"}, "info": {"store": "a"}}']
)
def test_a_broken_manifest_is_named_and_has_no_cure(store: Path, content: bytes | None) -> None:
    (store / "manifest.json").unlink() if content is None else (
        store / "manifest.json"
    ).write_bytes(content)
    flip(part(store, "runs", 1))
    before = state(store)
    assert [each.path for each in verify(store)] == [
        store / "manifest.json",
        part(store, "runs", 1),
    ]
    for command in ("repair", "compact"):
        code, out, error = call(command, store)
        assert (
            (code, out) == (1, "")
            and "manifest.json cannot be read" in error
            and "Put the manifest" in error
        )
    assert state(store) == before


def test_the_manifest_of_another_store_moves_nothing(store: Path) -> None:
    other = train(store.parent / "other").folder
    shutil.copy(other / "manifest.json", store / "manifest.json")
    before = state(store)
    assert [each.path for each in verify(store)] == [store / "manifest.json"]
    with pytest.raises(StoreError, match="belongs to another store than all of the parts"):
        repair(store)
    assert state(store) == before


def test_nothing_in_broken_is_overwritten(store: Path) -> None:
    for content in (b"first", b"second", b"third"):
        part(store, "runs", 1).write_bytes(content)
        assert call("repair", store)[0] == 0
    kept = [store / "broken" / f"runs-part-00000001{more}.parquet" for more in ("", "-1", "-2")]
    assert [path.read_bytes() for path in kept] == [b"first", b"second", b"third"]


def test_parts_of_another_user_are_moved_aside(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux refuses a link to them, though the folder is writable."""
    flip(part(store, "runs", 1))
    content, link = part(store, "runs", 1).read_bytes(), os.link

    def protected(name: str, new_name: str, **named: Any) -> None:
        if name.startswith("part-"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        link(name, new_name, **named)

    monkeypatch.setattr(os, "link", protected)
    assert len(repair(store).moved) == 2 and verify(store) == []
    assert (store / "broken" / "runs-part-00000001.parquet").read_bytes() == content


# Compaction


@pytest.mark.promise(16)
def test_compaction_keeps_all_rows_in_fewer_files(store: Path) -> None:
    import pandas as pd

    flip(part(store, "runs", 1))
    repair(store)
    train(store)
    before, frame = (
        whole(store),
        pd.read_parquet(store / "runs").sort_values("trial", ignore_index=True),
    )
    code, out, _ = call("compact", store)
    assert (code, out) == (
        0,
        "Parts of the runs: 5 before, 1 after.\nParts of the curves: 3 before, 1 after.\n",
    )
    assert whole(store) == before and verify(store) == []
    pd.testing.assert_frame_equal(pd.read_parquet(store / "runs")[frame.columns.tolist()], frame)
    assert read_part_metadata(part(store, "runs", 5)).keys() == {
        "first",
        "last",
        "store",
        "curves",
        "buckets",
        "trials",
        "rows",
        "digest",
        "curve_rows",
    }
    again = state(store)
    assert json.loads(call("compact", store, "--json")[1])["after"] == {"runs": 1, "curves": 1}
    assert state(store) == again
    assert train(store).done().tolist() == TRIALS


def test_compaction_refuses_what_is_broken(store: Path) -> None:
    flip(part(store, "runs", 1))
    before = state(store)
    code, _, error = call("compact", store)
    assert (
        code == 1
        and f"{part(store, 'runs', 1)} cannot be read" in error
        and "sweep repair" in error
    )
    assert state(store) == before


@pytest.mark.parametrize("call_", ["write", "fsync", "mkdir", "replace"])
def test_a_compaction_gives_the_room_back_where_the_disk_is_full(
    store: Path, monkeypatch: pytest.MonkeyPatch, call_: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = state(store)
    rewrite = maintenance.rewrite_parts

    def rewriting(*arguments: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, call_, full)
            rewrite(*arguments)

    monkeypatch.setattr(maintenance, "rewrite_parts", rewriting)
    with pytest.raises(
        StoreError, match=r"cannot be written: .*Free some space.*what is committed stays"
    ):
        compact(store)
    assert state(store) == before and sorted(path.name for path in store.iterdir()) == [
        *("curves", "grid.yaml", "manifest.json", "runs"),
    ]


@pytest.mark.parametrize("command", ["repair", "compact"])
def test_nobody_may_be_at_work(store: Path, command: str) -> None:
    with Claims(store) as claims:
        claims.worker_file.rename(away := claims.folder / "worker-away-7.1")
        code, _, error = call(command, store)
        assert (
            code == 1
            and f"To {command} the store, no other process may use {store}. In use by away-7.1, this process itself."
            in error
        )
        away.unlink()
    assert call(command, store)[0] == 0


def test_a_compaction_that_was_cut_off_is_a_finding(store: Path) -> None:
    (store / "_swap").touch()
    assert [each.what for each in verify(store)] == [
        "is being compacted, or a compaction was interrupted"
    ]
    assert call("status", store)[0] == 1
    repair(store)
    assert verify(store) == []


def test_curves_of_fewer_trials_than_the_runs_declare_are_trained_again(store: Path) -> None:
    """They were put in the place of a joined part; verify said that all was whole."""
    before = whole(store)
    compact(store)
    rewritten(part(store, "curves", 4), lambda table: table.slice(0, 9))
    (finding,) = verify(store)
    assert finding.path == part(store, "curves", 4)
    assert "holds 9 rows, and its part of the runs declares 21" in finding.what
    repair(store)
    train(store)
    assert whole(store) == before and verify(store) == []


def test_what_an_overtaken_compaction_left_is_named_and_in_nobodys_way(store: Path) -> None:
    (store / "_old-runs").mkdir()
    (store / "_old-runs" / "x").write_text("mine")
    (finding,) = verify(store)
    assert finding.path == store / "_old-runs" and "Move it elsewhere" in finding.cure
    with pytest.raises(StoreError, match="_old-runs is left of a compaction"):
        compact(store)
    assert not (store / "_swap").exists() and train(store).done().tolist() == TRIALS


@pytest.mark.promise(19)
@pytest.mark.parametrize("kind", ["runs", "curves"])
def test_a_compaction_that_was_overtaken_harms_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It sleeps right before it moves a table aside, and another process completes the rest."""
    before, move = whole(store), Directory.move

    def sleeping(folder: Directory, name: str, target: Directory, new_name: str) -> None:
        if new_name == f"_old-{kind}":
            monkeypatch.setattr(Directory, "move", move)
            finish_swap(Directory(store))
        move(folder, name, target, new_name)

    monkeypatch.setattr(Directory, "move", sleeping)
    with pytest.raises(StoreError):
        compact(store)
    assert whole(store) == before and verify(store) == []


def test_a_start_that_slept_does_not_undo_the_compaction_of_another(store: Path) -> None:
    (store / "_new-curves").mkdir()
    with Claims(store) as claims, claims.exclusive("compact the store"):
        with pytest.raises(StoreError, match="is being rewritten by"):
            train(store)
        assert (store / "_new-curves").is_dir()
    train(store)
    assert not (store / "_new-curves").exists()


# Kills


def runs_first(store: Directory, move: Any, said: Any) -> Iterator[Path]:
    """A mutant of a repair: it takes the runs away before their curves."""
    name = part_name(move.number)
    for kind in ("runs", "curves"):
        table = store.folder(kind)
        if path := maintenance._link_aside(store, table, name):
            table.remove(name)
            yield path
        if kind == "runs":
            table.write_once(name, maintenance._empty_part(move.span, move.why, said))


def without_empty_parts(store: Directory, move: Any, said: Any) -> Iterator[Path]:
    """A mutant of a repair: it leaves numbers without a part."""
    yield from carry_out(store, move, said)
    store.folder("runs").remove(part_name(move.number))


def in_place(store: Directory, columns: object, check_access: object) -> None:
    """A mutant of a compaction: large parts appear beside those that they hold."""
    for kind in ("curves", "runs"):
        table, found = store.folder(kind), list_parts(store.path, kind)
        words = {**read_part_metadata(found[-1]), "first": "0", "last": "4"}
        table.write_once(part_name(4), to_parquet(pa.concat_tables(map(read_rows, found)), words))
        for path in found:
            table.remove(path.name)


def too_soon(store: Directory, columns: Any, check_access: Any) -> None:
    """A mutant of a compaction: it says that all is written before it is, and is believed."""
    store.write_once("_swap", b"")
    rewrite(store, columns, check_access)


rewrite, carry_out = maintenance.rewrite_parts, maintenance._carry_out
COMMANDS: dict[str, Callable[[Path], object]] = {"repair": repair, "compact": compact}
MUTANTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "runs first": ("_carry_out", runs_first),
    "without empty parts": ("_carry_out", without_empty_parts),
    "in place": ("rewrite_parts", in_place),
    "too soon": ("rewrite_parts", too_soon),
}


def die_at(operation: int) -> None:
    """From now on the process kills itself at its n-th file operation; in the midst of it where that is a write."""
    left = itertools.count(operation - 1, -1)

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **more: Any) -> Any:
            if next(left) == 0:
                if do.__name__ == "write":
                    do(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return do(*args, **more)

        return counting

    for name in ("open", "write", "fsync", "link", "unlink", "rename", "replace", "mkdir", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))


def kill_at_each_operation(command: str, store: Path, folder: Path, stride: int = 1) -> None:
    """Copies FOLDER/1, FOLDER/2, ... of a store: the command, killed at the first, the second, ... operation."""
    for operation in itertools.count(1, stride):
        copy = shutil.copytree(store, folder / str(operation))
        process = os.fork()
        if not process:
            die_at(operation)
            COMMANDS[command](copy)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if not status:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def faults(command: str, folder: Path, want: dict[str, Any]) -> Iterator[str]:
    """What is wrong after a kill: for a reader, for the sweep, and after the same command has run again."""
    for kind in KEYS:
        found, swapping = (
            held(folder, kind),
            (folder / "_swap").exists() and not (folder / kind).exists(),
        )
        if len(set(found)) < len(found):
            yield f"{kind} are there twice"
        if command == "compact" and not swapping and len(found) < len(want[kind]):
            yield f"{kind} are not all there"
    copy = shutil.copytree(folder, folder.with_name(f"{folder.name} trained"))
    with suppress(StoreError):
        done = train(copy).done().tolist()
        found = [held(copy, kind) for kind in KEYS]
        if done != TRIALS or any(len(set(each)) < len(each) for each in found):
            yield "the sweep does not make it whole"
    try:
        COMMANDS[command](folder)
        if whole(folder) != want:
            yield "other rows after the same command"
        # A compaction adds numbers, also where it was killed before the swap.
        covered = numbers(folder)
        if verify(folder) or len(covered) < 4 or covered != [*range(len(covered))]:
            yield "not whole after the same command"
        Store(folder).open(MANIFEST, "name: test\n")
    except StoreError as error:
        yield str(error)
    if left := [
        name
        for name in names(folder)
        if any(word in name for word in ("_tmp", "_new", "_old", "claims"))
    ]:
        yield f"{left} are left"


def kill(command: str, mutant: str, what: str, stride: int, store: Path, folder: Path) -> None:
    """Print what is wrong by the operation at which the command was killed, up to the first `what`."""
    found, want = (
        dict[str, list[str]](),
        whole(folder.with_name("whole")),
    )  # what pyarrow imports late, no child has to
    if mutant:
        setattr(maintenance, *MUTANTS[mutant])
    if mutant == "too soon":
        swap_module.find_fault = lambda *_: ""
    kill_at_each_operation(command, store, folder, stride)
    *copies, _ = sorted(folder.iterdir(), key=lambda path: int(path.name))
    for path in copies:
        found[path.name] = list(faults(command, path, want))
        if any(what in each for each in found[path.name]):
            break
    print(json.dumps(found))


def killed(
    command: str, store: Path, mutant: str = "", what: str = "", stride: int = 4
) -> dict[str, list[str]]:
    """What is wrong by the operation at which a command, or a mutant of it, was killed."""
    if command == "repair":
        flip(part(store, "runs", 1))
        flip(part(store, "curves", 3))
        part(store, "runs", 2).unlink()
    COMMANDS[command](shutil.copytree(store, store.parent / "whole"))
    folder = store.parent / "killed"
    folder.mkdir()
    script = [sys.executable, __file__, command, mutant, what, str(stride), str(store), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return json.loads(
        subprocess.run(script, env=environment, check=True, stdout=subprocess.PIPE).stdout
    )


@pytest.mark.promise(12)
@pytest.mark.promise(16)
@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_at_any_operation_is_made_good(store: Path, command: str, stride: int) -> None:
    """At every operation, or at every third one."""
    found = killed(command, store, stride=stride)
    assert len(found) > 40 // stride
    assert {operation: what for operation, what in found.items() if what} == {}


@pytest.mark.promise(12, mutant=True)
@pytest.mark.promise(16, mutant=True)
@pytest.mark.parametrize(
    ("command", "mutant", "what"),
    [
        ("repair", "runs first", "the sweep does not make it whole"),
        ("repair", "without empty parts", "not whole after the same command"),
        ("compact", "in place", "runs are there twice"),
        ("compact", "too soon", "has lost its curves"),
    ],
)
def test_the_kills_find_a_command_that_is_less_careful(
    store: Path, command: str, mutant: str, what: str
) -> None:
    found = killed(command, store, mutant, what)
    assert any(what in fault for faults in found.values() for fault in faults), found


# Status

GRID = """
name: small
seed: {range: [0, 3]}
data: {kind: feature_noise, n: 6, d: 12, sparsity: 3, snr: [0.5, 2]}
model: {kind: cnn, width: 2}
optimizer: {kind: gd, lr: [0.1, 1e30]}
train: {steps: 20}
test_points: 8
record: {points: 0}
"""
LONGER = GRID.replace("[0, 3]", "[0, 5]")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a small grid of 12 trials, half of which diverge."""
    folder = tmp_path_factory.mktemp("trained")
    with shell.jax_as_it_was():
        return sweep(shell.write_grid(folder, GRID), folder / "store", workers=1, quiet=True)


def asked(folder: Path, *more: object) -> dict[str, Any]:
    code, out, error = call("status", folder, "--json", *more)
    assert code == 0, error
    return json.loads(out)


def test_status_counts_and_touches_neither_store_nor_device(trained: Path) -> None:
    before = state(trained)
    code = (
        "import sys\nfrom sweep.__main__ import app\napp(sys.argv[1:], standalone_mode=False)\n"
        "from jax._src import xla_bridge\nassert not xla_bridge._backends"
    )
    answer = shell.python("-W", "error", "-c", code, "status", trained)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == [
        f"{trained}: 12 trials, 12 done, 0 left of the grid in {trained / 'grid.yaml'}.",
        "",
        "bucket                                                          trials  done  left  out_of_steps  diverged",
        "feature_noise cnn logistic gd n=6 d=12 sparsity=3 width=2 span      12    12     0             6         6",
        "all                                                                 12    12     0             6         6",
        "",
        "Nobody is at work.",
        "Checkpoints of trials that have not ended: 0.",
    ]
    assert state(trained) == before


def test_status_takes_the_largest_grid_or_the_one_that_is_asked_for(
    trained: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(trained, tmp_path / "store")
    name = f"grid-{grid_digest(LONGER.encode())[:8]}.yaml"
    shell.write_grid(store, LONGER, name)
    shell.write_grid(store, "no grid", "grid-notes.yaml")
    found = asked(store)
    assert found["grids"] == {"grid.yaml": 12, name: 20} and found["grid"].endswith(name)
    assert (found["trials"], found["done"], found["left"]) == (20, 12, 8)
    assert found["status"] == {
        "converged": 0,
        "out_of_steps": 6,
        "nonfinite": 6,
        "out_of_memory": 0,
    }
    assert [(each["trials"], each["left"]) for each in found["buckets"]] == [(20, 8)]
    assert "the largest if the folder does not say" in call("status", store)[1]
    (store / "current-grid.txt").write_text("grid.yaml")
    assert asked(store)["trials"] == 12
    smaller = asked(store, "--grid", shell.write_grid(tmp_path, GRID.replace("[0, 3]", "[0, 1]")))
    assert (smaller["trials"], smaller["done"], smaller["rows_of_other_grids"]) == (4, 4, 8)


def test_status_says_why_a_grid_would_be_refused(trained: Path, tmp_path: Path) -> None:
    assert asked(trained, "--grid", shell.write_grid(tmp_path, LONGER))["conflict"] == ""
    store = shutil.copytree(trained, tmp_path / "store")
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["versions"]["optax"] = "0.1"
    del manifest["info"]["digest"], manifest["info"]["grid"]
    (store / "manifest.json").write_text(json.dumps(manifest))
    other = shell.write_grid(
        tmp_path, LONGER.replace("test_points: 8", "test_points: 9"), "other.yaml"
    )
    code, out, _ = call("status", store, "--grid", other)
    assert code == 0 and 'another sweep (test_points 8 -> 9, versions.optax "0.1" -> ' in out
    assert (
        call("status", store, "--grid", shell.write_grid(tmp_path, "seed: x", "bad.yaml"))[0] == 2
    )


def test_the_identity_of_a_sweep_is_that_of_its_manifest(trained: Path) -> None:
    """What status compares is what a sweep writes."""
    manifest = Store(trained).read_manifest()
    del manifest["info"]
    assert json.loads(json.dumps(results_identity(parse_grid(GRID), "float32", "cpu"))) == manifest


def test_status_names_who_is_at_work_and_counts_checkpoints(trained: Path, tmp_path: Path) -> None:
    store = shutil.copytree(trained, tmp_path / "store")
    for name in ("a_b_1", "a_b_2", "a_b_3.orbax-checkpoint-tmp-1"):
        (store / "checkpoints" / name).mkdir(parents=True)
    with Claims(store) as claims:
        for name, age in (("away-7.1", 0), ("away-8.1", 100), ("notes", 0)):
            path = claims.folder / f"worker-{name}"
            path.touch()
            os.utime(path, (time.time() - age, time.time() - age))
        before = state(store)
        assert asked(store)["at_work"] == live_workers(store) == sorted(["away-7.1", owner()])
        assert asked(store)["checkpoints"] == 2
        assert state(store) == before
        assert f"At work: {', '.join(live_workers(store))}." in call("status", store)[1]


@pytest.mark.parametrize("command", ["verify", "repair", "compact", "status"])
def test_a_folder_that_is_no_store_is_a_sentence_and_stays_as_it_is(
    tmp_path: Path, command: str
) -> None:
    code, out, error = call(command, tmp_path / "none", "--json")
    assert code == 1 and "none" in error and json.loads(out) == {"error": error.strip()}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise(12)
def test_verify_says_how_many_trials_are_not_there(store: Path) -> None:
    """Nothing tells that the last parts are missing but the number of trials of the grid."""
    assert "are not in it" not in call("verify", store)[1]
    for kind in ("runs", "curves"):
        part(store, kind, 3).unlink()
    code, out, _ = call("verify", store)
    assert code == 0 and "3 of 8 trials of its largest grid are not in it" in out
    assert json.loads(call("verify", store, "--json")[1])["planned"] == 8


def test_verify_counts_what_is_whole_and_lists_what_is_not(store: Path) -> None:
    whole = f"{store} is whole: 8 rows of runs (parts: 4) and 21 rows of curves (parts: 3).\n"
    assert call("verify", store) == (0, whole, "")
    flip(part(store, "runs", 1))
    code, out, _ = call("verify", store)
    assert (
        code == 1
        and out.startswith(f"{part(store, 'runs', 1)} cannot be read: ")
        and out.count("\n") == 1
    )
    code, out, _ = call("verify", store, "--json")
    assert code == 1 and json.loads(out)["findings"][0]["path"] == str(part(store, "runs", 1))
    assert call("repair", store)[1].splitlines()[1:] == [
        "These files were moved: {0}/curves-{1}, {0}/runs-{1}.".format(
            store / "broken", part_name(1)
        ),
        "The same sweep command trains again what is missing now, and nothing else.",
    ]


if __name__ == "__main__":
    pa.set_cpu_count(1)
    kill(*sys.argv[1:4], int(sys.argv[4]), *map(Path, sys.argv[5:]))
