"""The store: whole parts or none, at any moment, whoever dies.

Run as a script, this file is the process that the tests kill or race: `test_store.py kill|shoot|race FOLDER ...`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep import schema
from sweep.errors import StoreConflict, StoreError, SweepError
from sweep.store import Claims, Store, current_grid, owner
from sweep.store.commit_log import CommitLog
from sweep.store.directory import Directory
from sweep.store.manifest_file import read_manifest, replace_manifest
from sweep.store.parts import part_name, to_parquet
from tests.store.small_store import (
    MANIFEST,
    OURS,
    RUNS,
    STEPS,
    environment,
    failing,
    names,
    opened,
    points,
    rows,
    start_sleeper,
)


def work(folder: Path, kind: type[Store], batches: list[tuple[int, ...]]) -> None:
    """A sweep in small: open the store, commit what is missing."""
    store = opened(folder, kind)
    done = set(store.done().tolist())
    for batch in batches:
        if left := tuple(trial for trial in batch if trial not in done):
            store.commit(rows(left), points(left), OURS)


# The schema


def test_runs_schema_has_ids_kinds_fields_outcome_and_observables() -> None:
    found = schema.runs({"n": int, "lr": float, "schedule": str, "bias": bool, "seed": int})
    assert found.names == [
        *(
            "trial",
            "problem",
            "data",
            "model",
            "objective",
            "optimizer",
            "seed",
            "n",
            "lr",
            "schedule",
            "bias",
        ),
        *("coordinates", "status", "steps", "fit_step", *schema.STANDARD_OBSERVABLES),
    ]
    types = {
        "trial": pa.int64(),
        "n": pa.int64(),
        "lr": pa.float64(),
        "schedule": pa.string(),
        "bias": pa.bool_(),
    }
    assert {name: found.field(name).type for name in types} == types


def test_schemas_have_no_column_twice_and_reserve_their_own() -> None:
    for each in (schema.runs({}), schema.curves()):
        assert len(set(each.names)) == len(each.names)
        assert schema.FIXED.issuperset(each.names)


def test_neither_jax_nor_rich_comes_with_the_import() -> None:
    code = "import sys, sweep.store, sweep.workers.progress; sys.exit(bool({'jax', 'rich'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
    )


# Commit and read


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    assert store.done().tolist() == []
    assert store.done().dtype == np.int64
    assert store.blocks() == {}
    assert not store.folder.exists()


@pytest.mark.parametrize("name", ["plain", "with space", "größe-実験", "n=1 [x]*"])
def test_committed_rows_are_read_by_pandas_and_duckdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import duckdb
    import pandas as pd

    store = opened(tmp_path / name)
    assert store.commit(rows((5, 1)), points((5, 1)), OURS)
    assert store.commit(rows((-3,)), None, OURS)
    frame = pd.read_parquet(store.folder / "runs")
    assert frame.columns.tolist() == RUNS.names
    assert frame.set_index("trial").lr.to_dict() == {trial: trial / 7 for trial in (5, 1, -3)}
    monkeypatch.chdir(store.folder)
    with duckdb.connect() as database:
        assert database.execute("select count(*), sum(trial) from 'runs/*.parquet'").fetchall() == [
            (3, 3)
        ]
    assert store.done().tolist() == [-3, 1, 5]
    curves = pd.read_parquet(store.folder / "curves")
    assert curves[["trial", "step"]].to_numpy().tolist() == [
        [t, step] for t in (1, 5) for step in range(STEPS)
    ]


def test_a_symlinked_folder_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere", target_is_directory=True)
    assert opened(tmp_path / "link").commit(rows((1,)), points((1,)), OURS)
    assert Store(str(tmp_path / "elsewhere")).done().tolist() == [1]


def test_a_repeated_commit_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.commit(rows((1, 2)), points((1, 2)), OURS) == 2
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)}
    assert store.commit(rows((2, 1)), points((2, 1)), OURS) == 0
    assert opened(tmp_path).commit(rows((1,)), None, OURS) == 0
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)} == before


def test_of_a_batch_only_what_is_new_is_committed(tmp_path: Path) -> None:
    """Whoever commits second leaves out what the first has, also where both began before."""
    import pandas as pd

    one, other = opened(tmp_path), opened(tmp_path)
    assert one.commit(rows((1, 2, 3)), points((1, 2, 3)), OURS) == 3
    assert other.commit(rows((3, 4)), points((3, 4)), OURS) == 1
    assert one.commit(rows((4, 5)), points((4, 5)), OURS) == 1
    assert pd.read_parquet(tmp_path / "runs")["trial"].tolist() == [1, 2, 3, 4, 5]
    assert (
        pd.read_parquet(tmp_path / "curves")["trial"].tolist()
        == np.repeat([1, 2, 3, 4, 5], STEPS).tolist()
    )


def test_parts_are_numbered_and_carry_the_metadata(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(rows((2, 1)), points((2, 1)), {"shard": "0/1", "grid": "é"})
    store.commit(rows((3,)), None, OURS)
    parts = [
        f"{kind}/part-{k:08d}.parquet" for kind, k in (("curves", 0), ("runs", 0), ("runs", 1))
    ]
    assert names(tmp_path) == sorted([*parts, "grid.yaml", "manifest.json"])
    said = pq.read_schema(tmp_path / parts[1]).metadata
    assert (said[b"shard"], said[b"grid"], said[b"first"]) == (b"0/1", "é".encode(), b"0")
    assert (
        said[b"store"].decode()
        == json.loads((tmp_path / "manifest.json").read_text())["info"]["store"]
    )
    assert pq.read_schema(tmp_path / parts[2]).metadata[b"first"] == b"1"


@pytest.mark.parametrize("curves", [None, points(())])
def test_no_curves_make_no_part(tmp_path: Path, curves: pa.Table | None) -> None:
    opened(tmp_path).commit(rows((1,)), curves, OURS)
    assert list((tmp_path / "curves").iterdir()) == []


def test_a_flipped_bit_in_a_page_is_found(tmp_path: Path) -> None:
    store = opened(tmp_path)
    trials = tuple(np.random.default_rng(0).integers(-(2**62), 2**62, 500).tolist())
    store.commit(rows(trials), None, OURS)
    (part,) = (tmp_path / "runs").iterdir()
    whole = part.read_bytes()
    column = pq.read_metadata(part).row_group(0).column(0)
    assert (column.path_in_schema, column.compression) == ("trial", "ZSTD")
    start = column.dictionary_page_offset or column.data_page_offset
    last_page = range(column.data_page_offset + 40, start + column.total_compressed_size)
    for position in random.Random(0).sample(last_page, 30):
        part.write_bytes(whole[:position] + bytes([whole[position] ^ 8]) + whole[position + 1 :])
        with (
            pytest.raises(OSError, match="CRC"),
            pq.ParquetFile(part, page_checksum_verification=True) as file,
        ):
            file.read()
    with pytest.raises(StoreError, match=rf"{part.name} cannot be read: .*repair"):
        Store(tmp_path).done()


def test_a_broken_part_is_named(tmp_path: Path) -> None:
    opened(tmp_path).commit(rows((1,)), None, OURS)
    (part,) = (tmp_path / "runs").iterdir()
    for content in (b"PAR1", b""):
        part.write_bytes(content)
        for read in (Store(tmp_path).done, Store(tmp_path).blocks):
            with pytest.raises(StoreError, match=rf"{part.name} cannot be read"):
                read()


def test_a_part_that_lost_rows_is_named(tmp_path: Path) -> None:
    """Pages have checksums; how many there are is said twice."""
    opened(tmp_path).commit(rows((1, 2)), None, OURS)
    (part,) = (tmp_path / "runs").iterdir()
    table = pq.read_table(part).slice(1)
    metadata = {key: text for key, text in table.schema.metadata.items() if key != b"digest"}
    pq.write_table(table.replace_schema_metadata(metadata), part, write_page_checksum=True)
    with pytest.raises(StoreError, match=r"it holds 1 rows but declares 2"):
        Store(tmp_path).done()


def test_a_part_says_nothing_by_which_readers_leave_out_rows(tmp_path: Path) -> None:
    opened(tmp_path).commit(rows((1, 2)), points((1, 2)), OURS)
    for part in tmp_path.glob("*/part-*"):
        group = pq.read_metadata(part).row_group(0)
        assert not any(group.column(at).is_stats_set for at in range(group.num_columns))


# Open


@pytest.mark.promise(4)
def test_a_conflict_names_exactly_what_differs(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(StoreConflict) as caught:
        Store(tmp_path).open(
            {"plan": {"lanes": 4, "cores": [1, 2]}, "info": {"host": "there"}}, "other: grid\n"
        )
    assert str(caught.value) == (
        f'{tmp_path} holds the results of another sweep (dtype "float32" -> nothing, plan.cores nothing -> [1, 2], '
        "plan.lanes 8 -> 4): use another --out, or go back to the old grid or version."
    )
    assert names(tmp_path) == ["grid.yaml", "manifest.json"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda child: (
        st.lists(child, max_size=2) | st.dictionaries(st.sampled_from("abc"), child, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.promise(4)
@given(
    old=st.dictionaries(st.sampled_from(["a", "b", "info"]), JSON),
    new=st.dictionaries(st.just("a"), JSON),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_manifest_agrees_with_itself_and_with_no_other(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, Any], new: dict[str, Any]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.open(old, "")
    store.open({**old, "info": "anything"}, "")
    if {key: value for key, value in old.items() if key != "info"} == new:
        store.open(new, "")
    else:
        with pytest.raises(StoreConflict):
            store.open(new, "")


def test_a_broken_manifest_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest.json cannot be read: .*another --out"):
        opened(tmp_path)


def test_another_grid_is_kept_beside_the_first(tmp_path: Path) -> None:
    for text in ("seeds: 1\n", "seeds: 2\n", "seeds: 1\n", "seeds: 2\n"):
        Store(tmp_path).open(MANIFEST, text)
    second = f"grid-{hashlib.sha256(b'seeds: 2' + bytes([10])).hexdigest()[:8]}.yaml"
    assert names(tmp_path) == ["current-grid.txt", second, "grid.yaml", "manifest.json"]
    assert current_grid(tmp_path) == tmp_path / second
    Store(tmp_path).open(MANIFEST, "seeds: 1\n")
    assert current_grid(tmp_path) == tmp_path / "grid.yaml"
    assert (tmp_path / "grid.yaml").read_text() == "seeds: 1\n"
    assert (tmp_path / second).read_text() == "seeds: 2\n"
    found = Store(tmp_path).read_manifest()
    assert found.pop("info") == {
        "host": "here",
        "store": json.loads((tmp_path / "manifest.json").read_text())["info"]["store"],
        "grid": hashlib.sha256(b"seeds: 1\n").hexdigest(),
    }
    assert found == {key: value for key, value in MANIFEST.items() if key != "info"}


def cleared(folder: Path) -> tuple[set[str], set[str]]:
    """Open a store in which files lie about: which of the dead of this host are left, which of others are gone."""
    opened(folder)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host, process = owner().rsplit("-", 1)
    number, started = process.split(".")
    stale = [f"{folder}_tmp-{host}-{ended.pid}.1-0123abcd" for folder in ("", "runs/", "curves/")]
    stale.append(
        f"runs/_tmp-{host}-{number}.{int(started) - 1}-0123abcd"
    )  # the number was used before
    kept = [
        f"runs/_tmp-{owner()}-0123abcd",
        f"runs/_tmp-another-{ended.pid}.1-0123abcd",
        f"runs/_tmp-{ended.pid}",
        f"_tmp-{host}-{ended.pid}.1-0123abcd.bak",
        "_tmp-notes",
        "runs/notes.txt",
        "runs/.hidden",
    ]
    for name in (*stale, *kept):
        (folder / name).write_text("")
    opened(folder)
    found = set(names(folder))
    return found & set(stale), {*kept, "grid.yaml", "manifest.json"} - found


@pytest.mark.promise(15)
def test_only_temporaries_of_dead_processes_of_this_host_are_removed(tmp_path: Path) -> None:
    assert cleared(tmp_path) == (set(), set())


@pytest.mark.promise(15, mutant=True)
def test_a_store_that_takes_all_temporaries_for_its_own_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.store.store.is_abandoned", lambda name: True)
    _, lost = cleared(tmp_path)
    assert {"_tmp-notes", f"runs/_tmp-{owner()}-0123abcd"} < lost


@pytest.mark.promise(1)
def test_curves_whose_runs_are_committed_come_to_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the part of the runs and that of the curves leaves the curves under a hidden name."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path).commit(rows((1,)), points((1,)), OURS)
    assert not list((tmp_path / "curves").glob("part-*"))
    opened(tmp_path)
    assert pq.read_table(tmp_path / "curves")["trial"].to_pylist() == [1] * STEPS


# Extension

WIDER = {
    **MANIFEST,
    "columns": {"n": "int", "lr": "float", "decay": "float"},
    "defaults": {"a": {"x": 1}},
}
NARROW = {**MANIFEST, "columns": {"n": "int", "lr": "float"}, "defaults": {"a": {"x": 1}}}


@pytest.mark.promise(4)
def test_new_columns_are_null_in_old_rows_and_every_reader_sees_them(tmp_path: Path) -> None:
    import duckdb
    import pandas as pd

    store = Store(tmp_path)
    store.open(NARROW, "seeds: 1\n")
    for trial in (1, 2):
        store.commit(rows((trial,)), points((trial,)), OURS)
    (tmp_path / "runs" / "_notes").write_text("mine")
    wider = Store(tmp_path)
    wider.open(WIDER, "seeds: 2\n")
    table = rows((3,)).append_column("decay", pa.array([0.5]))
    assert wider.commit(table, points((3,)), OURS) == 1
    assert pd.read_parquet(tmp_path / "runs").set_index("trial")["decay"].to_dict() == {
        1: None,
        2: None,
        3: 0.5,
    } | {trial: pytest.approx(float("nan"), nan_ok=True) for trial in (1, 2)}
    with duckdb.connect() as database:
        found = database.execute(
            f"select count(*), count(decay) from '{tmp_path}/runs/*.parquet'"
        ).fetchall()
    assert found == [(3, 1)]
    assert (
        sorted(pd.read_parquet(tmp_path / "curves")["trial"])
        == np.repeat([1, 2, 3], STEPS).tolist()
    )
    assert (tmp_path / "runs" / "_notes").read_text() == "mine"
    again = Store(tmp_path)
    again.open(NARROW, "seeds: 1\n")
    assert again.manifest["columns"] == WIDER["columns"]
    assert again.done().tolist() == [1, 2, 3]


@pytest.mark.promise(4)
def test_a_column_of_another_type_and_a_changed_default_are_refused(tmp_path: Path) -> None:
    Store(tmp_path).open(NARROW, "")
    changed = {**WIDER, "columns": {"n": "float"}, "defaults": {"a": {"x": 2}, "b": {"y": 1}}}
    with pytest.raises(StoreConflict, match=r'\(columns.n "int" -> "float", defaults.a.x 1 -> 2\)'):
        Store(tmp_path).open(changed, "")
    assert Store(tmp_path).read_manifest()["columns"] == NARROW["columns"]


DESCRIBED = {
    **MANIFEST,
    "info": {
        **MANIFEST["info"],
        "meanings": {"n": {"label": "points"}},
        "definitions": {"model cnn": "F"},
    },
}


def test_a_store_without_descriptions_gains_them_and_its_parts_stay(tmp_path: Path) -> None:
    """As a store of 0.2.0 does when its sweep is run again; what is there is never replaced."""
    opened(tmp_path).commit(rows((1, 2)), points((1, 2)), OURS)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/part-*")}
    Store(tmp_path).open(DESCRIBED, "name: test\n")
    info = Store(tmp_path).read_manifest()["info"]
    assert info["meanings"] == {"n": {"label": "points"}} and info["definitions"] == {
        "model cnn": "F"
    }
    assert info["host"] == "here" and info["store"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/part-*")} == before
    later = {
        **DESCRIBED,
        "info": {"meanings": {"n": {"label": "other"}, "d": {"label": "dimension"}}},
    }
    Store(tmp_path).open(later, "name: test\n")
    meanings = Store(tmp_path).read_manifest()["info"]["meanings"]
    assert meanings == {"n": {"label": "points"}, "d": {"label": "dimension"}}


def test_descriptions_wait_while_another_process_is_at_work(tmp_path: Path) -> None:
    """Nobody is refused for them, and nothing is written over a manifest that may be growing."""
    opened(tmp_path)
    manifest = (tmp_path / "manifest.json").read_bytes()
    sleeper = start_sleeper(tmp_path)
    Store(tmp_path).open(DESCRIBED, "name: test\n")
    assert (tmp_path / "manifest.json").read_bytes() == manifest
    sleeper.kill()
    sleeper.communicate()
    Store(tmp_path).open(DESCRIBED, "name: test\n")
    assert "meanings" in Store(tmp_path).read_manifest()["info"]


@pytest.mark.promise(4)
def test_nobody_may_be_at_work_while_a_store_gets_new_columns(tmp_path: Path) -> None:
    Store(tmp_path).open(NARROW, "")
    sleeper = start_sleeper(tmp_path)
    with Claims(tmp_path) as claims:
        with pytest.raises(StoreError, match=rf"In use by .*-{sleeper.pid}\.\d+\."):
            Store(tmp_path).open(WIDER, "", claims)
        Store(tmp_path).open(NARROW, "", claims)
        sleeper.kill()
        sleeper.communicate()
        Store(tmp_path).open(WIDER, "", claims)
    assert Store(tmp_path).read_manifest()["columns"] == WIDER["columns"]


@pytest.mark.promise(4)
@pytest.mark.parametrize("default", [1, 2])
def test_what_another_process_added_to_the_manifest_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default: int
) -> None:
    """This one was suspended before it had the store to itself."""
    Store(tmp_path).open(NARROW, "")
    exclusive = Claims.exclusive

    def overtaken(claims: Claims, purpose: str) -> Any:
        found = read_manifest(tmp_path)
        added = {"columns": {**found["columns"], "late": "float"}}
        added["defaults"] = {"a": {"x": default}, "c": {"z": 1}}
        replace_manifest(Directory(tmp_path), {**found, **added})
        return exclusive(claims, purpose)

    monkeypatch.setattr(Claims, "exclusive", overtaken)
    if default != 1:
        with pytest.raises(StoreConflict, match=r"defaults\.a\.x 2 -> 1"):
            Store(tmp_path).open(WIDER, "")
        return
    store = Store(tmp_path)
    store.open(WIDER, "")
    assert store.manifest == read_manifest(tmp_path)
    assert store.manifest["columns"] == {**WIDER["columns"], "late": "float"}
    assert store.manifest["defaults"] == {**WIDER["defaults"], "c": {"z": 1}}


# Full and failing disks


@pytest.mark.promise(7)
@pytest.mark.parametrize("call", ["write", "fsync", "link"])
@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "Make the folder writable"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_a_failing_disk_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, cure: str
) -> None:
    store = opened(tmp_path)
    store.commit(rows((1,)), points((1,)), OURS)
    before = names(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        with pytest.raises(
            StoreError,
            match=rf"{tmp_path} cannot be written: {os.strerror(number)}. {cure}.*stays\.",
        ):
            store.commit(rows((2,)), points((2,)), OURS)
    assert names(tmp_path) == before
    assert store.commit(rows((2,)), points((2,)), OURS)
    assert store.done().tolist() == [1, 2]


@pytest.mark.promise(7)
def test_a_real_limit_on_file_size_is_a_store_error(tmp_path: Path) -> None:
    store = opened(tmp_path)
    many = tuple(range(20000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30000, hard))
    try:
        with pytest.raises(StoreError, match="Free some space"):
            store.commit(rows(many), None, OURS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["grid.yaml", "manifest.json"]
    assert store.commit(rows(many), None, OURS)


# Kills


class Raw(io.RawIOBase):
    """A plain file, through the calls that the test counts."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return os.write(self.file, data)

    def close(self) -> None:
        if not self.closed:
            os.close(self.file)
        super().close()


