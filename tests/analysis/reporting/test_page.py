"""The page: self-contained, honest about what is missing, and correct, as are its tooltips."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import Bands, Cells, PairedGap
from analysis.reporting.provenance import reproduction_commands
from analysis.reporting.section import Section
from analysis.reporting.sections import report_sections
from analysis.reporting.tooltips import tooltip_data
from analysis.reporting.view import make_view
from analysis.tables.axes import filter_rows
from analysis.tables.columns import kind_label
from analysis.tables.labels import format_interval
from sweep.store import grid_digest
from sweep.wording import first_upper

VOID = {"wbr", "meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a test wants to know of a page. Unbalanced tags fail."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self.open[-1:] in (["script"], ["style"]) else data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def incomplete(make: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    rows = make.plane(make.planted)
    rows[0]["status"] = "nonfinite"
    folder = make.write_store(
        tmp_path_factory.mktemp("report") / "s", rows[:-2], make.bend(rows), trials=48
    )
    page = analysis.report(folder)
    assert page == folder / "report" / "index.html"
    return folder, Page(page.read_text(encoding="utf-8"))


def test_the_page_loads_nothing(incomplete: tuple[Path, Page]):
    folder, page = incomplete
    links = [
        value
        for _, attributes in page.tags
        for key, value in attributes.items()
        if key in ("src", "href")
    ]
    local = [link for link in links if link and not link.startswith(("data:", "#"))]
    assert len(local) > 10 and all((folder / "report" / link).is_file() for link in local)
    assert "://" not in (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert all("src" not in script for script in page.all("script")) and not page.all("link")


def test_what_is_missing_is_said_first(incomplete: tuple[Path, Page]):
    _, page = incomplete
    assert page.text.index("INCOMPLETE: 2 of 48 trials are missing") < page.text.index("Findings")
    assert "Note: runs are missing in 1 cell; runs without a finite value in 1 cell" in page.text


def test_the_sentences_are_right(incomplete: tuple[Path, Page]):
    _, page = incomplete
    region = "all within snr from 0.1 to 0.3 and feature_noise from 0.1 to 0.2"
    assert (
        f"Adam's test error exceeds gradient descent's by more than 0.4 in 4 of 6 cells, {region}."
        in page.text
    )
    assert (
        "With 4 seeds no cell can be marked at a family-wise error of 5 % over the map, which "
        "takes 6. Of 6 cells, the 95 % interval of a cell on its own lies above 0 in 4 and below 0 "
        "in" in page.text
    )
    assert (
        "is +0.5040 [0.4990, 0.5090] (over 3 seeds), at snr = 0.1, feature_noise = 0.1" in page.text
    )
    assert (
        "Of 6 cells, a mean test error of at most 0.05: Adam in 2, gradient descent in 6; both in 2."
        in page.text
    )
    assert (
        "Training error 0 at the end: Adam in 23 of 23 runs, gradient descent in 23 of 23"
        in page.text
    )


def test_question_setting_and_provenance_are_there(incomplete: tuple[Path, Page]):
    folder, page = incomplete
    assert "Does Adam generalize worse than gradient descent?" in page.text
    assert (
        "seed: {range: [0, 4]}" in page.text
        and "jax 0.10" in page.text
        and "last rows written" in page.text
    )
    assert f"python -m sweep.run {folder}/grid.yaml --out {folder}" in page.text
    assert f"python -m analysis report {folder}" in page.text


def test_the_commands_make_the_same_page(make: Any, tmp_path: Path):
    """Every grid of the store, in its precision; a page with other intervals says so."""
    folder = make.write_store(tmp_path / "s", make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    name = f"grid-{grid_digest(b'name: longer')[:8]}.yaml"
    (folder / name).write_text("name: longer")
    (folder / "manifest.json").write_text(
        json.dumps({"dtype": "float64", "info": {"command": ["run", "a.yaml"]}})
    )
    text = Page(analysis.report(folder, confidence=0.9).read_text(encoding="utf-8")).text
    assert f"python -m sweep.run {folder}/{name} --out {folder} --dtype float64\n" in text
    assert f"python -m sweep.run {folder}/grid.yaml --out {folder} --dtype float64\n" in text
    assert f"python -m analysis report {folder} --confidence 0.9\n" in text and "run a.yaml" in text
    assert "are 90 % confidence intervals" in text and "about 10 exclude 0 by chance" in text


def test_the_commands_name_plugins_and_choices(tmp_path: Path):
    """Those of version 0.2 are in its command alone; a module needs its folder."""
    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("grid.yaml", "manifest.json"):
        (folder / name).write_text("name: s\n")
    info = {"command": ["run.py", "g.yaml", "--plugin=mine.parts", "--plugin", "x\nrm -r"]}
    (folder / "manifest.json").write_text(json.dumps({"info": info}))
    options = {"--tune-over": ("l2", "b1"), "--tune": None, "--all-grids": True}
    commands = reproduction_commands(folder, options)
    assert commands[0] == "# in the folder of mine/parts.py, unless it is installed"
    assert commands[1].startswith(f"python -m sweep.run {folder}/grid.yaml --out {folder} --plugin")
    assert "mine.parts" in commands[1]
    assert commands[2].endswith(f"{folder} --tune-over l2 --tune-over b1 --all-grids")


def test_how_long_it_took_is_told_where_the_start_is_known(make: Any, tmp_path: Path):
    folder = make.write_store(
        tmp_path / "s", make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)), parts=1
    )
    os.utime(folder / "runs" / "part-0.parquet", (1_800_000_075, 1_800_000_075))
    began = datetime.fromtimestamp(1_800_000_000, UTC).isoformat()
    for started, told in ((began, "from start to last rows0:01:15"), ("long ago", "")):
        (folder / "manifest.json").write_text(json.dumps({"info": {"started": started}}))
        text = Page(analysis.report(folder).read_text(encoding="utf-8")).text
        assert told in text.replace("\n", "") and ("from start" in text) == bool(told)


def test_words_are_explained_where_there_is_such_a_thing(
    incomplete: tuple[Path, Page], make: Any, tmp_path: Path
):
    _, page = incomplete
    words = (
        "Problem",
        "Seed",
        "Cell",
        "Paired difference",
        "▲ ▼",
        "Generalization gap",
        "Signal-to-noise ratio (snr)",
    )
    assert all(word in page.text for word in words)
    rows = [
        {**row, "snr": None, "noise": None, "feature": None}
        for row in make.plane(make.planted, (0.1,), (0.1,))
    ]
    other = Page(
        analysis.report(make.write_store(tmp_path / "s", rows)).read_text(encoding="utf-8")
    ).text
    assert (
        "(snr)" not in other and "Feature learning" not in other and "Generalization gap" in other
    )


def test_a_short_table_travels_in_the_page(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.modules["analysis.reporting.page_entries"], "MAX_INLINE", 800)
    folder = make.write_store(tmp_path / "s", make.plane(make.planted))
    links = Page(analysis.report(folder).read_text(encoding="utf-8")).all("a")
    tables = {
        link["data-file"]: link["href"] or ""
        for link in links
        if (link.get("data-file") or "").endswith("csv")
    }
    long, short = "figures/phase-test_error.csv", "figures/paired-adam-gd.csv"
    assert tables[long] == long
    head, text = tables[short].split(",", 1)
    assert (
        head == "data:text/csv;charset=utf-8"
        and unquote(text) == (folder / "report" / short).read_text()
    )


def test_the_page_is_accessible(incomplete: tuple[Path, Page]):
    _, page = incomplete
    images = page.all("img")
    assert len(images) == 5 and all(len(image["alt"] or "") > 40 for image in images)
    counted = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert max(counted.values()) == 1
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} <= set(counted)
    assert page.all("html") == [{"lang": "en"}] and any(
        meta.get("name") == "viewport" for meta in page.all("meta")
    )


def test_every_figure_has_its_table(incomplete: tuple[Path, Page]):
    folder, _ = incomplete
    names = {path.stem for path in (folder / "report" / "figures").glob("*.pdf")}
    assert names == {
        *(
            "paired-adam-gd",
            "phase-test_error",
            "phase-generalization_gap",
            "lines-generalization_gap",
            "curves",
        )
    }
    for name in names:
        assert (folder / "report" / "figures" / f"{name}.png").is_file()
    cells = pd.read_csv(folder / "report" / "figures" / "paired-adam-gd.csv")
    assert cells["mean"].max() == pytest.approx(0.504) and cells["nonfinite"].sum() == 1


def shown(folder: Path) -> dict[str, Section]:
    return {
        each.name: each for each in report_sections(folder, make_view(analysis.load(folder)), 0.95)
    }


def test_curves_are_those_of_the_most_telling_cell(incomplete: tuple[Path, Page]):
    folder, _ = incomplete
    caption = shown(folder)["curves"].caption
    assert caption.startswith(
        "At snr = 0.1, feature_noise = 0.1, "
        "the cell with the largest paired difference, Adam minus gradient descent."
    )


def test_nothing_but_seeds_gives_a_table_and_curves(make: Any, tmp_path: Path):
    rows = make.plane(make.planted, snrs=(0.1,), alphas=(0.1,))
    found = shown(make.write_store(tmp_path / "s", rows, make.bend(rows)))
    assert list(found) == ["paired-adam-gd", "means", "curves", "flips"]
    assert found["paired-adam-gd"].sentences == [
        "Adam minus gradient descent, paired: the test error differs by +0.5030 [0.4989, 0.5071] (over 4 seeds)."
    ]
    table = found["means"].table.set_index("mean over seeds")
    assert table.loc["test_error", "gd"].startswith("0.01 [0.00, 0.5")
    assert table.loc["test_error", "adam - gd, paired"] == "0.5030 [0.4989, 0.5071]"
    assert found["means"].figure is None


def test_one_axis_gives_lines(make: Any, tmp_path: Path):
    found = shown(make.write_store(tmp_path / "s", make.plane(make.planted, alphas=(0.1,))))
    assert list(found) == ["paired-adam-gd", "lines-test_error", "lines-generalization_gap"]


def test_columns_of_nulls_are_survived(make: Any, tmp_path: Path):
    """A linear model has no features, its data no snr; its test error is measured at the end."""
    null = dict.fromkeys(("snr", "noise", "sparsity", "feature_noise", "power", "width"))
    rows = [
        make.row(
            i,
            i // 2,
            ("adam", "gd")[i % 2],
            model="linear",
            d=(20, 40)[i // 6],
            seed=i // 2 % 3,
            test_error=0.2,
            **null,
        )
        for i in range(12)
    ]
    curves = [
        {"trial": i, "step": step, "train_loss": 1.0} for i in range(12) for step in (0, 10, 100)
    ]
    found = shown(make.write_store(tmp_path / "s", rows, curves))
    assert list(found)[-1] == "curves" and set(found["curves"].table["observable"]) == {
        "train_loss"
    }


def test_optimizers_with_l2_of_their_own_are_compared_on_the_same_data(make: Any, tmp_path: Path):
    """Adam with decay in the gradient, AdamW outside of it: their problems differ, their data do not."""
    sides = [("adam", 1e-5, None, 0.7), ("adamw", 0.0, 0.01, 0.2)]
    rows = [
        make.row(
            10 * seed + k,
            10 * seed + k,
            name,
            seed=seed,
            l2=l2,
            lr=5e-5,
            b1=0.9,
            weight_decay=decay,
            test_error=error + 0.01 * seed,
        )
        for seed in range(4)
        for k, (name, l2, decay, error) in enumerate(sides)
    ]
    section = shown(make.write_store(tmp_path / "s", rows))["paired-adam-adamw"]
    assert section.table["mean"].item() == pytest.approx(0.5)
    assert "There are 4 pairs, and 0 runs without a partner." in section.caption
    assert (
        "Settings that differ: Adam has l2 = 1e-5; adamw has l2 = 0, weight_decay = 0.01. "
        "No step size was chosen by these results." in section.caption
    )


def test_a_decay_of_one_optimizer_alone_has_lines_of_its_own(make: Any, tmp_path: Path):
    """The l2 of Adam is the axis of the map; the decay of AdamW is held there, and said to be."""
    rows = [
        make.row(0, 0, name, seed=seed, l2=l2, weight_decay=decay, batch_size=batch)
        for name, l2, decay in (
            *(("adam", l2, None) for l2 in (1e-5, 1e-3, 0.05)),
            *(("adamw", 0.0, decay) for decay in (0.01, 0.1, 0.5)),
        )
        for batch in (2, 20)
        for seed in range(3)
    ]
    problems = {key: place for place, key in enumerate({(row["l2"], row["seed"]) for row in rows})}
    rows = [
        {
            **row,
            "trial": place,
            "problem": problems[row["l2"], row["seed"]],
            "test_error": 0.1 + (row["weight_decay"] or row["l2"]) + 0.01 * row["seed"],
            "feature": 1.0,
            "noise_min": 0.5,
        }
        for place, row in enumerate(rows)
    ]
    folder = make.write_store(tmp_path / "s", rows, make.bend(rows))
    view = make_view(analysis.load(folder))
    assert (view.x, view.y) == ("l2", "batch_size")
    label = first_upper(kind_label("optimizer", "adamw"))
    assert view.notes == (f"{label} is shown at weight_decay = 0.1, one of 3 values.",)
    assert len(filter_rows(view.all_runs, view.fixed_condition)) == len(view.runs) == 24
    found = shown(folder)
    paired = found["paired-adam-adamw"].table.set_index(["l2", "batch_size"])["mean"]
    assert paired.to_dict() == pytest.approx(
        {(l2, batch): l2 - 0.1 for l2 in (1e-5, 1e-3, 0.05) for batch in (2, 20)}
    )
    own = found["own-weight_decay"].table.set_index(["weight_decay", "batch_size"])["mean"]
    assert own.to_dict() == pytest.approx(
        {(decay, batch): 0.11 + decay for decay in (0.01, 0.1, 0.5) for batch in (2, 20)}
    )
    assert set(found["curves"].table["optimizer"]) == {"adam", "adamw"}


def test_chosen_step_sizes_are_on_the_page(make: Any, tmp_path: Path):
    """By the validation error, where the training loss would have chosen the other end."""
    rows = [
        {
            **row,
            "trial": 3 * row["trial"] + k,
            "lr": lr,
            "train_loss": loss,
            "validation_error": error if row["optimizer"] == "adam" else 0.1,
            "test_error": error,
        }
        for row in make.plane(make.planted, snrs=(0.1, 1.0), alphas=(0.1,))
        for k, (lr, loss, error) in enumerate([(0.1, 0.1, 0.3), (0.2, 0.2, 0.2), (0.4, 0.3, 0.1)])
        if row["optimizer"] == "adam" or k == 0
    ]
    folder = make.write_store(tmp_path / "s", rows)
    view, found = make_view(analysis.load(folder)), shown(folder)
    assert view.notes == (
        "lr was chosen: for each optimizer and cell the value with the smallest mean over its seeds "
        "of the validation error, on points apart from those of the test (Adam over lr = 0.1, 0.2, "
        "0.4). A run that diverged counts as worse than any other. Test data played no part in the "
        "choice. Gradient descent was not tuned: it ran at lr = 0.1 only.",
    )
    chosen = found["step-sizes"]
    assert list(chosen.table)[:3] == ["optimizer", "snr", "lr"]
    assert chosen.table[["optimizer", "snr", "lr", "tried", "edge"]].to_numpy().tolist() == [
        ["adam", snr, 0.4, 3, "largest lr"] for snr in (0.1, 1.0)
    ]
    assert chosen.sentences == [
        "Warning: the lr chosen for Adam is the largest that was tried in 2 of 2 choices; a larger "
        "one may be better."
    ]


def test_optimizers_that_share_no_problem_are_said_to(make: Any, tmp_path: Path):
    rows = [
        make.row(i, i, ("adam", "adamw")[i % 2], seed=i, test_error=0.2, l2=1e-5 * (i % 2))
        for i in range(8)
    ]
    found = shown(make.write_store(tmp_path / "s", rows))
    assert (
        "Adam and adamw were not run on any common problem"
        in found["paired-adam-adamw"].sentences[0]
    )
    assert found["paired-adam-adamw"].figure is None


@pytest.mark.parametrize("optimizers", [("adam",), ("adam", "gd", "sgd")])
def test_one_or_three_optimizers(make: Any, tmp_path: Path, optimizers: tuple[str, ...]):
    found = shown(make.write_store(tmp_path / "s", make.plane(make.planted, optimizers=optimizers)))
    paired = [name for name in found if name.startswith("paired")]
    assert paired == ([] if len(optimizers) == 1 else ["paired-adam-gd", "paired-sgd-gd"])


def test_only_diverged_runs_are_survived(make: Any, tmp_path: Path):
    rows = [{**row, "status": "nonfinite"} for row in make.plane(make.planted, seeds=2)]
    found = shown(make.write_store(tmp_path / "s", rows, make.bend(rows)))
    assert "both finite" in found["paired-adam-gd"].sentences[0] and len(found) == 6


def test_other_axes_are_fixed_and_said(make: Any, tmp_path: Path):
    rows = make.plane(make.planted)
    more = [
        {**row, "trial": row["trial"] + 10_000, "problem": row["problem"] + 1000, "n": 40}
        for row in rows
    ]
    folder = make.write_store(tmp_path / "s", rows + more)
    page = Page(
        analysis.report(folder, x="snr", y="feature_noise", condition="seed < 2").read_text(
            encoding="utf-8"
        )
    )
    assert "Shown at n = 40, one of 2 values that were run." in page.text
    assert "Only runs with seed < 2." in page.text
    assert "report " + str(folder) + " --x snr --y feature_noise --where 'seed < 2'" in page.text


def test_markup_in_a_grid_stays_text(make: Any, tmp_path: Path):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    (folder / "grid.yaml").write_text("# <script>alert(1)</script>\nname: <b>bold</b>\n")
    page = Page(analysis.report(folder).read_text(encoding="utf-8"))
    assert not page.all("script") and not page.all("b") and "<b>bold</b>" in page.text


def worded(panel: dict[str, Any], row: int, column: int) -> str:
    """What the page's script makes of a cell."""
    place = row * len(panel["columns"]) + column
    whole = {name: panel[name] for name in ("digits", "mean", "below", "above")}
    told = {name: each[place] if isinstance(each, list) else each for name, each in whole.items()}
    if told["mean"] is None:
        return "none"

    def text(whole: int) -> str:
        return f"{whole / 10 ** told['digits']:.{told['digits']}f}"

    mean = text(told["mean"])
    if told["below"] is None:
        return mean
    if told["below"] == told["above"] == 0:
        return f"{mean} (all seeds alike)"
    return f"{mean} [{text(told['mean'] - told['below'])}, {text(told['mean'] + told['above'])}]"


