"""The store: whole parts or none, at any moment, whoever dies.

Run as a script, this file is the process that the tests kill or race: `test_store.py kill|race FOLDER ...`.
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
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep import schema
from sweep.errors import StoreConflict, StoreError, SweepError
from sweep.store import Store
from sweep.writer import Writer

ROOT = Path(__file__).parents[1]
RUNS = schema.runs({"n": int, "lr": float, "schedule": str, "bias": bool})
CURVES = schema.curves()
MANIFEST = {"plan": {"lanes": 8}, "dtype": "float32", "info": {"host": "here"}}
OURS = {"shard": "0/1"}
STEPS = 3


def rows(trials: tuple[int, ...]) -> pa.Table:
    columns = {"trial": trials, "n": trials, "lr": [trial / 7 for trial in trials]}
    nulls = {each.name: pa.nulls(len(trials), each.type) for each in RUNS}
    return pa.table({**nulls, **columns}, schema=RUNS)


def points(trials: tuple[int, ...]) -> pa.Table:
    columns = {"trial": np.repeat(trials, STEPS), "step": np.tile(np.arange(STEPS)[::-1], len(trials))}
    nulls = {each.name: pa.nulls(len(trials) * STEPS, each.type) for each in CURVES}
    return pa.table({**nulls, **columns}, schema=CURVES)


def opened(folder: Path, kind: type[Store] = Store, shard: str = "0/1") -> Store:
    store = kind(folder)
    store.open(MANIFEST, "name: test\n", shard)
    return store


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def work(folder: Path, kind: type[Store], batches: list[tuple[int, ...]]) -> None:
    """A sweep in small: open the store, commit what is missing."""
    store = opened(folder, kind)
    done = set(store.done().tolist())
    for batch in batches:
        if not done.issuperset(batch):
            store.commit(rows(batch), points(batch), OURS)


# The schema


def test_runs_schema_has_ids_kinds_fields_outcome_and_observables() -> None:
    found = schema.runs({"n": int, "lr": float, "schedule": str, "bias": bool, "seed": int})
    assert found.names == [
        *("trial", "problem", "data", "model", "objective", "optimizer", "seed", "n", "lr", "schedule", "bias"),
        *("coordinates", "status", "steps", "fit_step", *schema.OBSERVABLES),
    ]
    types = {"trial": pa.int64(), "n": pa.int64(), "lr": pa.float64(), "schedule": pa.string(), "bias": pa.bool_()}
    assert {name: found.field(name).type for name in types} == types


def test_schemas_have_no_column_twice_and_reserve_their_own() -> None:
    for each in (schema.runs({}), schema.curves()):
        assert len(set(each.names)) == len(each.names)
        assert schema.FIXED.issuperset(each.names)


def test_neither_jax_nor_rich_comes_with_the_import() -> None:
    code = "import sys, sweep.store, sweep.progress; sys.exit(bool({'jax', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0


# Commit and read


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    assert store.done().tolist() == []
    assert store.done().dtype == np.int64
    assert store.lanes() == {}
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
        assert database.execute("select count(*), sum(trial) from 'runs/*.parquet'").fetchall() == [(3, 3)]
    assert store.done().tolist() == [-3, 1, 5]
    curves = pd.read_parquet(store.folder / "curves")
    assert curves[["trial", "step"]].to_numpy().tolist() == [[t, step] for t in (1, 5) for step in range(STEPS)]


def test_a_symlinked_folder_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere", target_is_directory=True)
    assert opened(tmp_path / "link").commit(rows((1,)), points((1,)), OURS)
    assert Store(str(tmp_path / "elsewhere")).done().tolist() == [1]


def test_a_repeated_commit_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.commit(rows((1, 2)), points((1, 2)), OURS)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)}
    assert not store.commit(rows((2, 1)), points((2, 1)), OURS)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)} == before


def test_a_part_is_named_by_its_trials_and_carries_the_metadata(tmp_path: Path) -> None:
    opened(tmp_path).commit(rows((2, 1)), points((2, 1)), {"shard": "0/1", "grid": "é"})
    name = f"part-{hashlib.sha256(np.array([1, 2], '<i8').tobytes()).hexdigest()[:16]}.parquet"
    assert names(tmp_path) == [f"curves/{name}", "grid.yaml", "manifest.json", f"runs/{name}"]
    assert pq.read_schema(tmp_path / "runs" / name).metadata == {b"shard": b"0/1", b"grid": "é".encode()}


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
        with pytest.raises(OSError, match="CRC"), pq.ParquetFile(part, page_checksum_verification=True) as file:
            file.read()
    with pytest.raises(StoreError, match=rf"{part.name} cannot be read: .*repair"):
        store.done()


def test_a_foreign_part_is_named(tmp_path: Path) -> None:
    store = opened(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "runs" / "part-x.parquet")
    with pytest.raises(StoreError, match=r"part-x.parquet cannot be read"):
        store.done()
    (tmp_path / "runs" / "part-x.parquet").write_bytes(b"PAR1")
    for read in (store.done, store.lanes):
        with pytest.raises(StoreError, match=r"part-x.parquet cannot be read"):
            read()


# Open


def test_a_conflict_names_exactly_what_differs(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(StoreConflict) as caught:
        Store(tmp_path).open({"plan": {"lanes": 4, "cores": [1, 2]}, "info": {"host": "there"}}, "other: grid\n")
    assert str(caught.value) == (
        f'{tmp_path} holds the results of another sweep (dtype "float32" -> nothing, plan.cores nothing -> [1, 2], '
        "plan.lanes 8 -> 4): use another --out, or go back to the old grid or version."
    )
    assert names(tmp_path) == ["grid.yaml", "manifest.json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda child: st.lists(child, max_size=2) | st.dictionaries(st.sampled_from("abc"), child, max_size=3),
    max_leaves=6,
)


@given(old=st.dictionaries(st.sampled_from(["a", "b", "info"]), JSON), new=st.dictionaries(st.just("a"), JSON))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    assert names(tmp_path) == [second, "grid.yaml", "manifest.json"]
    assert (tmp_path / "grid.yaml").read_text() == "seeds: 1\n"
    assert (tmp_path / second).read_text() == "seeds: 2\n"
    assert json.loads((tmp_path / "manifest.json").read_text()) == MANIFEST


def test_only_temporaries_of_dead_processes_of_this_host_are_removed(tmp_path: Path) -> None:
    opened(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    stale = [f"{folder}_tmp-{host}-{ended.pid}-0123abcd" for folder in ("", "runs/", "curves/")]
    kept = [
        f"runs/_tmp-{host}-{os.getppid()}-0123abcd",
        f"runs/_tmp-another-{ended.pid}-0123abcd",
        f"runs/_tmp-{ended.pid}",
        f"_tmp-{host}-{ended.pid}-0123abcd.bak",
        "_tmp-notes",
        "runs/notes.txt",
        "runs/.hidden",
    ]
    for name in (*stale, *kept):
        (tmp_path / name).write_text("")
    opened(tmp_path)
    assert names(tmp_path) == sorted([*kept, "grid.yaml", "manifest.json"])


@pytest.mark.parametrize(
    ("shard", "gone"), [("0/2", ["0/2", "0/1", "3/4"]), ("1/2", ["0/1", "3/4"]), ("0/1", ["0/2", "0/1", "3/4"])]
)
def test_orphan_curves_are_removed_where_their_trials_run_again(tmp_path: Path, shard: str, gone: list[str]) -> None:
    store = opened(tmp_path)
    made = {}
    for trial, owner in enumerate(["0/2", "0/1", "3/4"]):
        store.commit(rows((trial,)), points((trial,)), {"shard": owner})
        made[owner] = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        made[owner].unlink()
    store.commit(rows((7,)), points((7,)), {"shard": shard})
    pq.write_table(points((9,)), tmp_path / "curves" / "part-foreign.parquet")
    opened(tmp_path, shard=shard)
    left = {path.name for path in (tmp_path / "curves").iterdir()}
    kept = {made[owner].name for owner in made if owner not in gone}
    assert left == {*kept, "part-foreign.parquet", *(path.name for path in (tmp_path / "runs").iterdir())}


def test_an_orphan_may_vanish_under_ones_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).commit(rows((1,)), points((1,)), OURS)
    (part,) = (tmp_path / "runs").iterdir()
    part.unlink()
    read = pq.read_metadata

    def removing(path: Path) -> pq.FileMetaData:
        found = read(path)
        path.unlink()
        return found

    monkeypatch.setattr(pq, "read_metadata", removing)
    opened(tmp_path)
    assert names(tmp_path) == ["grid.yaml", "manifest.json"]


def test_curves_that_another_process_took_for_an_orphan_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, link = opened(tmp_path), os.link

    def interfering(source: Path, target: Path) -> None:
        if target.parent.name == "runs":
            opened(tmp_path)
        link(source, target)

    monkeypatch.setattr(os, "link", interfering)
    store.commit(rows((1,)), points((1,)), OURS)
    assert len(names(tmp_path / "curves")) == len(names(tmp_path / "runs")) == 1


# Full and failing disks


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
@pytest.mark.parametrize(
    ("number", "cure"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Make the folder writable"), (errno.EIO, "Look at the disk")],
)
def test_a_failing_disk_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, cure: str
) -> None:
    store = opened(tmp_path)
    store.commit(rows((1,)), points((1,)), OURS)
    before = names(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        with pytest.raises(StoreError, match=rf"{tmp_path} cannot be written: {os.strerror(number)}. {cure}.*stays\."):
            store.commit(rows((2,)), points((2,)), OURS)
    assert names(tmp_path) == before
    assert store.commit(rows((2,)), points((2,)), OURS)
    assert store.done().tolist() == [1, 2]


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


class Careless(Store):
    """A mutant that writes tables straight to their names, as most programs do; its commits must fail the kill test."""

    def _put_table(self, kind: str, name: str, table: pa.Table | None, metadata: Mapping[str, str]) -> bool:
        path = self.folder / kind / name
        if table is None or path.exists():
            return False
        with io.BufferedWriter(Raw(path)) as file:
            pq.write_table(table.replace_schema_metadata(dict(metadata)), file)
        return True


class RunsFirst(Store):
    """A mutant that says that trials are done before their curves are there."""

    def _put_table(self, kind: str, name: str, table: pa.Table | None, metadata: Mapping[str, str]) -> bool:
        other = {"runs": "curves", "curves": "runs"}[kind]
        table = rows(trials_of(table)) if kind == "curves" else points(trials_of(table))
        return super()._put_table(other, name, table, metadata)


def trials_of(table: pa.Table | None) -> tuple[int, ...]:
    return tuple(sorted(set(table["trial"].to_pylist()))) if table else ()


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


STORES: dict[str, type[Store]] = {each.__name__: each for each in (Store, Careless, RunsFirst)}
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

    for name in ("open", "write", "fsync", "link", "unlink"):
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
        if set(left) - {trial for batch in BATCHES for trial in batch} or len(set(left)) < len(left):
            found.append(f"holds {left}")
        work(folder, kind, BATCHES)
    except (SweepError, pa.ArrowInvalid) as error:
        return [*found, f"cannot be read: {error}"]
    curves = [pq.read_table(part)["trial"].to_pylist() for part in (folder / "curves").glob("part-*")]
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


@pytest.mark.parametrize("killed", ["Store"], indirect=True)
def test_a_kill_at_any_operation_loses_nothing(killed: tuple[type[Store], list[Path]]) -> None:
    kind, folders = killed
    assert len(folders) > 40
    assert {folder.name: what for folder in folders if (what := faults(folder, kind))} == {}


@pytest.mark.parametrize(
    ("killed", "what"), [("Careless", "cannot be read"), ("RunsFirst", "not completed")], indirect=["killed"]
)
def test_the_kill_test_finds_a_store_that_is_less_careful(killed: tuple[type[Store], list[Path]], what: str) -> None:
    kind, folders = killed
    *killed_before, whole = folders
    assert faults(whole, kind) == []
    assert any(what in fault for folder in killed_before for fault in faults(folder, kind))


# Races


def race(folder: Path, seed: str) -> None:
    """Commit the same parts as another process, in an order of one's own; print how many were won."""
    store = opened(folder)
    order = list(range(60))
    random.Random(seed).shuffle(order)
    (folder / f"ready-{seed}").touch()
    while len(list(folder.glob("ready-*"))) < 2:
        time.sleep(0.001)
    print(sum(store.commit(rows((k, 100 + k)), points((k, 100 + k)), {"shard": f"{seed}/2"}) for k in order))


