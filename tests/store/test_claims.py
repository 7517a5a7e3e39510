"""Claims: one process at a time, and none for ever."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from sweep.errors import StoreError
from sweep.store import Claims, claims, live_workers, owner, owners
from sweep.store.leases import Watch
from sweep.store.owners import is_owner, owner_is_gone
from tests.shell import wait
from tests.store.small_store import names, start_sleeper

AWAY = "away-7.1"


def leave(folder: Path, name: str, text: str = AWAY, age: float = 0.0) -> Path:
    """A file in the folder of claims, last touched some seconds ago."""
    path = folder / "claims" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets some seconds pass by the clock that does not jump; nothing sleeps."""
    passed = [0.0]
    monkeypatch.setattr(Watch.__init__, "__defaults__", (lambda: passed[0],))

    def let_pass(seconds: float) -> None:
        passed[0] += seconds

    monkeypatch.setattr(claims.time, "sleep", let_pass)
    return let_pass


def test_a_claim_is_given_once_and_comes_back(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine:
        assert mine.take("a") and not mine.take("a")
        mine.release("a")
        assert mine.take("a")
    assert names(tmp_path) == []


@pytest.mark.promise(14)
def test_claims_fall_to_others_when_their_process_is_gone(tmp_path: Path) -> None:
    sleeper = start_sleeper(tmp_path)
    with Claims(tmp_path) as mine:
        assert not mine.take("slice") and len(mine.other_workers()) == 1
        sleeper.kill()
        sleeper.communicate()
        assert mine.take("slice") and mine.other_workers() == []


@pytest.mark.promise(14)
@pytest.mark.promise(15)
def test_claims_of_another_host_fall_to_others_after_a_lease(
    tmp_path: Path, hours: Callable[[float], None]
) -> None:
    with Claims(tmp_path, lease=60) as mine:
        for name in ("slice", f"worker-{AWAY}"):
            leave(tmp_path, name, age=50)
        leave(tmp_path, "notes", "mine", age=61)
        assert not mine.take("slice") and mine.other_workers() == [AWAY]
        for name in ("slice", f"worker-{AWAY}"):
            leave(tmp_path, name, age=61)
        assert not mine.take("slice") and mine.other_workers() == [AWAY]
        hours(6)
        assert mine.take("slice") and mine.other_workers() == []
    with Claims(tmp_path, lease=60):
        assert (tmp_path / "claims" / "notes").read_text() == "mine"


# A process that hangs


def hung(folder: Path, lease: float = 0.5) -> tuple[bool, bool]:
    """Stop a process that holds a claim: is it taken over, and does one that awoke give it back?"""
    sleeper = start_sleeper(folder)
    sleeper.send_signal(signal.SIGSTOP)
    with Claims(folder, lease=lease) as mine:
        until = time.monotonic() + 5 * lease
        while not (taken := mine.take("slice")) and time.monotonic() < until:
            time.sleep(lease / 50)
        workers = mine.other_workers()
        sleeper.send_signal(signal.SIGCONT)
        sleeper.terminate()  # it releases what it holds
        sleeper.communicate()
        kept = (folder / "claims" / "slice").exists()
    assert len(workers) == 1, "a process that exists keeps rewrites out"
    return taken, kept


@pytest.mark.promise(14)
@pytest.mark.promise(23)
def test_claims_of_a_process_that_hangs_fall_to_others(tmp_path: Path) -> None:
    assert hung(tmp_path) == (True, True)


@pytest.mark.promise(14, mutant=True)
@pytest.mark.promise(23, mutant=True)
def test_a_process_that_hangs_and_is_believed_for_ever_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "has_expired", lambda *_: False)
    assert hung(tmp_path, 0.2) == (False, True)


def test_a_rewrite_waits_for_a_process_that_hangs_and_says_so(tmp_path: Path) -> None:
    sleeper = start_sleeper(tmp_path)
    sleeper.send_signal(signal.SIGSTOP)
    try:
        (file,) = (tmp_path / "claims").glob("worker-*")
        os.utime(file, (time.time() - 3600,) * 2)
        with (
            Claims(tmp_path) as mine,
            pytest.raises(StoreError, match=rf"-{sleeper.pid}\.\d+ \(silent for 3600 s: end it"),
            mine.exclusive("test"),
        ):
            pass
    finally:
        sleeper.kill()
        sleeper.communicate()