class CarelessLog(CommitLog):
    raw: type[Raw] = Raw

    def _publish(
        self, number: int, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]
    ) -> bool:
        for kind, table in (("curves", curves), ("runs", runs)):
            path = self.folder / kind / f"part-{number:08d}.parquet"
            if table is not None:
                with io.BufferedWriter(self.raw(path)) as file:
                    pq.write_table(
                        table.replace_schema_metadata({**metadata, "first": str(number)}), file
                    )
        return True


class Careless(Store):
    """A mutant that writes tables straight to their names, as most programs do; its commits must fail the kill test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log = CarelessLog(self.folder)


class ForgetfulLog(CommitLog):
    def _publish(
        self, number: int, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]
    ) -> bool:
        won = super()._publish(number, runs, None, metadata)
        return won and (
            curves is None
            or self._curves is None
            or self._curves.write_once(part_name(number), to_parquet(curves, {}))
        )


class Forgetful(Store):
    """A mutant that commits the curves after the runs, and does not say in the runs that there are some."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log = ForgetfulLog(self.folder)


STORES: dict[str, type[Store]] = {each.__name__: each for each in (Store, Careless, Forgetful)}
BATCHES = [(1, 2), (4, 3, 0)]


def die_at(operation: int) -> None:
    """From now on the process kills itself at its n-th file operation; in the midst of it where that is a write."""
    left = itertools.count(operation - 1, -1)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **more: Any) -> Any:
            if next(left) == 0:
                if call.__name__ == "write":
                    call(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)

        return counting

    for name in ("open", "write", "fsync", "link", "unlink", "rename", "replace"):
        setattr(os, name, counted(getattr(os, name)))


