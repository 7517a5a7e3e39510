"""One page that tells what a sweep found, with every figure and the table behind it as files."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from analysis.figures.style import save
from analysis.reporting.definitions import training_setting
from analysis.reporting.section import Section
from analysis.reporting.sections import report_sections
from analysis.reporting.tooltips import tooltip_data
from analysis.reporting.view import make_view
from analysis.tables.axes import filter_rows, sorted_unique
from analysis.tables.labels import completeness_sentence, fit_sentence, format_number
from analysis.tables.load import Folder, load, part_files, read_manifest
from sweep.schema import RUNS
from sweep.status import Status

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template

ROWS, INLINE = 400, 200_000
"""Most rows of a table that stands on the page, and most bytes of a CSV file that it carries; longer ones are files."""

GLOSSARY = {
    "test_error": (
        "Test error",
        "Share of fresh points that a network gets wrong. Guessing gives 0.5; more than that means that the network "
        "has learned the opposite of the feature.",
    ),
    "generalization_gap": ("Generalization gap", "Test error minus training error: how much worse on fresh points."),
    "snr": (
        "Signal-to-noise ratio (snr)",
        "Length of the feature, which is in all points of a class, over the typical length of the noise of a point.",
    ),
    "feature_noise": (
        "Feature noise α",
        "How much of the feature the noise patch takes away again: it holds minus α times the feature.",
    ),
    "margin_l2": (
        "l2 and l-infinity margin",
        "The smallest y F(x) over the training points, over the Euclidean norm of the weights or over the largest "
        "weight. Gradient descent is known to approach the largest l2 margin, Adam without eps the largest l-infinity "
        "margin.",
    ),
    "feature": (
        "Feature learning",
        "How strongly the filters point along the true feature, in the weaker class. Below 0 they point against it.",
    ),
    "noise_min": (
        "Noise memorization",
        "How strongly the filters point along the noise of the training points, at the point where it is weakest.",
    ),
}
"""Words of the page by the column that they are about."""


def report(
    folder: Folder,
    x: str | None = None,
    y: str | None = None,
    condition: str | None = None,
    confidence: float = 0.95,
    level: float = 0.25,
) -> Path:
    """Write DIR/report/index.html, a page that loads nothing, and DIR/report/figures with PDF, PNG and CSV of each.

    `x` and `y` are chosen from what varies unless given; `condition` is a pandas query that limits the runs; `level` is
    the test error whose boundary is looked for.
    Returns the path of the page. Raises StoreError where the folder cannot be read, SweepError on a bad condition.
    """
    runs, folder = load(folder), Path(folder)
    shown = make_view(filter_rows(runs, condition), x, y)
    found = list(report_sections(folder, shown, confidence, level))
    page = folder / "report" / "index.html"
    entries = [_entry(each, page.parent / "figures") for each in found]
    text = _template().render(
        **_setting(folder),
        state=completeness_sentence(runs),
        incomplete=runs.attrs["complete"] is False,
        condition=condition,
        notes=shown.notes,
        said=[
            *(sentence for each in found if each.headline for sentence in each.said),
            fit_sentence(shown.runs, shown.keys),
        ],
        defined=training_setting(runs),
        percent=f"{100 * confidence:g}",
        chance=f"{100 - 100 * confidence:.3g}",
        glossary=dict(words for name, words in GLOSSARY.items() if name in runs and runs[name].notna().any()),
        statuses=_statuses(runs),
        meanings={status.label: status.sentence for status in ENDED},
        exhibits=entries,
        optimizers=list(sorted_unique(runs, "optimizer")),
        commands=_commands(folder, _options(x, y, condition, confidence, level)),
    )
    page.write_text(text, encoding="utf-8")
    return page


def _options(x: str | None, y: str | None, condition: str | None, confidence: float, level: float) -> dict[str, Any]:
    given = {"--x": x, "--y": y, "--where": condition, "--confidence": _other(confidence, 0.95)}
    return {**given, "--level": _other(level, 0.25)}


ENDED = [status for status in Status if status is not Status.RUNNING]


def _template() -> Template:
    from jinja2 import Environment

    text = resources.files("analysis.reporting").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment.from_string(text)


def _entry(exhibit: Section, folder: Path) -> dict[str, Any]:
    """What the page shows of an exhibit, whose files are written on the way."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / exhibit.name
    told = {name: getattr(exhibit, name) for name in ("name", "title", "caption", "wide")}
    told |= {
        "said": [] if exhibit.headline else exhibit.said,
        "csv": _csv(exhibit.table, Path(f"{path}.csv")),
        "table": _rows(exhibit.table),
    }
    if exhibit.figure is None:
        return told
    save(exhibit.figure, f"{path}.pdf", f"{path}.png", f"{path}.svg")
    # An image cannot clash with the ids of other figures, as inline SVG would.
    image = base64.b64encode(Path(f"{path}.svg").read_bytes()).decode()
    told |= {"image": f"data:image/svg+xml;base64,{image}", "alt": exhibit.alt}
    return told | {"panels": tooltip_data(exhibit.figure, exhibit.shown)}


