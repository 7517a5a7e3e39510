"""The report section on the step sizes that were chosen."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.reporting.section import Section
from analysis.reporting.tuning_sentences import edge_sentences
from analysis.reporting.view import View
from analysis.stats.tuning import FINER
from analysis.tables.labels import axis_label


def tuning_sections(view: View) -> Iterator[Section]:
    """A table of what was chosen for each optimizer and cell; none where nothing was."""
    choices = view.choices
    if choices.empty:
        return
    criterion, columns = choices.attrs["criterion"], choices.attrs["columns"]
    step_size = columns == ["lr"]
    title = "Step sizes that were chosen" if step_size else f"Chosen: {', '.join(columns)}"
    finer = f"the smaller {axis_label(FINER[criterion])}, then to " if criterion in FINER else ""
    mean = "" if view.tuning.per == "seed" else "mean "
    caption = (
        f"tried: number of values; criterion: {mean}{axis_label(criterion)} at the chosen one; "
        "lost: its runs that diverged or are missing; edge: the chosen value is the smallest or "
        f"the largest that was tried. Ties go to {finer}the smaller value. "
        "All intervals of this page take the chosen values as given."
    )
    yield Section("step-sizes", title, caption, choices, sentences=edge_sentences(choices))
