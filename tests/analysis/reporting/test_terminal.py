"""The picture in the terminal: what stands in its cells, and that it follows the store."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import analysis
from analysis.reporting.picture import picture
from analysis.reporting.terminal import watch_frames
from analysis.tables.labels import narrow_ticks
from sweep.errors import SweepError

SNRS, ALPHAS = (0.1, 0.3, 1.0), (0.1, 0.2)


def lines(shown: Any) -> list[str]:
    """A picture as plain text."""
    console = Console(width=160, file=io.StringIO())
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


def test_each_cell_shows_its_mean_and_y_grows_upwards(make: Any):
    def error(name: str, snr: float, alpha: float, seed: int) -> float:
        return SNRS.index(snr) / 10 + ALPHAS.index(alpha) / 4 + 0.01 * (name == "gd")

    said = lines(picture(make.runs(make.plane(error))))
    numbers = [re.findall(r"0\.\d+", line) for line in said]
    assert [row for row in numbers if len(row) == 8] == [
        ["0.2", "0.25", "0.35", "0.45", "0.2", "0.26", "0.36", "0.46"],
        ["0.1", "0.00", "0.10", "0.20", "0.1", "0.01", "0.11", "0.21"],
    ]
    assert any(
        "test error, Adam" in line and "test error, gradient descent" in line for line in said
    )


def test_the_difference_is_the_paired_one(make: Any):
    said = "\n".join(lines(picture(make.runs(make.plane(make.planted)), value="difference")))
    assert "Adam minus gradient descent" in said and said.count("+0.50") == 4
    with pytest.raises(SweepError, match="only one optimizer"):
        picture(make.runs(make.plane(make.planted, optimizers=["gd"])), value="difference")


def test_a_mean_over_modes_is_marked(make: Any):
    """One of four seeds fails at snr = 0.1: the mean, 0.25, is the value of none."""
    rows = make.plane(lambda o, snr, a, k: float(o == "adam" and snr == 0.1 and k == 3))
    said = "\n".join(lines(picture(make.runs(rows))))
    assert said.count("~0.25") == 2 and "~: the seeds split into modes" in said
    assert "~" not in "\n".join(lines(picture(make.runs(make.plane(make.planted)))))


def test_a_diverged_cell_has_a_cross(make: Any):
    rows = make.plane(make.planted, seeds=1)
    rows[0] |= {"status": "nonfinite"}
    assert sum(line.count("×") for line in lines(picture(make.runs(rows)))) == 1


def test_a_large_plane_is_thinned(make: Any):
    rows = make.plane(
        make.planted, snrs=[float(i) for i in range(1, 101)], seeds=1, optimizers=["gd"]
    )
    assert max(len(re.findall(r"\d\.\d\d", line)) for line in lines(picture(make.runs(rows)))) == 20


def test_a_notebook_shows_the_coloured_picture(make: Any):
    """As HTML without a style sheet: colours, means, and both panels side by side."""
    html = picture(make.runs(make.plane(make.planted)))._repr_html_()
    colours = set(re.findall(r"background-color: (#[0-9a-f]{6})", html))
    assert len(colours) >= 2 and html.count("0.52") >= 1 and "signal-to-noise ratio" in html
    (line,) = (line for line in html.splitlines() if "test error, Adam" in line)
    assert "test error, gradient descent" in line
    assert html.startswith("<pre") and html.rstrip().endswith("</pre>") and "<style" not in html


def test_jupyter_formats_a_picture_as_html(make: Any, monkeypatch: pytest.MonkeyPatch):
    """IPython calls `_repr_html_` and `repr`; rich itself must display nothing then."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *_: pytest.fail("rich displayed something"))
    shown = picture(make.runs(make.plane(make.planted)), value="difference")
    assert "background-color" in shown._repr_html_()
    assert repr(shown).count("+0.50") == 4 and "\x1b" not in repr(shown)


def test_markup_in_names_does_not_reach_the_html(make: Any):
    rows = [{**row, "optimizer": row["optimizer"] + "<b>"} for row in make.plane(make.planted)]
    html = picture(make.runs(rows))._repr_html_()
    assert "adam&lt;b&gt;" in html and "<b>" not in html


def test_it_follows_the_store_until_all_is_there(make: Any, tmp_path: Path):
    """One frame per change of the parts; the last one when the store is complete."""
    rows = make.plane(make.planted)
    store = make.write_store(tmp_path / "store", rows[:20], trials=len(rows), parts=1)
    found = watch_frames(store, every=0.01)
    assert "28 of 48 trials are missing" in "\n".join(lines(next(found)))
    (store / "runs" / "part-0.parquet").rename(store / "runs" / "_aside")
    assert str(next(found)) == f"{store} has no runs yet."
    (store / "runs" / "_aside").rename(store / "runs" / "part-0.parquet")
    make.write_store(tmp_path / "rest", rows[20:], parts=1)
    (tmp_path / "rest" / "runs" / "part-0.parquet").rename(store / "runs" / "part-1.parquet")
    rest = list(itertools.islice(found, 9))
    assert len(rest) == 1 and "Complete: all 48" in "\n".join(lines(rest[0]))
    assert len(analysis.load(store)) == 48


def test_the_watch_command_ends_with_the_sweep(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from analysis.__main__ import main

    rows = make.plane(make.planted)
    with pytest.raises(SystemExit) as ended:
        main(["watch", str(make.write_store(tmp_path / "store", rows, trials=len(rows)))])
    assert ended.value.code == 0 and "Complete: all 48" in capsys.readouterr().out


def test_labels_of_an_axis_are_whole_and_differ(make: Any):
    snrs = [0.0001, 0.000147, 0.000215, 0.000316, 0.000464, 0.000681, 0.001]
    said = lines(picture(make.runs(make.plane(make.planted, snrs=snrs, seeds=1)), x="snr"))
    labels = ["1e-4", "1.5e-4", "2.1e-4", "3.2e-4", "4.6e-4", "6.8e-4", "1e-3"]
    assert any(line.split()[:7] == labels for line in said)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_number_and_no_label_is_cut_where_there_is_little_room(make: Any, width: int):
    """Not `0.000` for two values: fewer columns, and only the labels that fit."""
    snrs = [float(f"{snr:.3g}") for snr in np.geomspace(1e-4, 0.1, 16)]
    alphas = [1e-4, 1.2e-4, 0.1]
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    console.print(picture(make.runs(make.plane(make.planted, snrs, alphas, seeds=1)), x="snr"))
    said = console.export_text().splitlines()
    assert not any("…" in line for line in said)
    assert max(map(len, said)) <= width
    row = next(line for line in said if line.startswith("1.2e-4 "))
    numbers = row.split()[1:]
    assert set(numbers) == {"0.50"}
    labels = said[said.index(row) + 2].split()
    assert len(set(labels)) == len(labels) and set(labels) <= set(narrow_ticks(snrs))
    counts = [line for line in said if f"({len(numbers)} of 16 values)" in line]
    assert bool(counts) == (len(numbers) < 16)


def test_narrow_labels():
    assert narrow_ticks([0.0, 0.1, 1.0, 20000.0]) == ["0", "0.1", "1", "20000"]
    assert narrow_ticks([-0.00015, 0.00015]) == ["-1.5e-4", "1.5e-4"]
    assert narrow_ticks(["adam", "x" * 100]) == ["adam", "x" * 15 + "…"]
