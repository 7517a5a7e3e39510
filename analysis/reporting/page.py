"""The report: one page with the findings of a sweep, and every figure and table as files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, Template

from analysis.files import file_name, write_file
from analysis.reporting.definitions import training_setting
from analysis.reporting.formulas import breakable, typeset
from analysis.reporting.glossary import glossary_terms
from analysis.reporting.page_entries import FIGURES, page_entry
from analysis.reporting.provenance import describe_store, reproduction_commands
from analysis.reporting.section import Section
from analysis.reporting.sections import report_sections
from analysis.reporting.view import make_view
from analysis.stats.tuning import BY_DEFAULT, Tuning
from analysis.tables.axes import filter_rows, sorted_unique
from analysis.tables.columns import kind_label
from analysis.tables.labels import completeness_sentence, fit_sentence
from analysis.tables.load import Folder, load
from sweep.status import Status
from sweep.user_paths import user_path

FINAL_STATUSES = [status for status in Status if status is not Status.RUNNING]
"""The ways in which a trial can end."""

DEFAULT_CONFIDENCE, DEFAULT_LEVEL = 0.95, 0.25


def report(
    folder: Folder,
    x: str | None = None,
    y: str | None = None,
    condition: str | None = None,
    confidence: float = DEFAULT_CONFIDENCE,
    level: float = DEFAULT_LEVEL,
    out: Folder | None = None,
    all_grids: bool = False,
    tuning: Tuning = BY_DEFAULT,
) -> Path:
    """Write the report of a store.

    index.html loads nothing from elsewhere; figures/ has each section as PDF, PNG, SVG and CSV.

    Args:
        folder: The store, DIR.
        x: Horizontal axis; by default chosen from the columns that vary.
        y: Vertical axis; likewise.
        condition: A pandas query that the runs must satisfy.
        confidence: Confidence of the intervals.
        level: The test error whose boundary is located.
        out: The folder of the report, DIR/report by default.
        all_grids: Include runs that only an earlier grid of the store has.
        tuning: How step sizes are chosen.

    Returns the path of the page. Raises StoreError where the folder cannot be read, SweepError on
    an invalid condition, or where a file cannot be written.
    """
    runs, folder = load(folder, all_grids=all_grids), user_path(folder)
    view = make_view(filter_rows(runs, condition), x, y, tuning=tuning)
    sections = list(report_sections(folder, view, confidence, level))
    # No folder below these may be a link; they themselves may.
    target, within = (
        (folder / "report", folder) if out is None else (user_path(out), user_path(out))
    )
    page = target / "index.html"

    def write(name: str, content: bytes) -> None:
        write_file(target / FIGURES / name, content, within)

    headlines = [sentence for part in sections if part.headline for sentence in part.sentences]
    options: dict[str, Any] = {"--x": x, "--y": y, "--where": condition}
    # as typed by the user: defaults are left out of the command
    options["--confidence"] = None if confidence == DEFAULT_CONFIDENCE else confidence
    options["--level"] = None if level == DEFAULT_LEVEL else level
    options |= {"--tune": tuning.by or None, "--tune-over": tuning.over}
    options["--tune-per"] = None if tuning.per == "cell" else tuning.per
    options |= {"--out": out, "--all-grids": all_grids or None}
    text = _template().render(
        **describe_store(folder),
        state=completeness_sentence(runs),
        incomplete=runs.attrs["complete"] is False,
        condition=condition,
        notes=view.notes,
        findings=[*headlines, fit_sentence(view.runs, view.keys)],
        # of all runs, as the condition may hide what was varied
        definitions=training_setting(runs),
        percent=f"{100 * confidence:g}",
        chance=f"{100 - 100 * confidence:.3g}",
        glossary=glossary_terms(runs),
        status_counts=_status_counts(runs),
        status_meanings={status.label: status.sentence for status in FINAL_STATUSES},
        sections=[
            page_entry(section, name, write)
            for section, name in zip(sections, _file_names(sections), strict=True)
        ],
        optimizers=_optimizer_labels(runs),
        commands=reproduction_commands(folder, options),
    )
    write_file(page, text.encode("utf-8", "replace"), within)
    return page


def _optimizer_labels(runs: pd.DataFrame) -> dict[str, str]:
    """What readers call each optimizer, by its name in the tables."""
    names = map(str, sorted_unique(runs, "optimizer"))
    return {name: kind_label("optimizer", name) for name in names}


def _file_names(sections: Iterable[Section]) -> list[str]:
    """A file name for each section, no two alike."""
    names: list[str] = []
    for section in sections:
        names.append(file_name(section.name, {name.lower() for name in names}))
    return names


def _template() -> Template:
    source = resources.files("analysis.reporting").joinpath("page.html.j2")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    # Tooltips are most of the page's bytes.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {"typeset": typeset, "breakable": breakable}
    return environment.from_string(source.read_text(encoding="utf-8"))


def _status_counts(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """For each optimizer: its trials, how many fit the training data, and how many ended how."""
    rows = []
    for name in sorted_unique(runs, "optimizer"):
        part = runs[runs["optimizer"] == name]
        row = {"optimizer": name, "trials": len(part), "fit": int((part["train_error"] == 0).sum())}
        row |= {
            status.label: int((part["status"] == status.label).sum()) for status in FINAL_STATUSES
        }
        rows.append(row)
    return rows