def test_numbers_are_those_of_the_sentences_to_the_digit(make: Any, rng: np.random.Generator):
    snrs, alphas = np.geomspace(0.01, 10, 12).tolist(), np.linspace(0.1, 0.9, 10).tolist()
    scale = {snr: 10.0 ** rng.integers(-6, 4) for snr in snrs}
    rows = make.plane(lambda o, snr, a, k: float(scale[snr] * rng.normal()), snrs, alphas, seeds=3)
    runs = make.runs([row for row in rows if row["seed"] == 0 or row["snr"] > 0.02])
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    panels = tooltip_data(analysis.phase_diagram(cells), cells)
    assert [panel["name"] for panel in panels] == ["Adam", "gradient descent"]
    for cell in cells.itertuples():
        panel = panels[["adam", "gd"].index(str(cell.optimizer))]
        told = worded(panel, alphas.index(cell.feature_noise), snrs.index(cell.snr))
        assert told == re.sub(
            r"-(?=[0.]+(?![0-9.]))", "", format_interval(cell.mean, cell.low, cell.high)
        ), cell  # no -0.00


def test_cells_lie_where_the_figure_draws_them(make: Any):
    """Rows grow upwards: the first row is the lowest, and its place from above the largest."""
    cells = Cells("snr", "feature_noise", "difference")(
        PairedGap("adam", "gd")(make.runs(make.plane(make.planted)))
    )
    figure = analysis.phase_diagram(cells)
    (panel,) = tooltip_data(figure, cells)
    assert panel["x"] == pytest.approx([1 / 6, 1 / 2, 5 / 6], abs=1e-4) and panel["y"] == [
        0.75,
        0.25,
    ]
    assert panel["columns"] == ["snr = 0.1", "snr = 0.3", "snr = 1"]
    assert panel["rows"] == ["feature_noise = 0.1", "feature_noise = 0.2"]
    box = figure.axes[0].get_position()
    assert panel["bounds"] == pytest.approx([box.x0, 1 - box.y1, box.width, box.height], abs=1e-5)
    assert panel["signed"] and not panel["lines"] and panel["count"] == 4 and panel["missing"] == 0


