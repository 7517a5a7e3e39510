"""Sections as the template shows them, with their tables and figures written to files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from analysis.figures.style import figure_bytes
from analysis.reporting.section import Section
from analysis.reporting.tooltips import tooltip_data
from analysis.tables.csv_files import csv_bytes
from analysis.tables.labels import format_number

FileWriter = Callable[[str, bytes], None]
"""Writes a file of the folder of figures, given its name and its content."""

FIGURES = "figures"
"""Folder of the figures and tables, beside the page."""

KINDS = ("pdf", "png", "svg")
"""Formats of each figure."""

MAX_ROWS = 400
"""Longer tables are not shown on the page, only linked."""

MAX_PRINTED_ROWS = 20
"""Longer tables are not printed: a report has room on six sheets."""

COLUMN_WIDTH = 7
"""Most columns of a table that fit into half the width of a sheet."""

MAX_INLINE = 200_000
"""Longer data URLs (in characters) are replaced by links to the file."""


def page_entry(section: Section, name: str, write: FileWriter) -> dict[str, Any]:
    """The variables of a section for the template; writes the section's files.

    Args:
        section: The section.
        name: Stem of the names of its files, and its anchor on the page.
        write: Writes a file of the folder of figures.
    """
    entry = {key: getattr(section, key) for key in ("title", "caption", "wide")}
    entry["name"] = name
    # The sentences of a headline are at the top of the page already.
    entry["sentences"] = [] if section.headline else section.sentences
    entry["table"] = _table_texts(section.table)
    printed = entry["table"] is not None and len(entry["table"]["rows"]) <= MAX_PRINTED_ROWS
    entry["printed"] = printed
    entry["across"] = section.wide or (printed and len(section.table.columns) > COLUMN_WIDTH)
    entry["csv"] = _csv_link(section.table, f"{name}.csv", write)
    if section.figure is not None:
        files = {kind: figure_bytes(section.figure, Path(f"{name}.{kind}")) for kind in KINDS}
        for kind, content in files.items():
            write(f"{name}.{kind}", content)
        entry["image"] = _image_url(files["svg"])
        entry["alt"] = section.alt
        entry["panels"] = tooltip_data(section.figure, section.plotted)
    return entry


def _image_url(svg: bytes) -> str:
    """An SVG file as a data URL."""
    # As an <img>, its ids cannot clash with those of other figures, as with inline SVG.
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _csv_link(table: pd.DataFrame, name: str, write: FileWriter) -> str:
    """Write a table; returns a data URL if it is short, so that the link works without the file."""
    content = csv_bytes(table)
    write(name, content)
    data = f"data:text/csv;charset=utf-8,{quote(content, safe=',')}"
    return data if len(data) <= MAX_INLINE else f"{FIGURES}/{name}"


def _table_texts(table: pd.DataFrame) -> dict[str, Any] | None:
    """Header and rows of a table as text, None where it is empty or too long for a page."""
    if table.empty or len(table) > MAX_ROWS:
        return None
    # format_number prints None as `none`, whatever the type of the column.
    values = table.astype(object).where(table.notna(), None)
    rows = [[format_number(value, 4) for value in row] for row in values.itertuples(index=False)]
    return {"header": list(map(str, table.columns)), "rows": rows}
