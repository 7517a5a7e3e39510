"""The page in a real browser: mouse, touch and keyboard, on a phone, in dark mode, in print."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from PIL import Image

import analysis
from analysis.tables.labels import format_interval

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PROGRAM = next(filter(None, map(shutil.which, BROWSERS)), None)
SNRS, ALPHAS = (0.1, 0.3, 1.0), (0.1, 0.2)

driver = pytest.importorskip(
    "playwright.sync_api", reason="There is no playwright: pip install '.[test]'."
)
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        PROGRAM is None, reason=f"There is none of {', '.join(BROWSERS)} on the PATH."
    ),
]


def error(optimizer: str, snr: float, alpha: float, seed: int) -> float:
    """Another mean in each cell, so that its colour tells which it is."""
    k = 2 * SNRS.index(snr) + ALPHAS.index(alpha)
    return (0.44 - 0.04 * k if optimizer == "adam" else 0.2 - 0.03 * k) + 0.004 * seed


CONTRASTS = """
() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => numbers(colour).slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, i) => sum + each * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    const colour = element ? getComputedStyle(element).backgroundColor : "rgb(255, 255, 255)";
    return numbers(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  const found = {};
  [...document.body.querySelectorAll("*")].forEach((element, i) => {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) return;
    const pair = [light(getComputedStyle(element).color), light(behind(element))];
    pair.sort((a, b) => b - a);
    found[i + " " + element.tagName] = (pair[0] + 0.05) / (pair[1] + 0.05);
  });
  return found;
}
"""
"""The contrast of each element that has text with its background (WCAG 2)."""


@pytest.fixture(scope="module")
def folder(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with an empty cell at snr = 1, feature_noise = 0.2, a missing and a diverged run."""
    rows = [
        row
        for row in make.plane(error, SNRS, ALPHAS)
        if (row["snr"], row["feature_noise"]) != (1.0, 0.2)
    ]
    rows[0]["status"] = "nonfinite"
    lacking = [
        row for row in rows if (row["snr"], row["feature_noise"], row["seed"]) != (0.3, 0.1, 3)
    ]
    store = make.write_store(
        tmp_path_factory.mktemp("browser") / "s", lacking, make.bend(lacking), trials=48
    )
    return analysis.report(store).parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Any]:
    """Opens the page in a fresh profile with these settings."""
    contexts = []

    def opened(file: Path = folder / "index.html", **settings: Any) -> Page:
        context = browser.new_context(**settings)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def figure(page: Page, name: str) -> Any:
    return page.locator(f"section[aria-labelledby='{name}'] figure")


def readout(page: Page, name: str) -> str:
    return figure(page, name).locator("output").inner_text()


def panels(page: Page, name: str) -> list[dict[str, Any]]:
    return json.loads(figure(page, name).locator("script").text_content())


def places(
    page: Page, name: str, within: tuple[float, float] = (0.5, 0.5)
) -> Iterator[tuple[str, float, float]]:
    """The cells of a map, row by row from below: name of the panel and position on the page."""
    box = figure(page, name).locator("img").bounding_box()
    for panel in panels(page, name):
        left, top, width, height = panel["bounds"]
        down, across = len(panel["rows"]), len(panel["columns"])
        for row in range(down):
            for column in range(across):
                u = left + width * (column + within[0]) / across
                v = top + height * (1 - (row + within[1]) / down)
                yield panel["name"], box["x"] + u * box["width"], box["y"] + v * box["height"]


def told(folder: Path, name: str, **cell: Any) -> str:
    """Mean and interval of a cell by its CSV file."""
    table = pd.read_csv(folder / "figures" / f"{name}.csv")
    kept = table[np.logical_and.reduce([table[key] == value for key, value in cell.items()])]
    return format_interval(
        *kept[["mean", "low", "high"]].iloc[0], "+" if name.startswith("paired") else ""
    )


def test_nothing_is_loaded_and_nothing_goes_wrong(browser: Browser, folder: Path):
    context = browser.new_context()
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda problem: wrong.append(str(problem)))
    page.goto((folder / "index.html").as_uri())
    for _, x, y in places(page, "phase-test_error"):
        page.mouse.move(x, y)
    shown = page.evaluate(
        "[...document.images].map(image => image.complete && image.naturalWidth > 100)"
    )
    context.close()
    assert len(shown) >= 5 and all(shown)
    assert [url for url in asked if not url.startswith("data:")] == [
        (folder / "index.html").as_uri()
    ]
    assert wrong == []


