"""Answers of a network file system that were lost: what was done is asked for a second time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweep.store import Claims, verify
from sweep.store.directory import Directory
from tests.store.small_store import OURS, STEPS, opened, points, rows


def lose_the_reply(monkeypatch: pytest.MonkeyPatch, prefix: str) -> list[str]:
    """The next link to a name with a prefix is made and refused; returns the names so far."""
    link, lost = os.link, list[str]()

    def lossy(name: str, new_name: str, **named: Any) -> None:
        link(name, new_name, **named)
        if new_name.startswith(prefix) and not lost:
            lost.append(new_name)
            raise FileExistsError(17, os.strerror(17))

    monkeypatch.setattr(os, "link", lossy)
    return lost


@pytest.mark.promise(5)
def test_a_part_whose_link_was_made_but_not_answered_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    lost = lose_the_reply(monkeypatch, "part-")
    assert store.commit(rows((1, 2)), points((1, 2)), OURS) == 2
    assert lost == ["part-00000000.parquet"]
    assert pq.read_table(tmp_path / "curves").num_rows == 2 * STEPS
    assert store.commit(rows((2, 3)), points((2, 3)), OURS) == 1
    assert [each.path.name for each in verify(tmp_path)] == ["manifest.json"]  # has no columns


def test_a_claim_whose_link_was_made_but_not_answered_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_the_reply(monkeypatch, "slice")
    with Claims(tmp_path) as claims:
        assert claims.take("slice") and lost == ["slice"]
        assert not claims.take("slice")
        claims.release("slice")
        assert claims.take("slice")


@pytest.mark.promise(5, mutant=True)
def test_a_store_that_takes_its_own_part_for_that_of_another_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "_is_same_file", lambda *_: False)
    store = opened(tmp_path)
    lose_the_reply(monkeypatch, "part-")
    assert store.commit(rows((1, 2)), points((1, 2)), OURS) == 0
    assert list((tmp_path / "curves").iterdir()) == []
