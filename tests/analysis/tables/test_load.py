"""Reading stores: every committed row once, and a clear word on what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import analysis
from sweep.errors import StoreError


def test_every_row_once_in_the_order_of_trials(store: Path):
    runs = analysis.load(store)
    plain = pd.concat(
        pd.read_parquet(part) for part in (store / "runs").glob("part-*")
    ).sort_values("trial")
    pd.testing.assert_frame_equal(runs, plain.reset_index(drop=True))
    assert runs.attrs == {"folder": str(store), "trials": 48, "complete": True}


@pytest.mark.parametrize(
    ("trials", "complete"), [(48, True), (49, False), (47, None), (None, None)]
)
def test_completeness_is_known_or_said_to_be_unknown(
    make: Any, tmp_path: Path, trials: int | None, complete: bool | None
):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted), trials=trials)
    assert analysis.load(folder).attrs["complete"] is complete


def test_a_store_without_manifest_is_read(make: Any, tmp_path: Path):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted))
    (folder / "manifest.json").unlink()
    assert analysis.load(folder).attrs["trials"] is None


def test_several_stores_share_trials(make: Any, tmp_path: Path):
    rows = make.plane(make.planted)
    first = make.write_store(tmp_path / "a", rows[:30], trials=30)
    second = make.write_store(tmp_path / "b", rows[20:], trials=28)
    runs = analysis.load(first, second)
    assert runs["trial"].tolist() == sorted(row["trial"] for row in rows)
    assert runs.attrs["complete"] is True and runs.attrs["trials"] == 58


def test_what_cannot_be_read_is_named_with_a_cure(make: Any, store: Path, tmp_path: Path):
    with pytest.raises(StoreError, match=r"nowhere is not a folder\. Run `python -m sweep\.run"):
        analysis.load(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="holds no runs"):
        analysis.load(tmp_path)
    with pytest.raises(StoreError, match="No folder"):
        analysis.load()
    folder = make.write_store(tmp_path / "no-curves", make.plane(make.planted))
    with pytest.raises(StoreError, match=r"holds no curves.*record"):
        analysis.load_curves(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="manifest"):
        analysis.load(folder)


def test_a_flipped_bit_is_found_or_harmless(store: Path, tmp_path: Path):
    folder, whole = shutil.copytree(store, tmp_path / "s"), analysis.load(store)
    part = folder / "runs" / "part-1.parquet"
    content, column = part.read_bytes(), pq.read_metadata(part).row_group(0).column(0)
    start, found = column.dictionary_page_offset or column.data_page_offset, 0
    for place in range(start, start + column.total_compressed_size, 7):
        part.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            pd.testing.assert_frame_equal(analysis.load(folder), whole)
        except StoreError as error:
            assert "part-1.parquet cannot be read" in str(error) and "repair" in str(error)
            found += 1
    assert found > 5


def test_curves_come_with_what_was_swept(store: Path):
    curves = analysis.load_curves(store)
    assert list(curves.columns[:8]) == [
        "trial",
        "problem",
        "optimizer",
        "status",
        "seed",
        "snr",
        "noise",
        "feature_noise",
    ]
    assert len(curves) == 48 * 4
    assert curves["test_error"].isna().all()
    some = analysis.load_curves(store, trials=[0, 10])
    assert some["trial"].unique().tolist() == [0, 10]


def test_curves_of_a_crash_are_left_out(make: Any, tmp_path: Path):
    rows = make.plane(make.planted)
    orphans = [{"trial": -1, "step": 0, "feature": 9.0}]
    folder = make.write_store(
        tmp_path / "s", rows, [*make.bend(rows), *make.bend(rows[:5]), *orphans]
    )
    curves = analysis.load_curves(folder)
    assert not curves.duplicated(["trial", "step"]).any()
    assert set(curves["trial"]) == {row["trial"] for row in rows}


def test_a_manifest_with_odd_contents_says_nothing(make: Any, tmp_path: Path):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted))
    (folder / "manifest.json").write_text(json.dumps({"info": "none"}))
    assert analysis.load(folder).attrs["complete"] is None