def test_the_pointer_reads_the_number_whose_colour_is_under_it(visit: Any, folder: Path):
    page = visit(viewport={"width": 1200, "height": 4000})
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), float)
    read = {}
    for name, x, y in places(
        page, "phase-test_error", (0.12, 0.2)
    ):  # beside the number that stands in the cell
        page.mouse.move(x, y)
        read[name, x, y] = readout(page, "phase-test_error")
    assert len(set(read.values())) == 12
    for (name, x, y), text in read.items():
        pixel = picture[round(y), round(x)]
        if text.endswith("no run"):
            assert text == f"snr = 1, feature_noise = 0.2, {name}: no run"
            assert pixel == pytest.approx([0.85 * 255] * 3, abs=3)
        elif "missing" not in text and "without" not in text:  # these are hatched
            mean = float(re.search(r": (\S+) \[", text)[1])  # type: ignore[index]
            assert pixel == pytest.approx(
                255 * np.array(colormaps["cividis"](mean / 0.5)[:3]), abs=4
            ), text
    mean = told(folder, "phase-test_error", optimizer="adam", snr=0.1, feature_noise=0.2)
    assert f"snr = 0.1, feature_noise = 0.2, Adam: {mean}, 4 seeds" in read.values()
    assert mean.startswith("0.406")


def test_cells_say_what_is_missing_and_what_diverged(visit: Any, folder: Path):
    page = visit(viewport={"width": 1200, "height": 4000})
    cell = [(x, y) for _, x, y in places(page, "paired-adam-gd")]
    page.mouse.move(*cell[0])
    broken = told(folder, "paired-adam-gd", snr=0.1, feature_noise=0.1)
    expected = f"snr = 0.1, feature_noise = 0.1: {broken}, 3 seeds; 1 without a finite value"
    assert readout(page, "paired-adam-gd") == expected
    page.mouse.move(*cell[1])
    short = told(folder, "paired-adam-gd", snr=0.3, feature_noise=0.1)
    assert readout(page, "paired-adam-gd").endswith(f": {short}, 3 seeds; 1 still missing")
    # three seeds that agree leave much open
    assert short.startswith("+0.22 [-0.5")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"mean": 531, "below": 40, "above": 41, "signed": True}, "+0.531 [0.491, 0.572], 8 seeds"),
        ({"mean": -12, "below": 5, "above": 5, "signed": True}, "-0.012 [-0.017, -0.007], 8 seeds"),
        ({"mean": 600, "below": 40, "above": None, "digits": 0}, "600 [560, ∞], 8 seeds"),
        ({"mean": 500, "below": None, "above": None, "count": 1}, "0.500, 1 seed"),
        ({"mean": None, "count": 0, "nonfinite": 8}, "no finite value, 8 runs"),
        ({"mean": 180, "modes": 2}, "0.180, 8 seeds; its seeds split into 2 modes"),
    ],
)
def test_the_script_finds_the_words(visit: Any, cell: dict[str, Any], words: str):
    panel = {
        "name": "gd",
        "columns": ["snr = 1"],
        "rows": ["n = 9"],
        "digits": 3,
        "below": None,
        "above": None,
    }
    panel |= {"signed": False, "count": 8, "nonfinite": 0, "missing": 0, **cell}
    assert (
        visit().evaluate("panel => describe(panel, 0, 0)", panel) == f"snr = 1, n = 9, gd: {words}"
    )


def test_the_keyboard_steps_through_cells_and_panels(visit: Any):
    page = visit()
    region = figure(page, "phase-test_error").locator(".paper")
    region.focus()
    read = []
    for key in (
        "ArrowRight",
        "ArrowUp",
        "ArrowUp",
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
        "ArrowDown",
        "ArrowLeft",
    ):
        page.keyboard.press(key)
        read.append(readout(page, "phase-test_error").split(":")[0])
    assert read == [
        "snr = 0.1, feature_noise = 0.1, Adam",
        "snr = 0.1, feature_noise = 0.2, Adam",
        "snr = 0.1, feature_noise = 0.2, Adam",
        "snr = 0.3, feature_noise = 0.2, Adam",
        "snr = 1, feature_noise = 0.2, Adam",
        "snr = 0.1, feature_noise = 0.2, gradient descent",
        "snr = 0.1, feature_noise = 0.1, gradient descent",
        "snr = 1, feature_noise = 0.1, Adam",
    ]
    mark = region.locator(".mark").bounding_box()
    _, x, y = list(places(page, "phase-test_error"))[2]
    assert (
        abs(mark["x"] + mark["width"] / 2 - x) < 1.5
        and abs(mark["y"] + mark["height"] / 2 - y) < 1.5
    )
    assert (
        page.evaluate("document.activeElement.getAttribute('aria-label')") == "Figure: Test error"
    )