@pytest.mark.promise(23)
def test_a_file_is_touched_only_as_long_as_there_is_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that touches goes on while the main one is in a dead call."""
    with Claims(tmp_path, lease=0.24) as mine:

        def touched() -> bool:
            os.utime(mine.worker_file, (1, 1))
            time.sleep(0.06)
            return mine.worker_file.stat().st_mtime > 1

        assert touched()
        mine.note_progress()
        assert touched()
        monkeypatch.setattr("sweep.store.registration.PATIENCE", 0)
        assert not touched()
        monkeypatch.setattr("sweep.store.registration.PATIENCE", 10)
        mine.note_progress()
        assert touched()


def test_a_process_that_others_took_for_dead_claims_on(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine:
        mine.worker_file.unlink()
        assert mine.take("slice") and not mine.take("slice")


@pytest.mark.promise(19)
def test_a_process_that_lost_its_file_keeps_and_releases_its_claims(tmp_path: Path) -> None:
    """Its claims that nobody took are links to the lost file, and those that others took are theirs."""
    with Claims(tmp_path, lease=0.24) as mine:
        assert mine.take("kept") and mine.take("lost")
        mine.worker_file.unlink()
        (tmp_path / "claims" / "lost").unlink()
        leave(tmp_path, "lost")
        wait(mine.worker_file.exists)
        assert not mine.take("kept") and not mine.take("lost")
        mine.release("kept")
        mine.release("lost")
        assert (tmp_path / "claims" / "lost").read_text() == AWAY
        assert mine.take("kept") and not mine.take("lost")


# Clocks


@pytest.mark.parametrize("step", [5 * 3600.0, -5 * 3600.0])
def test_no_step_of_the_clock_expires_the_claims_of_the_living_or_keeps_those_of_the_dead(
    step: float,
) -> None:
    now, passed = 1e9, [0.0]
    watch = Watch(60, lambda: passed[0])

    def expired(name: str, touched: float) -> bool | None:
        state = os.stat_result((0o100644, hash(name), 0, 1, 0, 0, 0, touched, touched, touched))
        return watch.has_expired(name, state, now + passed[0] + step)

    found = set[tuple[str, bool | None]]()
    while passed[0] < 6:
        last_touch = passed[0] // 2.5 * 2.5
        # The living were last touched before the step, until their next touch.
        living = now + last_touch + (step if last_touch else 0)
        found |= {("living", expired("living", living)), ("dead", expired("dead", now))}
        passed[0] += 0.5
    assert ("living", True) not in found and ("dead", True) in found


def test_its_file_stays_fresh(tmp_path: Path) -> None:
    with Claims(tmp_path, lease=0.24) as mine:
        before = mine.worker_file.stat().st_mtime_ns
        wait(lambda: mine.worker_file.stat().st_mtime_ns > before)


# Rewrites


def test_nobody_comes_in_while_one_is_alone(tmp_path: Path) -> None:
    late = Claims(tmp_path)
    with (
        Claims(tmp_path) as mine,
        mine.exclusive("test"),
        pytest.raises(StoreError, match="is being rewritten by"),
    ):
        late.__enter__()


def test_a_worker_waits_for_the_end_of_a_rewrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    with Claims(tmp_path) as mine, ExitStack() as rewrite:
        rewrite.enter_context(mine.exclusive("test"))

        def sleep(seconds: float) -> None:
            looks.append(seconds)
            if len(looks) == 3:
                rewrite.close()

        monkeypatch.setattr(claims.time, "sleep", sleep)
        with Claims(tmp_path, patient=True) as late:
            assert len(looks) == 3 and late.take("slice")


@pytest.mark.parametrize("age", [3600.0, -3600.0])
def test_a_rewrite_does_not_wait_for_a_living_process_whose_clock_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float
) -> None:
    """It touches its file a few times a lease, and each of its times is an hour from here."""
    file, passed = leave(tmp_path, f"worker-{AWAY}", age=age), [0.0]
    monkeypatch.setattr(Watch.__init__, "__defaults__", (lambda: passed[0],))

    def let_pass(seconds: float) -> None:
        passed[0] += seconds
        assert passed[0] < 60, "this takes too long"
        touched = time.time() - age + passed[0] // 2.5 * 2.5
        os.utime(file, (touched, touched))

    monkeypatch.setattr(claims.time, "sleep", let_pass)
    with (
        Claims(tmp_path) as mine,
        pytest.raises(StoreError, match=rf"In use by {AWAY}\. Try again"),
        mine.exclusive("test"),
    ):
        pass


@pytest.mark.parametrize("age", [100.0, -100.0])
def test_a_rewrite_does_not_wait_long_for_the_dead_of_another_host(
    tmp_path: Path, hours: Callable[[float], None], age: float
) -> None:
    for name in ("alone", f"worker-{AWAY}"):
        leave(tmp_path, name, age=age)
    with Claims(tmp_path) as mine, mine.exclusive("test"):
        pass
    assert names(tmp_path) == []


# Who is who


def named(host: str, boot: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name that this process would have on another machine."""
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(owners, "_boot_id", lambda: boot)
    owners._host.cache_clear()
    try:
        return owner()
    finally:
        monkeypatch.undo()
        owners._host.cache_clear()


