"""The errors that a user can meet, as a tree, each with the exit code of the command.

SweepError                 1   something failed
  GridError                2   the grid file is wrong; nothing was written
  StoreConflict            3   the results folder belongs to another sweep
  StoreError               1   the results folder cannot be read or written
  Interrupted             75   stopped by a signal; the same command goes on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class SweepError(Exception):
    """Base of all errors that the commands print as a sentence instead of a traceback."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a grid file: where, what, and how to cure it.

    `line` and `column` count from 1; `field` is the dotted path in the file (`data.sparsity`), "" for the whole file.
    """

    file: str
    line: int
    column: int
    field: str
    what: str
    cure: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}:{self.column}: {field}{self.what}. {self.cure}."


class GridError(SweepError):
    """All problems of a grid file at once, in the order of the file."""

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class StoreError(SweepError):
    """A results folder that cannot be read or written, with the path and a cure."""


class StoreConflict(SweepError):
    """A results folder that holds another sweep, with what differs."""

    exit_code: ClassVar[int] = 3


class Interrupted(SweepError):
    """A signal ended the run; what was committed stays and the same command goes on from there."""

    exit_code: ClassVar[int] = 75


class WorkerFailed(SweepError):
    """A worker process that did not end well, with its last words; its rows up to then are kept."""