def test_two_processes_on_one_store_never_duplicate_and_readers_see_whole_parts(tmp_path: Path) -> None:
    import pandas as pd

    racers = [
        subprocess.Popen(script("race", tmp_path, seed), env=environment(), stdout=subprocess.PIPE, text=True)
        for seed in ("0", "1")
    ]
    looks = 0
    while any(racer.poll() is None for racer in racers):
        if list(tmp_path.glob("runs/part-*")):
            frame = pd.read_parquet(tmp_path / "runs")
            assert frame.trial.is_unique
            assert len(frame) % 2 == 0
            looks += 1
    won = [int(racer.communicate()[0]) for racer in racers]
    assert sum(won) == 60
    assert min(won) > 0
    assert looks > 0
    assert Store(tmp_path).done().tolist() == [*range(60), *range(100, 160)]
    assert len(pd.read_parquet(tmp_path / "curves")) == 120 * STEPS


# The writer


def writer(folder: Path, **more: Any) -> Writer:
    return Writer(opened(folder), RUNS, CURVES, OURS, **more)


def test_values_arrive_as_they_were_given(tmp_path: Path) -> None:
    columns = {
        "trial": np.array([3, 1]),
        "n": [None, 7],
        "lr": np.array([np.nan, 0.5], np.float32),
        "steps": np.array([4, 5], np.int32),
        "test_loss": [None, float("nan")],
        "status": np.array(["converged", "nonfinite"]),
        "bias": np.array([True, False]),
    }
    with writer(tmp_path) as into:
        into.add("b", 8, columns, {"trial": [3, 3], "step": [1, 0], "train_loss": [0.5, None]})
    assert into.rows == 2
    found = pq.read_table(tmp_path / "runs").select([*columns, "problem"]).to_pydict()
    assert str(found) == str(
        {
            "trial": [1, 3],
            "n": [7, None],
            "lr": [0.5, float("nan")],
            "steps": [5, 4],
            "test_loss": [float("nan"), None],
            "status": ["nonfinite", "converged"],
            "bias": [False, True],
            "problem": [None, None],
        }
    )
    curves = pq.read_table(tmp_path / "curves").select(["step", "train_loss"]).to_pylist()
    assert curves == [{"step": 0, "train_loss": None}, {"step": 1, "train_loss": 0.5}]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"trial": [1], "learning_rate": [0.1], "zeta": [1]}, "no column learning_rate, zeta"),
        ({"trial": [1], "n": [0.5]}, "truncated"),
        ({"trial": [1, 2], "n": [1]}, "length"),
    ],
)
def test_what_the_schema_cannot_hold_is_refused_and_nothing_of_it_kept(
    tmp_path: Path, columns: dict[str, list[Any]], what: str
) -> None:
    with writer(tmp_path) as into:
        with pytest.raises(ValueError, match=what):
            into.add("b", 8, columns)
        into.add("b", 8, {"trial": [5]})
    assert Store(tmp_path).done().tolist() == [5]


