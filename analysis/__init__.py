"""From the table of a sweep to numbers with intervals, and from those to figures.

Three kinds of things, each usable without the next: `load` and `load_curves` read folders into pandas frames;
`PairedGap`, `Cells`, `Bands`, `Boundary`, `Overlay`, `FitTime` and their like turn a frame into a frame;
`phase_diagram`, `gap_figure` and `curves_figure` draw one.

    runs = analysis.load("results/quickstart")
    gap = analysis.PairedGap("adam", "gd")(runs)
    cells = analysis.Cells("snr", "feature_noise", "difference")(gap)
    analysis.save(analysis.phase_diagram(cells), "gap.pdf")

Importing this imports no jax, and pandas, scipy, matplotlib and seaborn only when a function needs them.
"""

from __future__ import annotations

from analysis.figures.collapse import collapse_figure
from analysis.figures.lines import curves_figure, gap_figure
from analysis.figures.phase_diagram import phase_diagram
from analysis.figures.style import save
from analysis.figures.survival import survival_figure
from analysis.refinement.proposal import Refinement
from analysis.refinement.rounds import refine
from analysis.reporting.page import report
from analysis.reporting.terminal import picture
from analysis.stats.bands import Bands
from analysis.stats.boundary import Boundary
from analysis.stats.cells import Cells
from analysis.stats.collapse import Collapse
from analysis.stats.margins import Margins, best_margins, max_margin_l2, max_margin_linf
from analysis.stats.overlay import Overlay
from analysis.stats.paired_gap import PairedGap, pairs, tuned
from analysis.stats.survival import FitTime, SignFlips
from analysis.stats.theories import THEORIES, Theory, Within
from analysis.tables.arrays import labelled
from analysis.tables.axes import plane, problem_axes, swept, training_axes
from analysis.tables.load import load, load_curves

__all__ = [
    "THEORIES",
    "Bands",
    "Boundary",
    "Cells",
    "Collapse",
    "FitTime",
    "Margins",
    "Overlay",
    "PairedGap",
    "Refinement",
    "SignFlips",
    "Theory",
    "Within",
    "best_margins",
    "collapse_figure",
    "curves_figure",
    "gap_figure",
    "labelled",
    "load",
    "load_curves",
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
