"""Every single flipped bit of a part, a manifest or a kept grid is found, or changes no value."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.errors import StoreError
from sweep.store import Store, current_grid, kept_grids, parts, read_grid, verify
from sweep.store.parts import read_rows, to_parquet
from tests.store.small_store import MANIFEST, OURS, points, rows

COLUMNS = {"n": "int", "lr": "float", "schedule": "str", "bias": "bool"}
GRID = "name: test  # of a few words\n"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of one part with curves, and two grids."""
    manifest = {**MANIFEST, "columns": COLUMNS}
    for grid in (GRID, GRID + "seeds: 2\n"):
        opened = Store(tmp_path)
        opened.open(manifest, grid)
    opened.commit(rows((1, 2, 3)), points((1, 2, 3)), OURS)
    return tmp_path


def files(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def values(path: Path) -> object:
    """What a file says to those who read it through the store."""
    if path.suffix == ".parquet":
        table = read_rows(path)
        return table.schema, table.schema.metadata, str(table.to_pydict())
    if path.suffix == ".json":
        return Store(path.parent).read_manifest()
    return path.read_bytes()


def flips(path: Path, positions: Iterable[int]) -> Iterator[tuple[int, bool]]:
    """Flip single bits of a file; yields each position with whether the flip goes unnoticed."""
    content, before = path.read_bytes(), values(path)
    folder = path.parents[len(path.relative_to(path.parents[0]).parts) - 1]
    root = folder.parent if folder.name in ("runs", "curves") else folder
    for position in positions:
        byte, bit = divmod(position, 8)
        flipped = bytearray(content)
        flipped[byte] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            is_same = values(path) == before
        except StoreError:
            is_same = False
        yield position, not is_same and not verify(root)
    path.write_bytes(content)


def unnoticed(store: Path, choose: Callable[[int], Iterable[int]]) -> list[str]:
    """The flips that change a value and that `verify` does not name."""
    return [
        f"{path.name} bit {position}"
        for path in files(store)
        for position, is_unnoticed in flips(path, choose(8 * path.stat().st_size))
        if is_unnoticed
    ]


def sample(bits: int) -> list[int]:
    return random.Random(bits).sample(range(bits), min(bits, 100))


@pytest.mark.promise(20)
def test_flipped_bits_are_named_or_change_nothing(store: Path) -> None:
    assert [path.name for path in files(store)] == [
        *("current-grid.txt", "part-00000000.parquet", next(store.glob("grid-*")).name),
        *("grid.yaml", "manifest.json", "part-00000000.parquet"),
    ]
    assert verify(store) == [] and unnoticed(store, sample) == []


@pytest.mark.slow
def test_every_single_flip_is_named_or_changes_nothing(store: Path) -> None:
    assert unnoticed(store, range) == []


def footer(path: Path) -> range:
    """The bits of the footer of a part."""
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    return range(8 * (len(content) - 8 - length), 8 * (len(content) - 8))


@pytest.mark.promise(20, mutant=True)
def test_flips_in_a_footer_find_a_part_without_a_digest(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store / "runs" / "part-00000000.parquet"
    chosen = random.Random(0).sample(footer(path), 600)
    assert not any(is_unnoticed for _, is_unnoticed in flips(path, chosen))
    monkeypatch.setattr(parts, "check_digest", lambda content: True)
    assert any(is_unnoticed for _, is_unnoticed in flips(path, chosen))


def test_a_part_without_a_digest_is_one_of_version_0_2(tmp_path: Path) -> None:
    table = rows((1, 2))
    pq.write_table(table, tmp_path / "old.parquet", write_page_checksum=True)
    assert read_rows(tmp_path / "old.parquet").num_rows == 2
    (tmp_path / "new.parquet").write_bytes(to_parquet(table, {}))
    stripped = pq.read_table(tmp_path / "new.parquet")
    pq.write_table(stripped, tmp_path / "stripped.parquet")
    with pytest.raises(StoreError, match="it has lost its digest"):
        read_rows(tmp_path / "stripped.parquet")


def test_other_readers_do_not_see_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(to_parquet(rows((2, 1)), {}))
    assert b"SWEEPSUM" in path.read_bytes()
    for table in (pq.read_table(path), pq.read_table(path, memory_map=True)):
        assert table["trial"].to_pylist() == [1, 2]
    with pa.memory_map(str(path)) as source, pq.ParquetFile(source) as file:
        assert file.metadata.num_rows == 2


def test_an_edited_manifest_is_told_and_one_without_a_digest_is_read(store: Path) -> None:
    path = store / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["dtype"] = "float64"
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="does not match its digest"):
        Store(store).read_manifest()
    assert [finding.path for finding in verify(store)] == [path]
    del manifest["info"]["digest"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="does not match its digest"):
        Store(store).read_manifest()
    del manifest["info"]["grid"]
    path.write_text(json.dumps(manifest))
    assert Store(store).read_manifest()["dtype"] == "float64"


def test_a_damaged_grid_is_written_again_once_it_is_deleted(store: Path) -> None:
    first, (second,) = store / "grid.yaml", store.glob("grid-*")
    for path in (first, second):
        path.write_text("name: other\n")
    found = verify(store)
    assert [finding.path for finding in found] == [second, first]
    assert all("Move it away; the next run of this grid writes it again" in f.cure for f in found)
    for path in (second, first):
        with pytest.raises(StoreError, match=f"{path.name} cannot be read.*Move it away"):
            read_grid(path)
        with pytest.raises(StoreError, match=rf"{path.name} is not the grid .*Move it away"):
            Store(store).open({**MANIFEST, "columns": COLUMNS}, GRID)
        path.unlink()
        assert path in {finding.path for finding in verify(store)} or path == second
    for text in (GRID + "seeds: 2\n", GRID):
        Store(store).open({**MANIFEST, "columns": COLUMNS}, text)
    assert verify(store) == [] and first.read_text() == GRID


@pytest.mark.promise(20, mutant=True)
def test_a_kept_grid_that_is_believed_would_be_seen(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store / "grid.yaml").write_text(GRID.replace("test", "text"))
    with pytest.raises(StoreError, match=r"grid\.yaml cannot be read"):
        read_grid(store / "grid.yaml")
    monkeypatch.setattr(kept_grids, "_is_as_copied", lambda *_: True)
    assert read_grid(store / "grid.yaml") != GRID.encode()


@pytest.mark.promise(12)
def test_a_lost_grid_that_was_run_last_is_named_and_comes_back(store: Path) -> None:
    (second,) = store.glob("grid-*")
    second.unlink()
    assert current_grid(store) is None
    (finding,) = verify(store)
    assert finding.path == store / "current-grid.txt" and "Run the last grid again" in finding.cure
    Store(store).open({**MANIFEST, "columns": COLUMNS}, GRID + "seeds: 2\n")
    assert verify(store) == [] and current_grid(store) == second
    second.unlink()
    Store(store).open({**MANIFEST, "columns": COLUMNS}, GRID)
    assert verify(store) == [] and current_grid(store) == store / "grid.yaml"
