"""Rows whose settings are unknown, or those of another store, do not count as done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sweep.errors import StoreError
from sweep.store.commit_log import CommitLog
from tests.store.small_store import OURS, opened, points, rows


@pytest.mark.promise(4)
@pytest.mark.parametrize("kind", ["runs", "curves"])
def test_a_store_with_parts_gets_no_other_manifest(tmp_path: Path, kind: str) -> None:
    """Its rows would count as done under settings that nobody knows."""
    opened(tmp_path).commit(rows((1,)), points((1,)), OURS)
    (tmp_path / "manifest.json").unlink()
    shutil.rmtree(tmp_path / {"runs": "curves", "curves": "runs"}[kind])
    with pytest.raises(StoreError, match=r"manifest.json is missing.*Put the manifest of this"):
        opened(tmp_path)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.promise(4)
def test_a_part_of_another_store_does_not_count_as_done(tmp_path: Path) -> None:
    for name, trial in (("one", 1), ("other", 2)):
        opened(tmp_path / name).commit(rows((trial,)), None, OURS)
    part = Path("runs") / "part-00000000.parquet"
    shutil.copy(tmp_path / "other" / part, tmp_path / "one" / part)
    with pytest.raises(StoreError, match=r"belongs to another store than manifest.json.*verify"):
        opened(tmp_path / "one").done()


@pytest.mark.promise(4, mutant=True)
def test_a_log_that_takes_the_parts_of_any_store_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).commit(rows((1,)), None, OURS)
    (tmp_path / "manifest.json").unlink()
    monkeypatch.setattr("sweep.store.store._require_manifest_of_parts", lambda folder: None)
    with pytest.raises(StoreError, match="belongs to another store"):
        opened(tmp_path).done()
    monkeypatch.setattr(CommitLog, "store_id", property(lambda log: "", lambda *_: None), False)
    assert opened(tmp_path).done().tolist() == [1]
