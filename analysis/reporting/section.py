"""A section of the report: one table, its figure, and the sentences about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from analysis.tables.labels import range_sentence

WIDE = 5
"""Inches above which a figure is wide: it then has several panels side by side."""


@dataclass(frozen=True)
class Section:
    """A table of the report with its figure, if it has one, and what they show in sentences.

    Attributes:
        name: What the names of its files, and its anchor on the page, are made of.
        title: Heading.
        caption: Text below the figure.
        table: The numbers.
        figure: The figure of the table or of `cells`.
        sentences: What the numbers show.
        cells: The table that the figure draws, where it is not `table`.
        headline: Whether the sentences appear at the top of the page rather than in the section.
    """

    name: str
    title: str
    caption: str
    table: pd.DataFrame
    figure: Figure | None = None
    sentences: list[str] = field(default_factory=list)
    cells: pd.DataFrame | None = None
    headline: bool = True

    @property
    def plotted(self) -> pd.DataFrame:
        """The table that the figure draws."""
        return self.table if self.cells is None else self.cells

    @property
    def wide(self) -> bool:
        """Whether the figure has several panels side by side."""
        return self.figure is not None and self.figure.get_figwidth() > WIDE

    @property
    def alt(self) -> str:
        """Alternative text of the figure, for readers who cannot see it."""
        means = range_sentence(self.plotted)
        return f"{self.title}. {means} The numbers are in the table below or in the CSV file."