def test_a_finger_reads_lines(visit: Any, folder: Path):
    page = visit(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    image = figure(page, "curves").locator("img")
    image.scroll_into_view_if_needed()
    box, panel = image.bounding_box(), panels(page, "curves")[0]
    left, top, width, height = panel["bounds"]
    last, gd = len(panel["columns"]) - 1, panel["rows"].index("gradient descent")
    place = panel["y"][gd * len(panel["columns"]) + last]
    x, y = left + width * panel["x"][last], top + height * place
    figure(page, "curves").locator(".paper").evaluate(
        "(region, x) => region.scrollLeft = x", x * box["width"] - 100
    )
    box = image.bounding_box()
    page.touchscreen.tap(box["x"] + x * box["width"] - 3, box["y"] + y * box["height"] + 3)
    mean = told(folder, "curves", optimizer="gd", step=100, observable="feature")
    assert (
        readout(page, "curves")
        == f"step = 100, gradient descent, feature learning: {mean}, 4 seeds"
    )


def test_without_scripts_all_is_there(visit: Any):
    page = visit(java_script_enabled=False)
    assert "Adam's test error exceeds gradient descent's" in page.locator(".findings").inner_text()
    assert not page.locator("output").first.is_visible()
    assert all(image.is_visible() for image in page.locator("img").all())
    numbers = page.locator("section[aria-labelledby='paired-adam-gd'] details")
    numbers.locator("summary").click()
    assert numbers.locator("td").first.is_visible() and numbers.locator("tbody tr").count() == 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_legibly(visit: Any, scheme: str):
    page = visit(viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100 and min(contrasts.values()) >= 4.5
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    assert dark == (scheme == "dark")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.paper')).backgroundColor")
        == "rgb(255, 255, 255)"
    )


def test_paper_has_all_short_tables_and_no_cut_figure(visit: Any):
    # A4 within its margins
    page = visit(viewport={"width": 703, "height": 1032}, color_scheme="dark")
    page.emulate_media(media="print")
    seen = page.evaluate("""[...document.querySelectorAll("tbody")].map(each =>
        [each.rows.length, each.checkVisibility()])""")
    assert {visible for rows, visible in seen if rows <= 20} == {True}
    assert not page.evaluate("""() => {
        const details = document.querySelector("details:has(tbody)");
        details.classList.add("long");  // as one of more rows
        const seen = details.checkVisibility();
        details.classList.remove("long");
        return seen;
    }""")
    assert page.evaluate("""[...document.querySelectorAll("img, table, svg")].every(each =>
        !each.checkVisibility() || each.getBoundingClientRect().right <= innerWidth + 1)""")
    link = page.evaluate(
        "getComputedStyle(document.querySelector('a[data-file$=csv]'), '::after').content"
    )
    assert "figures/paired-adam-gd.csv" in link
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # The numbers of long tables are in files that the paper names; it has six sheets at most.
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) <= 6


def test_names_headings_and_alternatives_are_there(visit: Any):
    page = visit()
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(each => Number(each.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1 and max(np.diff(levels)) <= 1
    assert all(len(image.get_attribute("alt")) > 40 for image in page.locator("img").all())
    stops = page.evaluate(
        "[...document.querySelectorAll('[tabindex]')].map(each => each.getAttribute('aria-label'))"
    )
    assert all(stops) and len(set(stops)) == len(stops)
    found = page.evaluate(
        "[...document.querySelectorAll('nav a')]"
        ".map(a => !!document.getElementById(a.hash.slice(1)))"
    )
    assert all(found) and len(found) == page.locator("h2").count() - 1  # all but the findings
    assert page.get_by_role("application", name="Figure: Test error", exact=True).count() == 1


def test_a_page_sent_alone_gives_its_tables(visit: Any, folder: Path, tmp_path: Path):
    alone = tmp_path / "mail.html"
    shutil.copy(folder / "index.html", alone)
    page = visit(alone)
    with page.expect_download() as download:
        page.locator("a[download='paired-adam-gd.csv']").click()
    assert (
        Path(download.value.path()).read_bytes()
        == (folder / "figures" / "paired-adam-gd.csv").read_bytes()
    )
