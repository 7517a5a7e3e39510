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

from analysis.arrays import labelled
from analysis.boundary import Boundary
from analysis.canvas import save
from analysis.collapsed import collapse_figure
from analysis.curves import Bands
from analysis.heat import phase_diagram
from analysis.live import picture
from analysis.load import load, load_curves
from analysis.margins import Margins, best_margins, max_margin_l2, max_margin_linf
from analysis.overlay import Overlay
from analysis.pair import PairedGap, pairs, tuned
from analysis.phase import Cells
from analysis.plot import curves_figure, gap_figure
from analysis.refine import Refinement
from analysis.report import report
from analysis.rounds import refine
from analysis.scaling import Collapse
from analysis.survival import FitTime, SignFlips, survival_figure
from analysis.tables import plane, problem_axes, swept, training_axes
from analysis.theory import THEORIES, Theory, Within

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
