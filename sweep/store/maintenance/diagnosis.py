"""What is wrong with the parts of a store, and what would cure it, given scans of all parts.

Each number up to the last must be covered by exactly one part of the runs; a part that several were
joined to covers all their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sweep.schema import RUNS
from sweep.store.maintenance.findings import Finding, Move, subtract_spans
from sweep.store.maintenance.part_scan import PartScan
from sweep.store.parts import CURVE_ROWS, part_name


class Diagnosis:
    """The `findings` about the parts of a store, and the `moves` that cure them.

    Args:
        folder: The folder of the store.
        runs: Parts of the runs by number.
        curves: Parts of the curves by number.
        store_id: The id that each part of the store carries; "" if it is unknown.
        parts: The number of parts that the store has at least, as the manifest says.
    """

    def __init__(
        self,
        folder: Path,
        runs: Mapping[int, PartScan],
        curves: Mapping[int, PartScan],
        store_id: str,
        parts: int = 0,
    ) -> None:
        self.folder, self.runs, self.curves, self.store_id = folder, runs, curves, store_id
        self.findings, self.moves = list[Finding](), list[Move]()
        self._faults = dict[int, str]()
        for number in sorted({*runs, *curves}):
            self._check_pair(number, runs.get(number), curves.get(number))
        # The order matters: each check looks only at parts without a fault so far.
        self._check_covered()
        self._check_duplicates()
        self._check_end(self._check_gaps(), parts)

    def _report(self, path: Path, what: str) -> str:
        """Add a finding that a repair mends; returns what it is."""
        command = f"python -m sweep repair {self.folder}"
        cure = f"Run `{command}` and the sweep again; only its rows are trained again"
        self.findings.append(Finding(path, what, cure))
        return what

    def _check_pair(self, number: int, runs: PartScan | None, curves: PartScan | None) -> None:
        """Check both parts of a number, regardless of all other numbers."""
        runs_fault = self._part_fault(number, runs) if runs else ""
        curves_fault = self._part_fault(number, curves) if curves else ""
        if curves and not runs_fault and not curves_fault:
            curves_fault = _pair_fault(runs, curves)
        expects_curves = runs is not None and bool(runs.metadata.get("curves"))
        if expects_curves and not curves and not runs_fault:
            runs_fault = "has lost its curves"
        if runs and runs_fault:
            self._faults[number] = self._report(runs.path, runs_fault)
        if curves and curves_fault:
            self._report(curves.path, curves_fault)
            if runs and not runs_fault and not expects_curves:
                self.moves.append(Move(number, curves_fault, curves_only=True))
            else:
                self._faults.setdefault(number, f"the part of the curves {curves_fault}")

    def _part_fault(self, number: int, part: PartScan) -> str:
        """What is wrong with a part by its content and metadata."""
        if part.fault:
            return part.fault
        if self.store_id and part.metadata.get("store") != self.store_id:
            return "belongs to another store"
        if part.span is None:
            return "does not state its part number"
        first, last = part.span
        is_valid = first <= last == number
        return "" if is_valid else f"claims to be part {first} to {last}, not {number}"

    def _valid_numbers(self) -> list[int]:
        """Numbers of the parts of the runs without a fault so far, ascending."""
        return [number for number in sorted(self.runs) if number not in self._faults]

    def _first(self, number: int) -> int:
        """The first of the part numbers that a valid part covers."""
        span = self.runs[number].span
        assert span is not None
        return span[0]

    def _check_covered(self) -> None:
        """Find parts whose numbers a joined part covers, as when a copy overlays a compaction."""
        later: int | None = None
        for number in reversed(self._valid_numbers()):
            if later is not None and number >= self._first(later):
                what = f"is a part that {part_name(later)} already contains"
                self._faults[number] = self._report(self.runs[number].path, what)
            else:
                later = number

    def _check_duplicates(self) -> None:
        """Find parts with trials that an earlier part contains."""
        numbers = self._valid_numbers()
        trials = [np.empty(0, np.int64), *(self.runs[number].trials for number in numbers)]
        ids, counts = np.unique(np.concatenate(trials), return_counts=True)
        repeated_ids, first_part = ids[counts > 1], dict[int, int]()
        if not len(repeated_ids):
            return
        for number in numbers:
            part = self.runs[number]
            candidates = part.trials[np.isin(part.trials, repeated_ids)].tolist()
            duplicates = [trial for trial in candidates if trial in first_part]
            if duplicates:
                earlier, count = part_name(first_part[duplicates[0]]), len(duplicates)
                what = f"holds trial {duplicates[0]} that {earlier} holds ({count} such trials)"
                self._faults[number] = self._report(part.path, what)
            else:
                first_part |= dict.fromkeys(candidates, number)

    def _check_gaps(self) -> int:
        """Find numbers without a valid part, and plan the empty parts that cover them.

        Returns the number after the last one that a part has.
        """
        uncovered = 0  # the first number that no part up to here covers
        for number in sorted({*self.runs, *self._faults}):
            fault = self._faults.get(number, "")
            if fault and self._is_covered(number):
                self.moves.append(Move(number, fault))
                continue
            previous = number - 1 if fault else self._first(number) - 1
            if fault:
                self.moves.append(Move(number, fault, (uncovered, number)))
            elif uncovered <= previous:
                self.moves.append(Move(previous, "is missing", (uncovered, previous)))
            # An unreadable part may have covered the numbers before it: they are not missing.
            if number not in self.runs or self.runs[number].is_readable:
                self._report_missing(uncovered, number if number not in self.runs else previous)
            uncovered = number + 1
        return uncovered

    def _check_end(self, uncovered: int, parts: int) -> None:
        """Find that the last parts are missing, from the first number without any part."""
        last = parts - 1
        if uncovered <= last:
            self.moves.append(Move(last, "is missing", (uncovered, last)))
            self._report_missing(uncovered, last)

    def _is_covered(self, number: int) -> bool:
        """Whether a valid part covers a number, its own or as a joined part."""
        return any(self._first(later) <= number <= later for later in self._valid_numbers())

    def _report_missing(self, first: int, last: int) -> None:
        """Report the numbers that no part claims, under whatever file name."""
        if self.store_id:
            scans = [
                part for part in self.runs.values() if part.metadata.get("store") == self.store_id
            ]
        else:
            scans = list(self.runs.values())
        spans = [scan.span for scan in scans if scan.span is not None]
        for start, end in subtract_spans((first, last), spans):
            extent = (
                f", and so are the parts after it up to {part_name(end)}" if end > start else ""
            )
            self._report(self.folder / RUNS / part_name(start), f"is missing{extent}")


def _pair_fault(runs: PartScan | None, curves: PartScan) -> str:
    """What is wrong with a part of the curves, compared with that of the runs."""
    if runs is None:
        return "has no matching part of the runs"
    unmatched = curves.trials[~np.isin(curves.trials, runs.trials)]
    if len(unmatched):
        return f"holds trial {unmatched[0]}, which its part of the runs does not"
    declared = runs.metadata.get(CURVE_ROWS, "")
    if declared.isdecimal() and int(declared) != curves.rows:
        return f"holds {curves.rows:,} rows, and its part of the runs declares {int(declared):,}"
    return ""
