"""Claims: one process at a time, and none for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sweep.errors import StoreError
from sweep.store import Claims
from tests.store.small_store import names, start_sleeper


def test_a_claim_is_given_once_and_comes_back(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        assert claims.take("a") and not claims.take("a")
        claims.release("a")
        assert claims.take("a")
    assert names(tmp_path) == []


@pytest.mark.promise(14)
def test_claims_fall_to_others_when_their_process_is_gone(tmp_path: Path) -> None:
    sleeper = start_sleeper(tmp_path)
    with Claims(tmp_path) as claims:
        assert not claims.take("slice") and len(claims.other_workers()) == 1
        sleeper.kill()
        sleeper.communicate()
        assert claims.take("slice") and claims.other_workers() == []


@pytest.mark.promise(14)
@pytest.mark.promise(15)
def test_claims_of_another_host_fall_to_others_after_a_lease(tmp_path: Path) -> None:
    with Claims(tmp_path, lease=60) as claims:
        for name in ("slice", "worker-away-7.1", "notes"):
            (claims.folder / name).write_text("away-7.1" if name != "notes" else "mine")
        assert not claims.take("slice") and claims.other_workers() == ["away-7.1"]
        past = time.time() - 61
        for name in ("slice", "worker-away-7.1", "notes"):
            os.utime(claims.folder / name, (past, past))
        assert not claims.take("notes")
        assert claims.take("slice") and claims.other_workers() == []
    with Claims(tmp_path, lease=60):
        assert (tmp_path / "claims" / "notes").read_text() == "mine"


def test_a_process_that_others_took_for_dead_claims_on(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        claims.worker_file.unlink()
        assert claims.take("slice") and not claims.take("slice")


def test_its_file_stays_fresh(tmp_path: Path) -> None:
    with Claims(tmp_path, lease=0.3) as claims:
        before = claims.worker_file.stat().st_mtime_ns
        time.sleep(0.3)
        assert claims.worker_file.stat().st_mtime_ns > before


def test_nobody_comes_in_while_one_is_alone(tmp_path: Path) -> None:
    late = Claims(tmp_path)
    with (
        Claims(tmp_path) as claims,
        claims.exclusive("test"),
        pytest.raises(StoreError, match="is being rewritten by"),
    ):
        late.__enter__()
