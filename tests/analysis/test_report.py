"""The page: self-contained, honest about what is missing, and right."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis
from analysis.exhibits import Exhibit, exhibits
from analysis.view import view

VOID = {"meta", "img", "br", "link", "input", "hr"}


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
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def incomplete(make: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    rows = make.plane(make.planted)
    rows[0]["status"] = "nonfinite"
    folder = make.write_store(tmp_path_factory.mktemp("report") / "s", rows[:-2], make.bend(rows), trials=48)
    page = analysis.report(folder)
    assert page == folder / "report" / "index.html"
    return folder, Page(page.read_text(encoding="utf-8"))


def test_the_page_loads_nothing(incomplete: tuple[Path, Page]):
    folder, page = incomplete
    links = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    local = [link for link in links if link and not link.startswith("data:")]
    assert len(local) > 10 and all((folder / "report" / link).is_file() for link in local)
    assert "://" not in (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not page.all("script") and not page.all("link")


def test_what_is_missing_is_said_first(incomplete: tuple[Path, Page]):
    _, page = incomplete
    assert page.text.index("INCOMPLETE: 2 of 48 trials are missing") < page.text.index("What came out")
    assert "1 cells lack runs; 1 cells have runs without a finite value" in page.text


def test_the_sentences_are_right(incomplete: tuple[Path, Page]):
    _, page = incomplete
    assert "adam's test error exceeds gd's by more than 0.4 in 4 of 6 cells" in page.text
    assert "is +0.5040 [0.4990, 0.5090] (over 3 seeds), at snr = 0.1, feature_noise = 0.1" in page.text
    assert "Of 6 cells, a mean test error of at most 0.05: adam in 2, gd in 6; both in 2." in page.text
    assert "Training error 0: adam in 23 of 23 runs, gd in 23 of 23 runs." in page.text


def test_question_setting_and_provenance_are_there(incomplete: tuple[Path, Page]):
    folder, page = incomplete
    assert "Does Adam generalize worse than gradient descent?" in page.text
    assert "seed: {range: [0, 4]}" in page.text and "versions.jax" in page.text
    assert f"python -m sweep.run {folder}/grid.yaml --out {folder}" in page.text
    assert f"python -m analysis report {folder}" in page.text


def test_the_page_is_accessible(incomplete: tuple[Path, Page]):
    _, page = incomplete
    images = page.all("img")
    assert len(images) == 5 and all(len(image["alt"] or "") > 40 for image in images)
    counted = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert max(counted.values()) == 1
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} <= set(counted)
    assert page.all("html") == [{"lang": "en"}] and any(meta.get("name") == "viewport" for meta in page.all("meta"))


def test_every_figure_has_its_table(incomplete: tuple[Path, Page]):
    folder, _ = incomplete
    names = {path.stem for path in (folder / "report" / "figures").glob("*.pdf")}
    assert names == {
        *("paired-adam-gd", "phase-test_error", "phase-generalization_gap", "lines-generalization_gap", "curves")
    }
    for name in names:
        assert (folder / "report" / "figures" / f"{name}.png").is_file()
    cells = pd.read_csv(folder / "report" / "figures" / "paired-adam-gd.csv")
    assert cells["mean"].max() == pytest.approx(0.504) and cells["nonfinite"].sum() == 1


def shown(folder: Path) -> dict[str, Exhibit]:
    return {each.name: each for each in exhibits(folder, view(analysis.load(folder)), 0.95)}


def test_curves_are_those_of_the_most_telling_cell(incomplete: tuple[Path, Page]):
    folder, _ = incomplete
    caption = shown(folder)["curves"].caption
    assert caption.startswith(
        "At snr = 0.1, feature_noise = 0.1, the cell with the largest paired difference, adam minus gd."
    )


def test_nothing_but_seeds_gives_a_table_and_curves(make: Any, tmp_path: Path):
    rows = make.plane(make.planted, snrs=(0.1,), alphas=(0.1,))
    found = shown(make.write_store(tmp_path / "s", rows, make.bend(rows)))
    assert list(found) == ["paired-adam-gd", "means", "curves"]
    assert found["paired-adam-gd"].said == [
        "adam minus gd, paired: the test error differs by +0.5030 [0.4989, 0.5071] (over 4 seeds)."
    ]
    table = found["means"].table.set_index("mean over seeds")
    assert table.loc["test_error", "gd"] == "0.015 [-0.006, 0.036]"
    assert table.loc["test_error", "adam - gd, paired"] == "0.5030 [0.4989, 0.5071]"
    assert found["means"].figure is None


def test_one_axis_gives_lines(make: Any, tmp_path: Path):
    found = shown(make.write_store(tmp_path / "s", make.plane(make.planted, alphas=(0.1,))))
    assert list(found) == ["paired-adam-gd", "lines-test_error", "lines-generalization_gap"]


def test_columns_of_nulls_are_survived(make: Any, tmp_path: Path):
    """A linear model has no features and its data no signal-to-noise ratio; its test error is measured at the end."""
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
    curves = [{"trial": i, "step": step, "train_loss": 1.0} for i in range(12) for step in (0, 10, 100)]
    found = shown(make.write_store(tmp_path / "s", rows, curves))
    assert list(found)[-1] == "curves" and set(found["curves"].table["observable"]) == {"train_loss"}


def test_optimizers_that_share_no_problem_are_said_to(make: Any, tmp_path: Path):
    rows = [make.row(i, i, ("adam", "adamw")[i % 2], seed=i // 2, test_error=0.2, l2=1e-5 * (i % 2)) for i in range(8)]
    found = shown(make.write_store(tmp_path / "s", rows))
    assert "adam and adamw were run on no common problem" in found["paired-adam-adamw"].said[0]
    assert found["paired-adam-adamw"].figure is None


@pytest.mark.parametrize("optimizers", [("adam",), ("adam", "gd", "sgd")])
def test_one_or_three_optimizers(make: Any, tmp_path: Path, optimizers: tuple[str, ...]):
    found = shown(make.write_store(tmp_path / "s", make.plane(make.planted, optimizers=optimizers)))
    paired = [name for name in found if name.startswith("paired")]
    assert paired == ([] if len(optimizers) == 1 else ["paired-adam-gd", "paired-sgd-gd"])


def test_only_diverged_runs_are_survived(make: Any, tmp_path: Path):
    rows = [{**row, "status": "nonfinite"} for row in make.plane(make.planted, seeds=2)]
    found = shown(make.write_store(tmp_path / "s", rows, make.bend(rows)))
    assert "both finite" in found["paired-adam-gd"].said[0] and len(found) == 5


def test_other_axes_are_fixed_and_said(make: Any, tmp_path: Path):
    rows = make.plane(make.planted)
    more = [{**row, "trial": row["trial"] + 10_000, "problem": row["problem"] + 1000, "n": 40} for row in rows]
    folder = make.write_store(tmp_path / "s", rows + more)
    page = Page(analysis.report(folder, x="snr", y="feature_noise", condition="seed < 2").read_text(encoding="utf-8"))
    assert "Shown at n = 40, one of 2 values that were run." in page.text
    assert "Only runs with seed < 2." in page.text
    assert "report " + str(folder) + " --x snr --y feature_noise --where 'seed < 2'" in page.text


def test_markup_in_a_grid_stays_text(make: Any, tmp_path: Path):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    (folder / "grid.yaml").write_text("# <script>alert(1)</script>\nname: <b>bold</b>\n")
    page = Page(analysis.report(folder).read_text(encoding="utf-8"))
    assert not page.all("script") and not page.all("b") and "<b>bold</b>" in page.text
