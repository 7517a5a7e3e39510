"""What is wrong with the parts of a store, and what would make it right: a judgement over parts that were read whole.

Each number up to the last is the place of one part of the runs, or of several that were joined to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sweep.schema import RUNS
from sweep.store import parts

Span = tuple[int, int]
"""First and last of some numbers."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is wrong with a store: where, what, and how to cure it."""

    path: Path
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}. {self.cure}."


@dataclass(frozen=True)
class Move:
    """What a repair does at a number: the curves move aside, and so does the part of the runs unless they are `whole`.

    An empty part takes the place of the runs and covers `span`; None where no number would be without a part.
    """

    number: int
    why: str
    span: Span | None = None
    whole: bool = False


@dataclass(frozen=True)
class PartScan:
    """A part that was read whole: its trials, what it says of itself, and what is wrong with it alone."""

    path: Path
    fault: str = ""
    rows: int = 0
    trials: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def span(self) -> Span | None:
        """The numbers that it says it covers, None where it does not say."""
        first = self.said.get("first", "")
        last = self.said.get("last", first)
        return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else None


class Diagnosis:
    """The judgement: `findings`, and the `moves` that cure those of the parts.

    `runs` and `curves` are the parts of both tables by their numbers. `mark` tells the store from all others; "" where
    nobody knows it.
    """

    def __init__(self, folder: Path, runs: Mapping[int, PartScan], curves: Mapping[int, PartScan], mark: str) -> None:
        self.folder, self.runs, self.curves, self.mark = folder, runs, curves, mark
        self.findings, self.moves = list[Finding](), list[Move]()
        self._bad = dict[int, str]()
        for number in sorted({*runs, *curves}):
            self._alone(number, runs.get(number), curves.get(number))
        self._held()
        self._twice()
        self._gaps()

    def _find(self, path: Path, what: str) -> str:
        cure = f"Run `python -m sweep repair {self.folder}` and the sweep again; only its rows are trained again"
        self.findings.append(Finding(path, what, cure))
        return what

    def _alone(self, number: int, runs: PartScan | None, curves: PartScan | None) -> None:
        """Judge both parts of a number without a look at others."""
        own = self._own(number, runs) if runs else ""
        of_curves = (self._own(number, curves) or ("" if own else _pair(runs, curves))) if curves else ""
        if runs and not curves and not own and runs.said.get("curves"):
            own = "has lost its curves"
        if runs and own:
            self._bad[number] = self._find(runs.path, own)
        if curves and of_curves:
            self._find(curves.path, of_curves)
            if runs and not own and not runs.said.get("curves"):
                self.moves.append(Move(number, of_curves, whole=True))
            else:
                self._bad.setdefault(number, f"the part of the curves {of_curves}")

    def _own(self, number: int, part: PartScan) -> str:
        """What is wrong with a part by its own word."""
        if part.fault:
            return part.fault
        if self.mark and part.said.get("store") != self.mark:
            return "belongs to another store"
        if part.span is None:
            return "does not say which part it is"
        first, last = part.span
        return "" if first <= last == number else f"says that it is part {first} to {last}, not {number}"

    def _kept(self) -> list[int]:
        return [number for number in sorted(self.runs) if number not in self._bad]

    def _first(self, number: int) -> int:
        span = self.runs[number].span
        assert span is not None
        return span[0]

    def _held(self) -> None:
        """Parts whose numbers a larger part covers too, as when a copy is laid over a compacted store."""
        later: int | None = None
        for number in reversed(self._kept()):
            if later is not None and number >= self._first(later):
                what = f"is a part that {parts.name(later)} holds already"
                self._bad[number] = self._find(self.runs[number].path, what)
            else:
                later = number

    def _twice(self) -> None:
        """Parts with trials that an earlier part holds."""
        kept = self._kept()
        every = np.concatenate([np.empty(0, np.int64), *(self.runs[number].trials for number in kept)])
        ids, counts = np.unique(every, return_counts=True)
        several, seen = ids[counts > 1], dict[int, int]()
        for number in kept if len(several) else ():
            part = self.runs[number]
            mine = part.trials[np.isin(part.trials, several)].tolist()
            if again := [trial for trial in mine if trial in seen]:
                what = f"holds trial {again[0]} that {parts.name(seen[again[0]])} holds ({len(again)} such trials)"
                self._bad[number] = self._find(part.path, what)
            else:
                seen |= dict.fromkeys(mine, number)

    def _gaps(self) -> None:
        """Numbers without a good part, and what is to take their places."""
        following = 0
        for number in sorted({*self.runs, *self._bad}):
            why = self._bad.get(number, "")
            if why and self._covered(number):
                self.moves.append(Move(number, why))
                continue
            before = number - 1 if why else self._first(number) - 1
            if not why and following <= before:
                self.moves.append(Move(before, "is missing", (following, before)))
            elif why:
                self.moves.append(Move(number, why, (following, number)))
            if not (number in self.runs and self.runs[number].fault.startswith("cannot be read")):
                self._miss(following, number if number not in self.runs else before)
            following = number + 1

    def _covered(self, number: int) -> bool:
        return any(self._first(later) <= number <= later for later in self._kept())

    def _miss(self, first: int, last: int) -> None:
        """Name those numbers that no part stands for, under whatever name."""
        spans = (part.span for part in self.runs.values() if self.mark in ("", part.said.get("store")))
        for start, end in _without((first, last), [span for span in spans if span]):
            others = f", and so are the parts after it up to {parts.name(end)}" if end > start else ""
            self._find(self.folder / RUNS / parts.name(start), f"is missing{others}")


def _pair(runs: PartScan | None, curves: PartScan) -> str:
    """What is wrong with a part of the curves beside that of the runs."""
    if runs is None:
        return "has no part of the runs beside it"
    strange = curves.trials[~np.isin(curves.trials, runs.trials)]
    return f"holds trial {strange[0]}, which its part of the runs does not" if len(strange) else ""


def _without(span: Span, others: Iterable[Span]) -> Iterator[Span]:
    """What is left of a span without some others."""
    first, last = span
    for start, end in sorted(others):
        if start > last:
            break
        if first < start:
            yield first, start - 1
        first = max(first, end + 1)
    if first <= last:
        yield first, last