def test_what_is_not_there_is_null(make: Any):
    rows = [
        row for row in make.plane(make.planted) if (row["snr"], row["feature_noise"]) != (1.0, 0.2)
    ][:-1]
    rows[0]["status"] = "nonfinite"
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(make.runs(rows))
    adam, gd = tooltip_data(analysis.phase_diagram(cells), cells)
    assert adam["count"] == [3, 4, 4, 4, 4, None] and adam["nonfinite"] == [1, 0, 0, 0, 0, None]
    assert gd["count"] == [4, 4, 3, 4, 4, None] and gd["missing"] == [0, 0, 1, 0, 0, None]
    assert gd["mean"][-1] is None and gd["below"][-1] is None


def test_an_infinite_end_leaves_the_other_one(make: Any):
    """The interval of a median has no upper end where half of the runs hit the cap on steps."""
    cells = Cells("snr", "feature_noise", "test_error")(
        make.runs(make.plane(make.planted, optimizers=("gd",)))
    )
    cells = cells.assign(mean=60.0, low=55.5, high=[math.inf, 70.0] + 4 * [math.nan])
    cells["low"] = cells["low"].where(cells["high"].notna())
    (panel,) = tooltip_data(analysis.phase_diagram(cells), cells)
    told = [
        [panel[name][place] for name in ("digits", "mean", "below", "above")] for place in (0, 3, 1)
    ]
    assert told == [[1, 600, 45, None], [1, 600, 45, 100], [3, 60_000, None, None]]