def test_a_part_is_committed_when_enough_rows_wait(tmp_path: Path) -> None:
    with writer(tmp_path, max_rows=4) as into:
        for trial in range(10):
            into.add(f"bucket-{trial % 2}", 8, {"trial": [trial]})
            assert into.rows == (trial + 1) // 4 * 4
        into.add("bucket-0", 8, {"trial": [10]}, {"trial": [10], "step": [0]})
        assert into.rows == 11
    assert len(names(tmp_path / "runs")) == 3


def test_a_part_is_committed_when_its_first_row_waited_long_enough(tmp_path: Path) -> None:
    now = [0.0]
    into = writer(tmp_path, max_seconds=30.0, clock=lambda: now[0])
    for now[0], committed in [(100.0, 0), (129.0, 0), (130.0, 3), (150.0, 3), (179.0, 3), (180.0, 6)]:
        into.add("b", 8, {"trial": [int(now[0])]})
        assert into.rows == committed


def test_lane_counts_are_kept_by_bucket(tmp_path: Path) -> None:
    with writer(tmp_path) as into:
        into.add("a", 8, {"trial": [1]})
        into.add("b", 16, {"trial": [2]})
        into.add("a", 8, {"trial": [3]})
        assert into.rows == 0
        into.add("a", 4, {"trial": [4]})
        assert into.rows == 3, "rows of another lane count are another part"
    assert Store(tmp_path).lanes() == {"a": 4, "b": 16}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, SweepError, RuntimeError])
def test_rows_are_never_thrown_away(tmp_path: Path, error: type[BaseException]) -> None:
    def sweep() -> None:
        with writer(tmp_path) as into:
            into.add("b", 8, {"trial": [1]})
            raise error

    with pytest.raises(error):
        sweep()
    assert Store(tmp_path).done().tolist() == [1]


def test_rows_wait_on_where_a_commit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = writer(tmp_path, max_rows=2)
    into.add("b", 8, {"trial": [1]})
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing(errno.ENOSPC))
        with pytest.raises(StoreError):
            into.add("b", 8, {"trial": [2]})
    assert (into.rows, Store(tmp_path).done().tolist()) == (0, [])
    into.flush()
    into.flush()
    assert (into.rows, Store(tmp_path).done().tolist()) == (2, [1, 2])


# The script


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def script(*args: object) -> list[str]:
    return [sys.executable, __file__, *map(str, args)]


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        kill_at_each_operation(Path(sys.argv[2]), STORES[sys.argv[3]])
    else:
        race(Path(sys.argv[2]), sys.argv[3])
