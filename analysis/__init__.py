"""From the table of a sweep to numbers with intervals, and from those to figures.

Three kinds of things, each usable without the next: `load` and `load_curves` read folders into pandas frames;
`PairedGap`, `Cells`, `Bands` and `Boundary` turn a frame into a frame; `phase_diagram`, `gap_figure` and
`curves_figure` draw one.

    runs = analysis.load("results/quickstart")
    gap = analysis.PairedGap("adam", "gd")(runs)
    cells = analysis.Cells("snr", "feature_noise", "difference")(gap)
    analysis.save(analysis.phase_diagram(cells), "gap.pdf")

Importing this imports no jax, and pandas, scipy, matplotlib and seaborn only when a function needs them.
"""

from __future__ import annotations

from analysis.boundary import Boundary
from analysis.canvas import save
from analysis.curves import Bands
from analysis.heat import phase_diagram
from analysis.load import load, load_curves
from analysis.pair import PairedGap, pairs, tuned
from analysis.phase import Cells
from analysis.plot import curves_figure, gap_figure
from analysis.report import report
from analysis.tables import plane, problem_axes, swept, training_axes

__all__ = [
    "Bands",
    "Boundary",
    "Cells",
    "PairedGap",
    "curves_figure",
    "gap_figure",
    "load",
    "load_curves",
    "pairs",
    "phase_diagram",
    "plane",
    "problem_axes",
    "report",
    "save",
    "swept",
    "training_axes",
    "tuned",
]
