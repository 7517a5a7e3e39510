"""One page that tells what a sweep found, with every figure and the table behind it as files."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.canvas import save
from analysis.exhibits import Exhibit, exhibits
from analysis.load import Folder, load, manifest
from analysis.tables import keep, levels
from analysis.view import view
from analysis.words import fit_sentence, number, state
from sweep.status import Status

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template

ROWS = 400
"""Most rows of a table that stands on the page; longer ones are files only."""


def report(
    folder: Folder, x: str | None = None, y: str | None = None, condition: str | None = None, level: float = 0.95
) -> Path:
    """Write DIR/report/index.html, a page that loads nothing, and DIR/report/figures with PDF, PNG and CSV of each.

    `x` and `y` are chosen from what varies unless given; `condition` is a pandas query that limits the runs.
    Returns the path of the page. Raises StoreError where the folder cannot be read, SweepError on a bad condition.
    """
    runs = load(folder)
    shown = view(keep(runs, condition), x, y)
    found = list(exhibits(Path(folder), shown, level))
    out = Path(folder) / "report"
    images = [_write(each, out / "figures") for each in found]
    page = out / "index.html"
    text = _template().render(
        **_setting(Path(folder)),
        state=state(runs),
        incomplete=runs.attrs["complete"] is False,
        condition=condition,
        notes=shown.notes,
        said=[*(sentence for each in found for sentence in each.said), fit_sentence(shown.runs)],
        statuses=_statuses(runs),
        meanings={status.label: status.sentence for status in ENDED},
        exhibits=[(each, image, _rows(each.table)) for each, image in zip(found, images, strict=True)],
        optimizers=list(levels(runs, "optimizer")),
        commands=_commands(str(folder), x, y, condition),
    )
    page.write_text(text, encoding="utf-8")
    return page


ENDED = [status for status in Status if status is not Status.RUNNING]


def _template() -> Template:
    from jinja2 import Environment

    text = resources.files("analysis").joinpath("report.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _write(exhibit: Exhibit, folder: Path) -> str | None:
    """Write the files of an exhibit; its figure as a data URI, which cannot clash with ids of other figures."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / exhibit.name
    exhibit.table.to_csv(f"{path}.csv", index=False)
    if exhibit.figure is None:
        return None
    save(exhibit.figure, f"{path}.pdf", f"{path}.png", f"{path}.svg")
    content = base64.b64encode(Path(f"{path}.svg").read_bytes()).decode()
    return f"data:image/svg+xml;base64,{content}"


def _setting(folder: Path) -> dict[str, Any]:
    """Name, question (the grid's description), the comment that opens the grid, grids and provenance of a store."""
    grids = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("grid*.yaml"))}
    first = grids.get("grid.yaml", "")
    top = _top_level(first)
    opening = re.match(r"(?:[ \t]*(?:#.*)?\n)*", first)
    comments = re.findall(r"^[ \t]*#[ \t]?(.*)", opening.group() if opening else "", re.MULTILINE)
    return {
        "name": str(top.get("name") or folder.resolve().name),
        "question": str(top.get("description") or ""),
        "comment": " ".join(comments),
        "grids": grids,
        "provenance": _leaves(manifest(folder)),
    }


def _top_level(grid: str) -> dict[str, Any]:
    """What a grid file says, nothing where it is no YAML mapping: a report does not fail for its heading."""
    import yaml

    try:
        found = yaml.safe_load(grid)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _commands(folder: str, x: str | None, y: str | None, condition: str | None) -> list[str]:
    given = {"--x": x, "--y": y, "--where": condition}
    options = [word for option, value in given.items() if value for word in (option, value)]
    run = ["python", "-m", "sweep.run", f"{folder}/grid.yaml", "--out", folder]
    return [shlex.join(run), shlex.join(["python", "-m", "analysis", "report", folder, *options])]


def _leaves(value: Any, path: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {path: ", ".join(map(str, value)) if isinstance(value, list) else str(value)}
    inner = [_leaves(child, f"{path}.{key}" if path else str(key)) for key, child in value.items()]
    return {key: leaf for leaves in inner for key, leaf in leaves.items()}


def _statuses(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """For each optimizer: trials, how many fit the training data, how many ended how."""
    rows = []
    for name in levels(runs, "optimizer"):
        own = runs[runs["optimizer"] == name]
        ended = {status.label: int((own["status"] == status.label).sum()) for status in ENDED}
        rows.append({"optimizer": name, "trials": len(own), "fit": int((own["train_error"] == 0).sum()), **ended})
    return rows


def _rows(table: pd.DataFrame) -> dict[str, Any] | None:
    """Header and cells of a table as text, None where there are none or too many for a page."""
    if table.empty or len(table) > ROWS:
        return None
    rows = [[number(value, 4) for value in row] for row in table.itertuples(index=False)]
    return {"header": list(map(str, table.columns)), "rows": rows}
