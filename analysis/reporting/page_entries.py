"""Sections as the template shows them, with their tables and figures written to files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from analysis.figures.style import save
from analysis.reporting.section import Section
from analysis.reporting.tooltips import tooltip_data
from analysis.tables.labels import format_number

MAX_ROWS = 400
"""Longer tables are not shown on the page, only linked."""

MAX_INLINE = 200_000
"""Longer data URLs (in characters) are replaced by links to the file."""


def page_entry(section: Section, folder: Path) -> dict[str, Any]:
    """The variables of a section for the template; writes the section's files to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / section.name
    entry = {name: getattr(section, name) for name in ("name", "title", "caption", "wide")}
    # The sentences of a headline are at the top of the page already.
    entry["sentences"] = [] if section.headline else section.sentences
    entry["csv"] = _csv_link(section.table, Path(f"{stem}.csv"))
    entry["table"] = _table_texts(section.table)
    if section.figure is not None:
        save(section.figure, f"{stem}.pdf", f"{stem}.png", f"{stem}.svg")
        entry["image"] = _image_url(Path(f"{stem}.svg"))
        entry["alt"] = section.alt
        entry["panels"] = tooltip_data(section.figure, section.plotted)
    return entry


def _image_url(path: Path) -> str:
    # As an <img>, its ids cannot clash with those of other figures, as with inline SVG.
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _csv_link(table: pd.DataFrame, path: Path) -> str:
    """Write a table; returns a data URL if it is short, so that the link works without the file."""
    table.to_csv(path, index=False)
    data = f"data:text/csv;charset=utf-8,{quote(path.read_bytes(), safe=',')}"
    return data if len(data) <= MAX_INLINE else f"{path.parent.name}/{path.name}"


def _table_texts(table: pd.DataFrame) -> dict[str, Any] | None:
    """Header and rows of a table as text, None where it is empty or too long for a page."""
    if table.empty or len(table) > MAX_ROWS:
        return None
    # format_number prints None as `none`, whatever the type of the column.
    values = table.astype(object).where(table.notna(), None)
    rows = [[format_number(value, 4) for value in row] for row in values.itertuples(index=False)]
    return {"header": list(map(str, table.columns)), "rows": rows}