def _csv(table: pd.DataFrame, path: Path) -> str:
    """Write a table; a link to it that works without the file where it is short enough."""
    table.to_csv(path, index=False)
    data = f"data:text/csv;charset=utf-8,{quote(path.read_bytes(), safe=',')}"
    return data if len(data) <= INLINE else f"{path.parent.name}/{path.name}"


def _setting(folder: Path) -> dict[str, Any]:
    """Name, question (the grid's description), the comment that opens the grid, grids and provenance of a store."""
    grids = {path.name: path.read_text(encoding="utf-8") for path in _grids(folder)}
    first = grids.get("grid.yaml", "")
    top = _top_level(first)
    opening = re.match(r"(?:[ \t]*(?:#.*)?\n)*", first)
    comments = re.findall(r"^[ \t]*#[ \t]?(.*)", opening.group() if opening else "", re.MULTILINE)
    made = read_manifest(folder)
    return {
        "name": str(top.get("name") or folder.resolve().name),
        "question": str(top.get("description") or ""),
        "comment": " ".join(comments),
        "grids": grids,
        "provenance": _provenance(folder, made),
        "manifest": json.dumps(made, indent=2, ensure_ascii=False) if made else "",
    }


def _grids(folder: Path) -> list[Path]:
    return sorted(folder.glob("grid*.yaml"))


def _provenance(folder: Path, made: Mapping[str, Any]) -> dict[str, str]:
    """What made the rows and when, as far as the store says."""
    last = datetime.fromtimestamp(max(path.stat().st_mtime for path in part_files(folder, RUNS)), UTC).replace(
        microsecond=0
    )
    info = made.get("info")
    known = {name: made[name] for name in ("dtype", "platform", "versions") if name in made}
    known |= {str(name): value for name, value in info.items() if name != "store"} if isinstance(info, Mapping) else {}
    told = {name: _told(value) for name, value in known.items()} | {"last rows written": last.isoformat()}
    return told | ({"from start to last rows": str(last - began)} if (began := _when(known.get("started"))) else {})


def _when(text: Any) -> datetime | None:
    """A time as the manifest words it, None where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _told(value: Any) -> str:
    """A JSON value in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(each)}" for key, each in value.items())
    return " ".join(map(_told, value)) if isinstance(value, list) else str(value)


def _top_level(grid: str) -> dict[str, Any]:
    """What a grid file says, nothing where it is no YAML mapping: a report does not fail for its heading."""
    import yaml

    try:
        found = yaml.safe_load(grid)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _commands(folder: Path, options: Mapping[str, Any]) -> list[str]:
    """The commands that make the rows, one for each grid, and the page."""
    made = read_manifest(folder)
    dtype = _other(made.get("dtype", "float32"), "float32")
    runs = [["sweep.run", path, "--out", folder, *_given({"--dtype": dtype})] for path in _grids(folder)]
    page = ["analysis", "report", folder, *_given(options)]
    info = made.get("info")
    commit = info.get("commit") if isinstance(info, Mapping) else None
    code = [f"# code at commit {commit}"] if commit else []
    return [*code, *(shlex.join(["python", "-m", *map(str, words)]) for words in (*runs, page))]


def _given(options: Mapping[str, Any]) -> list[Any]:
    return [word for option, value in options.items() if value is not None for word in (option, value)]


def _other(value: Any, default: Any) -> Any:
    return None if value == default else value


def _statuses(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """For each optimizer: trials, how many fit the training data, how many ended how."""
    rows = []
    for name in sorted_unique(runs, "optimizer"):
        own = runs[runs["optimizer"] == name]
        ended = {status.label: int((own["status"] == status.label).sum()) for status in ENDED}
        rows.append({"optimizer": name, "trials": len(own), "fit": int((own["train_error"] == 0).sum()), **ended})
    return rows


def _rows(table: pd.DataFrame) -> dict[str, Any] | None:
    """Header and cells of a table as text, None where there are none or too many for a page."""
    if table.empty or len(table) > ROWS:
        return None
    values = table.astype(object).where(table.notna(), None)
    rows = [[format_number(value, 4) for value in row] for row in values.itertuples(index=False)]
    return {"header": list(map(str, table.columns)), "rows": rows}