def test_points_of_lines_lie_on_their_lines(make: Any):
    rows = [
        row for row in make.plane(make.planted) if (row["optimizer"], row["snr"]) != ("gd", 0.3)
    ]
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(make.runs(rows))
    figure = analysis.gap_figure(cells)
    panels = tooltip_data(figure, cells)
    assert [panel["name"] for panel in panels] == ["feature_noise = 0.1", "feature_noise = 0.2"]
    for ax, panel in zip(figure.axes, panels, strict=True):
        assert panel["lines"] and panel["rows"] == ["Adam", "gradient descent"]
        assert panel["x"] == pytest.approx(
            [1 / 22, (1 + 20 * math.log(3) / math.log(10)) / 22, 21 / 22], abs=1e-4
        )
        low, high = ax.get_ylim()
        expected = [1 - (mean - low) / (high - low) for mean in (0.518, 0.518, 0.018, 0.015, 0.015)]
        assert [each for each in panel["y"] if each is not None] == pytest.approx(
            expected, abs=2e-4
        )
        assert panel["y"][4] is None and panel["mean"][4] is None and panel["count"][4] is None


def test_curves_have_a_panel_an_observable(store: Any):
    bands = Bands()(analysis.load_curves(store).query("snr == 0.1 and feature_noise == 0.1"))
    panels = tooltip_data(analysis.curves_figure(bands), bands)
    assert [panel["name"] for panel in panels] == ["feature learning", "noise memorization"]
    assert panels[0]["columns"] == ["step = 0", "step = 1", "step = 10", "step = 100"]
    assert worded(panels[0], 0, 3) == "-0.200 (all seeds alike)"


