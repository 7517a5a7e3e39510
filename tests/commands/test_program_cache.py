"""A damaged compiled program is compiled again, and never handed to XLA."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from sweep.commands import backend, program_cache, train
from sweep.commands.program_cache import CheckedCache
from sweep.run import sweep
from sweep.workers.progress import SilentProgress
from tests.shell import stores_differ, write_grid

GRID = """
name: cached
data: {kind: signal_noise, n: 4, d: 6, snr: 1}
model: linear
optimizer: {kind: gd, lr: 0.2}
train: {steps: 3}
test_points: 4
record: {points: 2}
"""

PROGRAM = b"x\x9c some program"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("max_size", [-1, 10_000])
def test_what_is_put_is_got(tmp_path: Path, max_size: int) -> None:
    """By any later process, and without remains of the writing; a limit of the size is jax's own."""
    if max_size > 0:
        pytest.importorskip("filelock")
    CheckedCache(str(tmp_path), max_size).put("key", PROGRAM)
    assert CheckedCache(str(tmp_path), max_size).get("key") == PROGRAM
    assert CheckedCache(str(tmp_path), max_size).get("other") is None
    assert len(list(tmp_path.glob("*-cache"))) == 1


def test_files_that_jax_wrote_itself_are_left_alone(tmp_path: Path) -> None:
    """Another program may keep its own in the same folder, without digests."""
    plain, _ = program_cache._PLAIN(str(tmp_path)) or (None, "")
    assert plain is not None
    plain.put("key", PROGRAM)
    cache = CheckedCache(str(tmp_path), -1)
    assert cache.get("key") is None
    cache.put("key", b"another")
    assert (plain.get("key"), cache.get("key")) == (PROGRAM, b"another")


@pytest.mark.promise(24)
def test_every_flip_is_found_and_the_file_replaced(tmp_path: Path) -> None:
    assert flips_found(tmp_path) == 8 * (32 + len(PROGRAM))


@pytest.mark.promise(24, mutant=True)
def test_a_cache_without_digests_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_cache, "_with_digest", lambda key, value: b"\0" * 32 + value)
    assert flips_found(tmp_path) == 8 * 32


def flips_found(folder: Path) -> int:
    """How many flips of a single bit in the file of a program make it one that is not there."""
    cache = CheckedCache(str(folder), -1)
    cache.put("key", PROGRAM)
    whole, found = only_file(folder).read_bytes(), 0
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        only_file(folder).write_bytes(broken)
        if cache.get("key") is None:
            found += 1
            assert list(folder.iterdir()) == []
        cache.put("key", PROGRAM)
        assert cache.get("key") == PROGRAM
    return found


def test_a_program_under_the_name_of_another_and_a_torn_one_are_damaged(tmp_path: Path) -> None:
    cache = CheckedCache(str(tmp_path), -1)
    for content in (b"", b"\0" * 32, None):
        cache.put("key", PROGRAM)
        file = only_file(tmp_path)
        other = file.with_name(file.name.replace("key", "other"))
        file.rename(other)
        if content is not None:
            other.write_bytes(content)
        assert cache.get("other") is None
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # needs a process that has not compiled these programs yet
@pytest.mark.promise(24)
def test_a_sweep_compiles_damaged_programs_again_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = SilentProgress()
    monkeypatch.setattr(train, "_settle", lambda request: progress)
    monkeypatch.setattr(backend, "cache_folder", lambda: tmp_path / "programs")
    grid, before = write_grid(tmp_path, GRID), jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    jax.clear_caches()  # what other tests compiled in this process
    try:
        whole = sweep(grid, tmp_path / "whole", workers=1)
        programs = sorted((tmp_path / "programs").glob("*-cache"))
        for program in programs:
            content = bytearray(program.read_bytes())
            content[-9] ^= 4
            program.write_bytes(content)
        jax.clear_caches()
        again = sweep(grid, tmp_path / "again", workers=1)
        assert stores_differ(whole, again) == ""
        told = [text for text in progress.messages if "is damaged" in text]
        assert len(told) == len(programs) > 3
        assert f"The compiled program {programs[0]} is damaged; compiling it again." in told
        cache = CheckedCache(str(tmp_path / "programs"), -1)
        keys = [program.name.removesuffix("-sha256-cache") for program in programs]
        assert all(cache.get(key) for key in keys)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        program_cache.uninstall()
