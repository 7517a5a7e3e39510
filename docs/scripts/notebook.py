"""Write and execute the notebook of the documentation: `python docs/scripts/notebook.py`.

The cells are defined here, where they can be reviewed. The executed notebook is committed, so
that it can be read without running it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "notebook" / "phase_diagram.ipynb"

MARKDOWN, CODE = "markdown", "code"

CELLS = [
    (
        MARKDOWN,
        """# From a grid to a phase diagram

A small version of the quickstart: Adam and gradient descent on data with a feature and sparse
noise. Where the signal is weak, Adam fits the noise and generalizes worse than gradient descent
from the same initial weights.""",
    ),
    (
        CODE,
        '''%matplotlib inline
from pathlib import Path

import analysis
from sweep.run import sweep

GRID = """
name: notebook
seed: {range: [0, 4]}
data:
  kind: feature_noise
  n: 20
  d: 100
  sparsity: 10
  snr: {log: [0.5, 4, 4]}
  feature_noise: [0.1, 0.2, 0.4]
model: {kind: cnn, width: 10, power: 3, init_scale: 0.02}
objective: {kind: logistic, l2: 1e-5}
optimizer:
  - {kind: gd, lr: 0.5}
  - {kind: adam, lr: 1e-3}
train: {steps: 1000}
test_points: 200
record: {points: 8}
"""
Path("notebook.yaml").write_text(GRID)
folder = sweep("notebook.yaml", workers=1, quiet=True)''',
    ),
    (
        MARKDOWN,
        "Every trial is a row. Data and initial weights depend on the seed alone; "
        "`problem` pairs the optimizers.",
    ),
    (
        CODE,
        """runs = analysis.load(folder)
columns = ["problem", "optimizer", "snr", "feature_noise", "seed", "train_error", "test_error"]
runs[columns].head(8)""",
    ),
    (
        MARKDOWN,
        """`picture` shows a plane of the table as text, in a notebook or a terminal: the paired
difference of the test errors of Adam and gradient descent. `sweep watch` shows the same while a
sweep runs.""",
    ),
    (
        CODE,
        """from rich.console import Console

Console(width=100).print(analysis.picture(runs, "snr", "feature_noise", "difference"))""",
    ),
    (
        MARKDOWN,
        "As a figure. Cells in which the paired 95 % interval excludes 0 are marked.",
    ),
    (
        CODE,
        """paired = analysis.PairedGap("adam", "gd")(runs)
cells = analysis.Cells("snr", "feature_noise", "difference")(paired)
analysis.phase_diagram(cells)""",
    ),
    (
        MARKDOWN,
        "Where the test error of each optimizer crosses 1/4, with intervals over the seeds:",
    ),
    (
        CODE,
        """analysis.Boundary("snr", "feature_noise", level=0.25, facet="optimizer")(runs)""",
    ),
]


def unexecuted_notebook() -> nbformat.NotebookNode:
    """The notebook without outputs."""
    makers = {MARKDOWN: nbformat.v4.new_markdown_cell, CODE: nbformat.v4.new_code_cell}
    cells = [
        makers[kind](source, id=f"cell-{number}") for number, (kind, source) in enumerate(CELLS)
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def execute_notebook(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a folder. Raises nbclient's CellExecutionError where one fails."""
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources=resources
    ).execute()


def strip_environment(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without timestamps and versions of this machine, so that a diff shows results only."""
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        executed = execute_notebook(unexecuted_notebook(), Path(scratch))
    nbformat.write(strip_environment(executed), NOTEBOOK)