def robbed(folder: Path, boot: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a process takes the claim of one on another machine of the same hostname, whose number is unused here."""
    other = re.sub(r"-\d+\.", "-999999999.", named(socket.gethostname(), boot, monkeypatch))
    for name in ("slice", f"worker-{other}"):
        leave(folder, name, other)
    with Claims(folder) as mine:
        return mine.take("slice") and mine.other_workers() == []


@pytest.mark.promise(5)
def test_two_machines_of_one_hostname_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not robbed(tmp_path, "another start", monkeypatch)
    assert owner_is_gone(named(socket.gethostname(), "another start", monkeypatch)) is None


@pytest.mark.promise(5, mutant=True)
def test_machines_told_apart_by_hostname_alone_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert robbed(tmp_path, owners._boot_id(), monkeypatch)


@pytest.mark.parametrize("host", ["", "h" * 253, "a_b/../c\n\x1b[31m", "schön", "-x.y-"])
def test_a_name_is_a_short_file_name_whatever_the_hostname(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = named(host, "1", monkeypatch)
    assert is_owner(name) and len(name) <= 90 and re.fullmatch(r"[\w.-]+", name, re.ASCII)


def test_a_process_is_known_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    host, number, started = re.fullmatch(r"(.*)-(\d+)\.(\d+)", owner()).groups()  # type: ignore[union-attr]
    assert owner_is_gone(owner()) is False
    assert owner_is_gone(f"{host}-{number}.{int(started) - 1}") is True
    assert owner_is_gone(f"{host}-999999999.1") is True
    assert owner_is_gone(f"{socket.gethostname()}.4026531836-{number}.{started}") is None  # 0.2
    booted = psutil.boot_time()
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + 7200.0)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 7200.0)
    assert owner_is_gone(f"{host}-{number}.{started}") is False, "the clock was set"


def test_a_process_that_the_system_hides_is_not_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert owner_is_gone(re.sub(r"-\d+\.", "-999999999.", owner())) is None


def test_without_a_proc_nobody_is_known_and_claims_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> float:
        raise FileNotFoundError

    monkeypatch.setattr(psutil, "boot_time", missing)
    assert owner().endswith(f"-{os.getpid()}.0") and owner_is_gone(owner()) is None
    with Claims(tmp_path) as mine:
        assert mine.take("slice") and not mine.take("slice")


# Full disks


@pytest.mark.promise(7)
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StoreError, match=r"No space left on device\. Free some space"):
            Claims(tmp_path).__enter__()
    assert names(tmp_path) == []
    with Claims(tmp_path) as mine:
        assert mine.take("slice")


def test_empty_files_do_not_stay_for_ever(tmp_path: Path, hours: Callable[[float], None]) -> None:
    """What a crash or a full disk left of a process, here or elsewhere, and of a claim."""
    dead = re.sub(r"-\d+\.", "-999999999.", owner())
    leave(tmp_path, f"worker-{dead}", "")
    for name, text in ((f"worker-{AWAY}", ""), ("slice", "\0\0\0"), ("fresh", "")):
        leave(tmp_path, name, text, age=0 if name == "fresh" else 61)
    with Claims(tmp_path) as mine:
        assert not mine.take("slice") and not mine.take("fresh") and mine.other_workers() == [AWAY]
        hours(6)
        assert mine.take("slice") and not mine.take("fresh")
        with mine.exclusive("test"):
            pass
    assert names(tmp_path) == ["claims/fresh"]


# Hostile folders


def strange(path: Path, kind: str) -> None:
    """Something that is no claim."""
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(os.path.relpath(path))
        case "device":
            os.mknod(path, 0o020666, os.makedev(5, 0))
        case "link":
            (path.parents[2] / "precious").write_text(AWAY)
            path.symlink_to(path.parents[2] / "precious")
        case "large":
            path.touch()
            os.truncate(path, 1 << 30)
        case "escape":
            path.write_text("\x1b[31m-7.1")
        case _:
            path.write_text("notes")


KINDS = ["folder", "fifo", "socket", "device", "link", "large", "escape", "text"]


@pytest.mark.promise(15)
@pytest.mark.promise(18)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_claim_stays_and_is_named_where_it_is_in_the_way(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    store = tmp_path / "store"
    (store / "claims").mkdir(parents=True)
    paths = [store / "claims" / name for name in ("slice", "worker-notes", f"worker-{AWAY}")]
    try:
        for path in paths if kind not in ("large", "escape", "text") else paths[:2]:
            strange(path, kind)
    except PermissionError:
        pytest.skip("this user may not make devices")
    before = sorted((path.name, path.lstat().st_mtime) for path in (store / "claims").iterdir())
    assert live_workers(store) == []
    with Claims(store, lease=0.01) as mine:
        time.sleep(0.02)
        assert mine.take("another") and mine.other_workers() == []
        with pytest.raises(StoreError, match=r"slice is in the way of a claim .* Move it"):
            mine.take("slice")
        with mine.exclusive("test"):
            pass
    after = sorted((path.name, path.lstat().st_mtime) for path in (store / "claims").iterdir())
    assert after == before
    if kind == "link":
        assert (tmp_path / "precious").read_text() == AWAY


@pytest.mark.promise(18)
@pytest.mark.parametrize("kind", ["link", "loop", "file", "fifo", "dangling"])
def test_claims_that_are_no_folder_are_refused_with_a_cure(tmp_path: Path, kind: str) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    store.mkdir()
    elsewhere.mkdir()
    file = elsewhere / f"worker-{AWAY}"
    file.write_text(AWAY)
    os.utime(file, (1, 1))
    target = store / "claims"
    match kind:
        case "link":
            target.symlink_to(elsewhere)
        case "loop":
            target.symlink_to(target)
        case "dangling":
            target.symlink_to(tmp_path / "none")
        case "file":
            target.touch()
        case _:
            os.mkfifo(target)
    assert live_workers(store) == []
    with pytest.raises(StoreError, match=r"is a symbolic link or a file, .* Move it away"):
        Claims(store).__enter__()
    assert names(elsewhere) == [file.name] and not (tmp_path / "none").exists()


def test_a_claim_that_cannot_be_read_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, "slice")
    open_file = os.open

    def refuse(path: str, *arguments: int, **more: int) -> int:
        if path == "slice":
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_file(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    with Claims(tmp_path) as mine, pytest.raises(StoreError, match="in the way of a claim"):
        mine.take("slice")


def test_looking_who_is_at_work_writes_nothing(tmp_path: Path) -> None:
    for name, age in ((AWAY, 0), ("away-8.1", 100)):
        leave(tmp_path, f"worker-{name}", age=age)
    before = [path.stat().st_ctime_ns for path in (tmp_path / "claims").iterdir()]
    assert live_workers(tmp_path) == [AWAY]
    assert [path.stat().st_ctime_ns for path in (tmp_path / "claims").iterdir()] == before
    assert live_workers(tmp_path / "none") == [] and not (tmp_path / "none").exists()


def test_a_process_that_sweeps_keeps_its_own_rewrites_out(tmp_path: Path) -> None:
    """As where a notebook compacts a store that another thread fills."""
    with Claims(tmp_path) as mine:
        with (
            Claims(tmp_path) as other,
            pytest.raises(StoreError, match="In use by this process itself"),
            other.exclusive("compact the store"),
        ):
            pass
        assert mine.worker_file.exists() and mine.take("slice")
        with mine.exclusive("add columns"):
            mine.require_exclusive()
    assert names(tmp_path) == []
