"""One thing that a page shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.tables.labels import range_sentence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Section:
    """A table of the page, its figure if it has one, and what they say. `name` is that of its files.

    `cells` are what the figure draws where that is not the table itself. What a `headline` says stands at the top of
    the page, what others say beside them.
    """

    name: str
    title: str
    caption: str
    table: pd.DataFrame
    figure: Figure | None = None
    said: list[str] = field(default_factory=list)
    cells: pd.DataFrame | None = None
    headline: bool = True

    @property
    def shown(self) -> pd.DataFrame:
        """What the figure draws."""
        return self.table if self.cells is None else self.cells

    @property
    def wide(self) -> bool:
        """Whether the figure has several panels side by side."""
        return self.figure is not None and self.figure.get_figwidth() > 5

    @property
    def alt(self) -> str:
        """What the figure shows, for those who cannot see it."""
        return f"{self.title}. {range_sentence(self.shown)} The numbers are in the table below or in the CSV file."
