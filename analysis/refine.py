"""Where the next runs say most of a boundary: batches of cells and seeds around it, and the sweep of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.boundary import Boundary
from analysis.gridfile import refined
from analysis.load import load
from analysis.tables import keep
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ACROSS = 8
"""Most new cells of a row in one round: more of them wait for the next, which knows better where to put them."""

FINE = 1e-3
"""An interval of less than this share of the axis is not refined further."""


@dataclass(frozen=True)
class Refinement:
    """The next `runs` runs of a sweep, where they narrow the intervals of a boundary most.

    A round is a batch of `seeds` new seeds, the same in all its cells. The intervals of `boundary` hold both what the
    seeds leave open and the spacing of the grid, so new cells lie evenly over them: far apart while a row is only
    located, close around the crossing once it is. A row gets cells in proportion to the width of its interval on the
    axis. All optimizers are run in all cells, so that pairs stay pairs.
    """

    boundary: Boundary
    runs: int = 1024
    seeds: int = 8

    def __call__(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row a new cell: y, x, and the first and last new seed as `attrs["seeds"]`; empty where nothing is left.

        Rows whose interval reaches the end of the axis are refined up to it. Raises SweepError as the boundary does.
        """
        import pandas as pd

        found = self.boundary(table)
        axis = Axis.of(table[self.boundary.x])
        wide = self._wide(found, axis)
        facets = 1 if self.boundary.facet is None else table[self.boundary.facet].nunique()
        shares = _shares(wide["high"] - wide["low"], self.runs // (facets * self.seeds))
        y = self.boundary.y
        rows = [
            {**({y: row[y]} if y else {}), self.boundary.x: x}
            for row, count in zip(wide.to_dict("records"), shares, strict=True)
            for x in axis.between(row["low"], row["high"], count)
        ]
        points = pd.DataFrame(rows, columns=[*([y] if y else []), self.boundary.x]).drop_duplicates(ignore_index=True)
        points = points.astype({name: table[name].dtype for name in points})
        first = int(table["seed"].max()) + 1
        points.attrs = {"seeds": (first, first + self.seeds), "width": _width(wide)}
        return points

    def _wide(self, found: pd.DataFrame, axis: Axis) -> pd.DataFrame:
        """Rows with a crossing whose interval is worth refining, its ends as positions on the axis."""
        low, high = (axis.positions(found[end].clip(axis.low, axis.high)) for end in ("low", "high"))
        wide = found.assign(low=low, high=high)
        inside = np.isfinite(found["at"]) & found[["low", "high"]].notna().all(axis=1)
        return wide[inside & (high - low > FINE * axis.length)]


@dataclass(frozen=True)
class Axis:
    """The values that an axis may take between its ends, by position: x, or log x where all of it is positive."""

    low: float
    high: float
    logarithmic: bool
    whole: bool

    @classmethod
    def of(cls, column: pd.Series) -> Axis:
        """From the values that were run."""
        return cls(float(column.min()), float(column.max()), bool(column.min() > 0), column.dtype.kind == "i")

    @property
    def length(self) -> float:
        """From end to end."""
        return float(np.log(self.high / self.low) if self.logarithmic else self.high - self.low)

    def positions(self, values: pd.Series) -> pd.Series:
        """Where values lie."""
        return np.log(values) if self.logarithmic else values  # type: ignore[return-value]

    def between(self, low: float, high: float, count: int) -> list[float]:
        """So many values in the middles of equal pieces, of five digits, or the whole numbers next to them."""
        middles = low + (high - low) * (np.arange(count) + 0.5) / max(count, 1)
        values = np.exp(middles) if self.logarithmic else middles
        return [float(round(each)) if self.whole else float(f"{each:.5g}") for each in values]


def refine(
    folder: Path,
    refinement: Refinement,
    rounds: int = 0,
    out: Path | None = None,
    where: str | None = None,
) -> Iterator[str]:
    """Write the grid of the next points of a sweep and, for so many rounds, run it; says after each step what it did.

    The points go into a store of their own (DIR-refined, or `out`), so that exploring changes no registered sweep;
    `load(DIR, out)` reads both. With no rounds the grid is written and the command that runs it is said. Raises
    StoreError where the folder cannot be read, and SweepError where the sweep is of a kind that cannot be refined, or
    where a round fails.
    """
    folder = Path(folder)
    out = out or folder.with_name(f"{folder.name}-refined")
    for number in range(max(rounds, 1)):
        runs = keep(load(folder, *([out] if (out / "runs").is_dir() else [])), where)
        points = refinement(runs)
        if points.empty:
            yield f"{len(runs):,} runs: nothing is left to refine."
            return
        path = out / f"refine-{len(list(out.glob('refine-*.yaml'))) + 1}.yaml"
        _write(folder, path, points, refinement.boundary, runs)
        yield f"{len(runs):,} runs: the intervals are {points.attrs['width']:.3g} of the axis wide in the mean."
        command = ["-m", "sweep.run", str(path), "--out", str(out)]
        if not rounds:
            yield f"Wrote {path}. Run it with `python {' '.join(command)}`."
            return
        yield f"Round {number + 1}: {path.name}, {len(points)} cells for {refinement.seeds} new seeds."
        _run(command)


def _write(folder: Path, path: Path, points: pd.DataFrame, boundary: Boundary, runs: pd.DataFrame) -> None:
    try:
        text = (folder / "grid.yaml").read_text(encoding="utf-8")
    except OSError as error:
        raise SweepError(
            f"{folder / 'grid.yaml'} cannot be read ({error.strerror}). Put the grid file there."
        ) from error
    why = f"The points that narrow most where {boundary.value} crosses {boundary.level:g} in {folder.name}."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(refined(text, points, boundary.x, boundary.y, runs, why), encoding="utf-8")


def _run(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], check=False)
    if done.returncode:
        what = "was interrupted" if done.returncode == 75 else f"ended with exit code {done.returncode}"
        raise SweepError(f"The round {what}. Go on with `python {' '.join(command)}`, then refine again.")


def _shares(widths: pd.Series, cells: int) -> list[int]:
    """How many cells each row gets, in proportion to its width, at most ACROSS; the widest first where they are few."""
    if widths.empty:
        return []
    exact = np.minimum(widths.to_numpy(float) / widths.sum() * cells, ACROSS)
    counts = np.floor(exact).astype(int)
    rest = min(cells - counts.sum(), (counts < ACROSS).sum())
    order = np.argsort(np.where(counts < ACROSS, counts - exact, np.inf), kind="stable")
    counts[order[: max(rest, 0)]] += 1
    return counts.tolist()


def _width(wide: pd.DataFrame) -> float:
    return float((wide["high"] - wide["low"]).mean()) if len(wide) else 0.0
