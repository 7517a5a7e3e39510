"""The commands of `python -m analysis`, by what they make: maps of cells, boundaries, pages."""

from __future__ import annotations

from sweep.cli import CommandSource

COMMANDS = {
    "report": CommandSource(
        "analysis.cli.pages:report_command", "Write one page with every figure and table."
    ),
    "gap": CommandSource(
        "analysis.cli.maps:gap", "Difference between two optimizers on the same problems."
    ),
    "phase": CommandSource(
        "analysis.cli.maps:phase", "Phase diagram: mean over seeds in each cell."
    ),
    "modes": CommandSource(
        "analysis.cli.modes:modes_command", "Where seeds split into modes, and their shares."
    ),
    "curves": CommandSource(
        "analysis.cli.maps:curves_command", "Observables over steps, with bands over seeds."
    ),
    "matched": CommandSource(
        "analysis.cli.matched:matched", "Error against the training loss that was reached."
    ),
    "boundary": CommandSource(
        "analysis.cli.boundaries:boundary", "Where a value crosses a level, and its exponent."
    ),
    "collapse": CommandSource(
        "analysis.cli.boundaries:collapse", "Finite-size scaling of several sizes."
    ),
    "relate": CommandSource(
        "analysis.cli.relations:relate", "Error against another observable, one point a run."
    ),
    "critical-batch": CommandSource(
        "analysis.cli.relations:critical_batch", "The batch size at which the error jumps."
    ),
    "refine": CommandSource(
        "analysis.cli.boundaries:refine_command", "Run the points that narrow a boundary most."
    ),
    "watch": CommandSource(
        "analysis.cli.pages:watch", "Watch the phase diagram fill up while a sweep runs."
    ),
}
"""All of them, in the order of the help; none is imported before it is used."""