def kill_at_each_operation(folder: Path, kind: type[Store]) -> None:
    """Make FOLDER/1, FOLDER/2, ...: the same work, killed at the first, the second, ... operation, until one ends."""
    for operation in itertools.count(1):
        process = os.fork()
        if not process:
            die_at(operation)
            work(folder / str(operation), kind, BATCHES)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if not status:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def faults(folder: Path, kind: type[Store]) -> list[str]:
    """What is wrong with a folder after a kill, before and after the same command ran again."""
    found = []
    try:
        for part in folder.glob("*/part-*"):
            pq.read_table(part)
        left = Store(folder).done().tolist()
        if set(left) - {trial for batch in BATCHES for trial in batch} or len(set(left)) < len(
            left
        ):
            found.append(f"holds {left}")
        work(folder, kind, BATCHES)
    except (SweepError, pa.ArrowInvalid) as error:
        return [*found, f"cannot be read: {error}"]
    curves = [
        pq.read_table(part)["trial"].to_pylist() for part in (folder / "curves").glob("part-*")
    ]
    if (
        Store(folder).done().tolist() != [0, 1, 2, 3, 4]
        or sorted(itertools.chain(*curves)) != np.repeat(range(5), STEPS).tolist()
    ):
        found.append("is not completed by a second run")
    if any("_tmp" in name for name in names(folder)) or len(names(folder)) != 6:
        found.append(f"holds other files: {names(folder)}")
    return found