def test_a_level_without_an_axis_is_no_point(make: Any):
    """Gradient descent has no momentum: its level spans the panel and has no x."""
    rows = [
        {**row, "b1": row["snr"] if row["optimizer"] == "adam" else None}
        for row in make.plane(make.planted)
    ]
    runs = make.runs(
        [{**row, "snr": 1.0, "noise": 1.0} for row in rows if row["feature_noise"] == 0.1]
    )
    runs = runs[(runs["optimizer"] == "adam") | (runs["problem"] < 4)]
    cells = Cells("b1", None, "test_error", "optimizer")(runs)
    (panel,) = tooltip_data(analysis.gap_figure(cells), cells)
    assert panel["rows"] == ["Adam"] and len(panel["columns"]) == 3


def test_a_large_map_stays_small(make: Any, rng: np.random.Generator):
    """100 x 100 cells in two panels: 224 kB, where the CSV file has 2.3 MB."""
    snrs, alphas = np.geomspace(0.01, 10, 100), np.linspace(0.1, 0.9, 100)
    keys = pd.MultiIndex.from_product(
        [["adam", "gd"], snrs, alphas], names=["optimizer", "snr", "feature_noise"]
    )
    mean, half = rng.uniform(0, 1, len(keys)), rng.uniform(0.01, 0.1, len(keys))
    told = {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "count": 8,
        "nonfinite": 0,
        "expected": 8,
    }
    cells = keys.to_frame(index=False).assign(**told, incomplete=False)
    cells.attrs = {"x": "snr", "y": "feature_noise", "facet": "optimizer", "level": 0.95}
    cells.attrs |= {"of": "test_error", "column": "test_error"}
    panels = tooltip_data(analysis.phase_diagram(cells), cells)
    assert [len(panel["mean"]) for panel in panels] == [10_000, 10_000] and panels[0]["count"] == 8
    assert len(set(panels[0]["columns"])) == 100
    assert len(json.dumps(panels, separators=(",", ":"))) < 300_000


