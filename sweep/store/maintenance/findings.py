"""What is wrong with a store, and what a repair does about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Span = tuple[int, int]
"""First and last of a range of part numbers, both included."""


@dataclass(frozen=True, order=True)
class Finding:
    """A fault of a store: where, what, and how to cure it."""

    path: Path
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}. {self.cure}."


@dataclass(frozen=True)
class Move:
    """What a repair moves aside at a part number.

    Attributes:
        number: The number of the part.
        why: The fault, for messages and for the metadata of the empty part.
        span: Numbers that an empty part of the runs then covers; None if no number lacks a part.
        curves_only: Whether the part of the runs stays.
    """

    number: int
    why: str
    span: Span | None = None
    curves_only: bool = False


def subtract_spans(span: Span, covered: list[Span]) -> list[Span]:
    """The ranges of a span that no span of `covered` contains, ascending."""
    gaps = []
    first, last = span
    for start, end in sorted(covered):
        if start > last:
            break
        if first < start:
            gaps.append((first, start - 1))
        first = max(first, end + 1)
    if first <= last:
        gaps.append((first, last))
    return gaps
