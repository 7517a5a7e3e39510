"""The errors a user may see, as a tree, with the exit codes of the command.

SweepError                 1   something failed
  GridError                2   the grid file is wrong; nothing was written
  StoreConflict            3   the results folder belongs to another sweep
  StoreError               1   the results folder cannot be read or written
  Interrupted             75   stopped by a signal; the same command resumes
  WorkerFailed             1   a worker process failed
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar


class SweepError(Exception):
    """Base of all errors that commands print as a message instead of a traceback."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, order=True)
class Problem:
    """One error in a grid file: where, what, and how to fix it.

    Attributes:
        file: Path of the grid file, or the option of the command that the value stands in.
        line: Line in the file, from 1; 0 for an option.
        column: Column in the line, from 1; 0 for an option.
        field: Dotted path of the field (`data.sparsity`); "" for the whole file.
        what: What is wrong, without a full stop.
        cure: How to fix it, without a full stop.
    """

    file: str
    line: int
    column: int
    field: str
    what: str
    cure: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {field}{self.what}. {self.cure}."


class GridError(SweepError):
    """All errors of a grid file, in the order of the file."""

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        # Several checks may find the same error.
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class StoreError(SweepError):
    """A results folder that cannot be read or written, with its path and a remedy."""


class StoreConflict(SweepError):
    """A results folder that belongs to another sweep, with what differs."""

    exit_code: ClassVar[int] = 3


class Interrupted(SweepError):
    """A signal ended the run. Committed results stay; the same command resumes from them."""

    exit_code: ClassVar[int] = 75


class WorkerFailed(SweepError):
    """A worker process that failed, with its last output. Rows it committed are kept."""


@contextmanager
def environment_errors() -> Iterator[None]:
    """Around imports of jax, which reads its variables then: a malformed one is a SweepError."""
    try:
        yield
    except ValueError as error:
        if "environment" not in str(error):
            raise
        raise SweepError(f"jax rejects a variable: {error}. Correct or unset it.") from error