def test_a_figure_of_something_else_is_silent(make: Any):
    """A page that told other numbers than it draws would be worse than one that tells none."""
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(
        make.runs(make.plane(make.planted))
    )
    for draw in (analysis.phase_diagram, analysis.gap_figure):
        assert (
            tooltip_data(draw(cells), cells)
            and tooltip_data(draw(cells.assign(mean=cells["mean"] / 2)), cells) == []
        )
    assert (
        tooltip_data(None, cells) == []
        and tooltip_data(analysis.phase_diagram(cells), cells.drop(columns="count")) == []
    )


@pytest.mark.parametrize("heading", ["name: 2024-02-30", "name: x\ndescription: 2024-13-45"])
def test_a_heading_like_a_date_is_text(make: Any, tmp_path: Path, heading: str):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    (folder / "grid.yaml").write_text(heading)
    text = analysis.report(folder).read_text()
    assert heading.rpartition(": ")[2] in text.partition("</header>")[0]


def test_split_and_collapsed_cells_are_told_as_such(make: Any, tmp_path: Path):
    """Adam's weights are 0 at snr = 0.1; at 0.3 three of eight seeds fail."""

    def error(optimizer: str, snr: float, alpha: float, seed: int) -> float:
        if optimizer == "gd":
            return 0.02 + 0.001 * seed
        return {0.1: 1.0, 0.3: 0.48 * (seed < 3), 1.0: 0.0}[snr]

    rows = make.plane(error, seeds=8)
    for row in rows:
        row["weight_norm"] = float(row["optimizer"] == "gd" or row["snr"] > 0.2)
    found = shown(make.write_store(tmp_path / "s", rows))
    told = found["phase-test_error"].sentences
    assert any("Most networks of Adam collapsed in 2 cells" in sentence for sentence in told)
    assert not any("gd collapsed" in sentence for sentence in told)
    assert "collapsed in 2 cells" in " ".join(found["paired-adam-gd"].sentences)
    assert found["modes"].table["seeds"].tolist() == [5, 3] * 2
    (sentence,) = found["modes"].sentences
    assert "at snr = 0.3" in sentence and "near 0 in 5 and near 0.48 in 3" in sentence
    cells = found["phase-test_error"].table
    assert set(cells.loc[cells["optimizer"] == "adam", "interval"]) == {"mid-p"}
    assert set(cells.loc[cells["optimizer"] == "gd", "interval"]) == {"student"}