@pytest.fixture
def killed(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[type[Store], list[Path]]:
    subprocess.run(script("kill", tmp_path, request.param), env=environment(), check=True)
    return STORES[request.param], sorted(tmp_path.iterdir(), key=lambda path: int(path.name))


@pytest.mark.promise(1)
@pytest.mark.parametrize("killed", ["Store"], indirect=True)
def test_a_kill_at_any_operation_loses_nothing(killed: tuple[type[Store], list[Path]]) -> None:
    kind, folders = killed
    assert len(folders) > 40
    assert {folder.name: what for folder in folders if (what := faults(folder, kind))} == {}


@pytest.mark.promise(1, mutant=True)
@pytest.mark.parametrize(
    ("killed", "what"),
    [("Careless", "cannot be read"), ("Forgetful", "not completed")],
    indirect=["killed"],
)
def test_the_kill_test_finds_a_store_that_is_less_careful(
    killed: tuple[type[Store], list[Path]], what: str
) -> None:
    kind, folders = killed
    *killed_before, whole = folders
    assert faults(whole, kind) == []
    assert any(what in fault for folder in killed_before for fault in faults(folder, kind))


def shoot(folder: Path, kind: type[Store], kills: int) -> None:
    """Kill a process that commits trial after trial, at random moments, ten times in each of FOLDER/0, FOLDER/1, ...

    Prints how many trials it was told are committed, by folder.
    """
    told, chance = dict[str, int](), random.Random()
    for kill in range(kills):
        place = folder / str(kill // 10)
        source, sink = os.pipe()
        process = os.fork()
        if not process:
            try:
                store = opened(place, kind)
                for trial in itertools.count(len(store.done())):
                    os.write(sink, b"%d\n" % trial)
                    store.commit(rows((trial,)), points((trial,)), OURS)
            finally:
                os._exit(1)
        os.close(sink)
        with open(source) as said:
            said.readline()
            began = time.monotonic()
            commits = chance.randint(1, 3)
            heard = [said.readline() for _ in range(commits)]
            time.sleep(chance.random() * (time.monotonic() - began) / commits)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            told[place.name] = max(
                0, told.get(place.name, 0), *(int(line) for line in (*heard, *said) if line)
            )
    print(json.dumps(told))


def shot(folder: Path, kind: str, kills: int) -> dict[str, str]:
    """What is wrong with folders after kills at random moments."""
    ask = script("shoot", folder, kind, kills)
    answer = subprocess.run(ask, env=environment(), check=True, capture_output=True, text=True)
    told = json.loads(answer.stdout)
    assert sum(told.values()) >= kills or kind != "Store"
    return {
        name: what for name, committed in told.items() if (what := torn(folder / name, committed))
    }


def torn(folder: Path, committed: int) -> str:
    """What is wrong with a folder in which trials 0, 1, ... were committed, so many of them for certain."""
    try:
        found = opened(folder).done().tolist()
        curves = pq.read_table(folder / "curves")["trial"].to_pylist()
    except (SweepError, pa.ArrowInvalid) as error:
        return f"cannot be read: {error}"
    if found != list(range(len(found))) or len(found) < committed:
        return f"of {committed} trials holds {found}"
    return "" if sorted(curves) == np.repeat(found, STEPS).tolist() else "has lost curves"


@pytest.mark.promise(1)
@pytest.mark.parametrize("kills", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_nothing(tmp_path: Path, kills: int) -> None:
    assert shot(tmp_path, "Store", kills) == {}


@pytest.mark.promise(1, mutant=True)
def test_a_few_of_them_find_a_store_that_is_less_careful(tmp_path: Path) -> None:
    assert "cannot be read" in " ".join(shot(tmp_path, "Careless", 30).values())


# Races


class SlowRaw(Raw):
    """A file that takes its time."""

    def write(self, data: Any) -> int:
        time.sleep(0.01)
        return super().write(bytes(data)[:4096])


class SlowLog(CarelessLog):
    """A mutant that writes tables straight to their names, slowly as on the disk of a cluster."""

    raw = SlowRaw


class BlindLog(CommitLog):
    """A mutant that does not look at what others have committed, only for a free number."""

    def append(self, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> int:
        while not self._publish(self.next_number, runs, curves, metadata):
            self.next_number += 1
        return runs.num_rows


LOGS: dict[str, type[CommitLog]] = {each.__name__: each for each in (CommitLog, SlowLog, BlindLog)}


def race(folder: Path, log: type[CommitLog], batches: int, racers: int, seed: str) -> None:
    """Commit the same trials as other processes, in an order and in batches of one's own; print how many were won."""
    store = opened(folder)
    store.log = log(folder)
    trials, chance = list(range(4 * batches)), random.Random(seed)
    chance.shuffle(trials)
    (folder / f"ready-{seed}").touch()
    while len(list(folder.glob("ready-*"))) < racers:
        time.sleep(0.001)
    won = 0
    for at in range(0, len(trials), 4):
        batch = tuple(trials[at : at + 4])
        won += store.commit(rows(batch), points(batch), OURS)
        time.sleep(chance.random() / 100)
    print(won)


def by_pandas(folder: Path) -> list[int]:
    import pandas as pd

    return pd.read_parquet(folder)["trial"].tolist()


def by_pyarrow(folder: Path) -> list[int]:
    return ds.dataset(folder).to_table()["trial"].to_numpy().tolist()


def by_duckdb(folder: Path) -> list[int]:
    import duckdb

    with duckdb.connect() as database:
        found = database.execute(f"select * from '{folder}/*.parquet'").fetchnumpy()
    return list(map(int, found["trial"]))


READERS: dict[str, Callable[[Path], list[int]]] = {
    each.__name__: each for each in (by_pandas, by_pyarrow, by_duckdb)
}


def look(folder: Path, read: Callable[[Path], list[int]]) -> str:
    """What a reader sees that it may not see, "" where all is well."""
    try:
        runs, curves = Counter(read(folder / "runs")), Counter(read(folder / "curves"))
    except Exception as error:  # each reader has its own
        return f"a part that is not whole: {error}"
    if set(runs.values()) != {1} or set(curves.values()) != {STEPS}:
        return "a trial twice, or half of one"
    return ""


def raced(
    folder: Path, log: str, batches: int, racers: int = 2
) -> tuple[list[int], dict[str, Counter[str]]]:
    """How many trials each of some processes won, and what each reader saw how often while they were at work."""
    processes = [
        subprocess.Popen(
            script("race", folder, log, batches, racers, seed),
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(racers)
    ]
    seen = {name: Counter[str]() for name in READERS}
    while any(process.poll() is None for process in processes):
        if list(folder.glob("curves/part-*")):
            for name, read in READERS.items():
                seen[name][look(folder, read)] += 1
    return [int(process.communicate()[0]) for process in processes], seen


def check_race(folder: Path, batches: int) -> None:
    """Two processes both win, nothing is there twice or lost, and readers see nothing else at any moment."""
    won, seen = raced(folder, "CommitLog", batches)
    assert sum(won) == 4 * batches and min(won) > 0
    assert {name: set(found) for name, found in seen.items()} == {name: {""} for name in READERS}
    assert Store(folder).done().tolist() == list(range(4 * batches))
    assert sorted(by_pandas(folder / "curves")) == np.repeat(range(4 * batches), STEPS).tolist()


@pytest.mark.promise(5)
@pytest.mark.promise(6)
def test_two_processes_on_one_store_never_duplicate_and_readers_see_whole_parts(
    tmp_path: Path,
) -> None:
    check_race(tmp_path, 40)


@pytest.mark.slow
@pytest.mark.promise(5)
@pytest.mark.promise(6)
def test_the_same_with_fifteen_hundred_batches(tmp_path: Path) -> None:
    check_race(tmp_path, 750)


@pytest.mark.promise(5, mutant=True)
def test_the_race_finds_a_store_that_does_not_look(tmp_path: Path) -> None:
    won, seen = raced(tmp_path, "BlindLog", batches=20)
    assert sum(won) > 80 and all(
        "a trial twice, or half of one" in found for found in seen.values()
    )


@pytest.mark.promise(6, mutant=True)
def test_its_readers_find_parts_that_are_being_written(tmp_path: Path) -> None:
    won, seen = raced(tmp_path, "SlowLog", batches=20, racers=1)
    assert won == [80]
    assert all(
        any(what.startswith("a part that is not whole") for what in found)
        for found in seen.values()
    )


# The script


def script(*args: object) -> list[str]:
    return [sys.executable, __file__, *map(str, args)]


if __name__ == "__main__":
    what, place, *more = sys.argv[1:]
    if what == "kill":
        kill_at_each_operation(Path(place), STORES[more[0]])
    elif what == "shoot":
        shoot(Path(place), STORES[more[0]], int(more[1]))
    else:
        race(Path(place), LOGS[more[0]], int(more[1]), int(more[2]), more[3])
