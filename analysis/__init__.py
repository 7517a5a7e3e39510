"""From the tables of a sweep to numbers with intervals, and from those to figures.

There are three kinds of functions, and each kind is usable without the next: `load` and
`load_curves` read folders into pandas frames; `PairedGap`, `Cells`, `Bands`, `Boundary`,
`Overlay`, `FitTime` and the like turn frames into frames; `phase_diagram`, `gap_figure` and
`curves_figure` draw them.

    runs = analysis.load("results/quickstart")
    gap = analysis.PairedGap("adam", "gd")(runs)
    cells = analysis.Cells("snr", "feature_noise", "difference")(gap)
    analysis.save(analysis.phase_diagram(cells), "gap.pdf")

Names are imported on first use, so `import analysis` is cheap; nothing here needs jax.
"""

# Nothing is imported that Python has not imported itself: see `sweep.import_path`.
from importlib import import_module

TYPE_CHECKING = False
# Type checkers cannot follow `__getattr__`, so for them the names are imported as usual.
if TYPE_CHECKING:
    from analysis.figures.collapse import collapse_figure
    from analysis.figures.correlation import correlation_figure
    from analysis.figures.lines import curves_figure, gap_figure
    from analysis.figures.loss_matched import matched_figure
    from analysis.figures.phase_diagram import phase_diagram
    from analysis.figures.style import save
    from analysis.figures.survival import survival_figure
    from analysis.refinement.proposal import Refinement
    from analysis.refinement.rounds import refine
    from analysis.reporting.page import report
    from analysis.reporting.picture import picture
    from analysis.stats.bands import Bands
    from analysis.stats.boundary import Boundary
    from analysis.stats.cells import Cells
    from analysis.stats.collapse import Collapse
    from analysis.stats.correlation import Correlation
    from analysis.stats.critical_batch import CriticalBatch
    from analysis.stats.loss_matched import LossMatched
    from analysis.stats.margins import Margins, best_margins, max_margin_l2, max_margin_linf
    from analysis.stats.modes import Modes
    from analysis.stats.overlay import Overlay
    from analysis.stats.paired_gap import PairedGap, pairs
    from analysis.stats.survival import FitTime, SignFlips
    from analysis.stats.theories import THEORIES, Theory, Within
    from analysis.stats.tuning import Tuning, tuned
    from analysis.tables.arrays import labelled
    from analysis.tables.axes import plane, problem_axes, swept, training_axes
    from analysis.tables.load import load, load_curves

_MODULES = {
    "THEORIES": "analysis.stats.theories",
    "Bands": "analysis.stats.bands",
    "Boundary": "analysis.stats.boundary",
    "Cells": "analysis.stats.cells",
    "Collapse": "analysis.stats.collapse",
    "Correlation": "analysis.stats.correlation",
    "CriticalBatch": "analysis.stats.critical_batch",
    "FitTime": "analysis.stats.survival",
    "LossMatched": "analysis.stats.loss_matched",
    "Margins": "analysis.stats.margins",
    "Modes": "analysis.stats.modes",
    "Overlay": "analysis.stats.overlay",
    "PairedGap": "analysis.stats.paired_gap",
    "Refinement": "analysis.refinement.proposal",
    "SignFlips": "analysis.stats.survival",
    "Theory": "analysis.stats.theories",
    "Tuning": "analysis.stats.tuning",
    "Within": "analysis.stats.theories",
    "best_margins": "analysis.stats.margins",
    "collapse_figure": "analysis.figures.collapse",
    "correlation_figure": "analysis.figures.correlation",
    "curves_figure": "analysis.figures.lines",
    "gap_figure": "analysis.figures.lines",
    "labelled": "analysis.tables.arrays",
    "load": "analysis.tables.load",
    "load_curves": "analysis.tables.load",
    "matched_figure": "analysis.figures.loss_matched",
    "max_margin_l2": "analysis.stats.margins",
    "max_margin_linf": "analysis.stats.margins",
    "pairs": "analysis.stats.paired_gap",
    "phase_diagram": "analysis.figures.phase_diagram",
    "picture": "analysis.reporting.picture",
    "plane": "analysis.tables.axes",
    "problem_axes": "analysis.tables.axes",
    "refine": "analysis.refinement.rounds",
    "report": "analysis.reporting.page",
    "save": "analysis.figures.style",
    "survival_figure": "analysis.figures.survival",
    "swept": "analysis.tables.axes",
    "training_axes": "analysis.tables.axes",
    "tuned": "analysis.stats.tuning",
}
"""Public name -> the module that defines it."""

__all__ = [
    "THEORIES",
    "Bands",
    "Boundary",
    "Cells",
    "Collapse",
    "Correlation",
    "CriticalBatch",
    "FitTime",
    "LossMatched",
    "Margins",
    "Modes",
    "Overlay",
    "PairedGap",
    "Refinement",
    "SignFlips",
    "Theory",
    "Tuning",
    "Within",
    "best_margins",
    "collapse_figure",
    "correlation_figure",
    "curves_figure",
    "gap_figure",
    "labelled",
    "load",
    "load_curves",
    "matched_figure",
    "max_margin_l2",
    "max_margin_linf",
    "pairs",
    "phase_diagram",
    "picture",
    "plane",
    "problem_axes",
    "refine",
    "report",
    "save",
    "survival_figure",
    "swept",
    "training_axes",
    "tuned",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    # The next access finds the name without coming here.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
