"""What analyses write stays where it belongs, whatever a store holds."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis
from analysis.files import MAX_NAME, file_name, write_file
from analysis.tables.csv_files import csv_bytes
from sweep.errors import SweepError


def test_a_link_in_place_of_a_file_is_replaced(tmp_path: Path):
    outside = tmp_path / ".profile"
    outside.write_text("kept")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "x.csv").symlink_to(outside)
    write_file(tmp_path / "report" / "x.csv", b"new", tmp_path)
    assert outside.read_text() == "kept"
    assert (tmp_path / "report" / "x.csv").read_bytes() == b"new"
    assert not (tmp_path / "report" / "x.csv").is_symlink()
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["x.csv"]


@pytest.mark.parametrize("linked", ["report", "report/figures"])
def test_a_linked_folder_of_a_store_is_refused(tmp_path: Path, linked: str):
    outside, store = tmp_path / "outside", tmp_path / "store"
    outside.mkdir()
    (store / linked).parent.mkdir(parents=True)
    (store / linked).symlink_to(outside)
    with pytest.raises(SweepError, match="is a symbolic link"):
        write_file(store / "report" / "figures" / "x.csv", b"new", store)
    assert list(outside.iterdir()) == []
    # A folder that the user named may be a link.
    write_file(store / linked / "x.csv", b"new")
    assert (outside / "x.csv").read_bytes() == b"new"


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    for path in (
        Path("/proc/x.pdf"),
        Path("/proc/x/y.pdf"),
        tmp_path / "folder",
        tmp_path / "file" / "x.csv",
        tmp_path / ("n" * 300),
        tmp_path / "a\0b",
    ):
        with pytest.raises(SweepError, match=r"cannot be written: .*\. Give another place"):
            write_file(path, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_write_that_fails_half_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "x").write_text("old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SweepError, match="No space left on device"):
        write_file(tmp_path / "x", b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


NAMES = [
    "../../../x",
    "/etc/passwd",
    "..",
    ".",
    "",
    "-rf",
    ".bashrc",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "β",
    "x" * 10**6,
    "con:nul*?",
    "\ud800",
    "$(reboot)",
    "%2e%2e",
]


def test_names_made_of_words_lead_nowhere_and_differ():
    taken: list[str] = []
    for words in [*NAMES, "a_b", "a b", "adam", "Adam", "adam", "paired-adam-gd"]:
        name = file_name(words, taken)
        assert name.isascii() and len(name) <= MAX_NAME + 60 and os.path.basename(name) == name
        assert not name.startswith(".") and name.lower() not in taken
        assert not set(name) & set(" /\\\0\n$()%*?:")
        taken.append(name.lower())
    assert file_name("paired-adam-gd") == "paired-adam-gd"
    assert file_name("a/b") == file_name("a/b") != file_name("a b")


def test_words_of_a_csv_file_are_no_formulas():
    table = pd.DataFrame(
        {"=cmd|' /C calc'!A0": ["@x", "+1", "-2", "\t=1", "adam"], "value": [-1.5, 2, 3, 4, 5]}
    )
    lines = csv_bytes(table).decode().splitlines()
    assert lines[0] == "'=cmd|' /C calc'!A0,value"
    assert lines[1:4] == ["'@x,-1.5", "'+1,2.0", "'-2,3.0"] and lines[5] == "adam,5.0"
    assert csv_bytes(table[["value"]]) == table[["value"]].to_csv(index=False).encode()


HOSTILE_NAME = "<script>alert(1)</script>/../../../../escaped $\\frac{ $ =1+1 \x1b[31m\" onload='x'"


@pytest.fixture(scope="module")
def hostile(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose optimizers have hostile names, in a folder of its own."""

    def error(name: str, snr: float, alpha: float, seed: int) -> float:
        return make.planted("gd" if name == "gd" else "adam", snr, alpha, seed)

    rows = make.plane(error, optimizers=[HOSTILE_NAME, "gd"])
    folder = tmp_path_factory.mktemp("hostile") / "a" / "b" / "store"
    return make.write_store(folder, rows, make.bend(rows), trials=len(rows))


@pytest.mark.thorough
def test_a_report_of_hostile_words_stays_in_its_folder(hostile: Path):
    top = hostile.parents[2]
    (hostile / "report").mkdir()
    (top / "startup").write_text("kept")
    for name in ("index.html", "figures"):
        (hostile / "report" / name).symlink_to(top / "startup")
    with pytest.raises(SweepError, match="symbolic link"):
        analysis.report(hostile)
    (hostile / "report" / "figures").unlink()
    page = analysis.report(hostile)
    assert (top / "startup").read_text() == "kept"
    outside = [path for path in top.rglob("*") if not path.is_relative_to(hostile)]
    assert sorted(path.name for path in outside) == ["a", "b", "startup"]
    figures = sorted(path.name for path in (page.parent / "figures").glob("paired-*.svg"))
    assert len(figures) == 1 and "script" in figures[0]
    text = page.read_text()
    assert "<script>alert" not in text and text.count("<script") == text.count("</script")
    assert " onload='x'" not in text


def test_a_report_has_another_folder(hostile: Path, tmp_path: Path):
    page = analysis.report(hostile, out=tmp_path / "elsewhere")
    assert page == tmp_path / "elsewhere" / "index.html"
    assert list((tmp_path / "elsewhere" / "figures").glob("*.csv"))
    assert f"--out {tmp_path / 'elsewhere'}" in page.read_text()
