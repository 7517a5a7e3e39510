"""Progress reports of a sweep: made on the host only, never from inside a compiled program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from sweep.wording import counted, duration_text, rounded

Clock = Callable[[], float]
"""Seconds since some fixed moment."""


class Progress(ABC):
    """Receives reports of a sweep. Use it as a context manager, or call `close` at the end."""

    @abstractmethod
    def start(self, total: int, done: int) -> None:
        """Begin a sweep of `total` trials, of which `done` were committed by earlier runs."""

    @abstractmethod
    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        """Report what happened since the last call.

        Args:
            trials: number of trials that ended.
            lane_steps: number of updates, summed over lanes.
            compiles: number of programs that were compiled.
        """

    @abstractmethod
    def say(self, text: str) -> None:
        """Report a sentence that must not be lost."""

    def tick(self) -> None:
        """Note that the process is at work though it has nothing to report; by default nothing."""
        return

    @abstractmethod
    def close(self) -> None:
        """End the report."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class RateEstimate:
    """Counts since the moment `started_at`, and the rates that follow from them.

    Attributes:
        total: number of trials of the sweep.
        done: number of trials that earlier runs committed.
        started_at: when the run started, by its clock.
        trials: number of trials that ended in this run.
        lane_steps: number of updates in this run, summed over lanes.
        compiles: number of programs compiled in this run.
    """

    total: int
    done: int
    started_at: float
    trials: int = 0
    lane_steps: int = 0
    compiles: int = 0

    def add(self, trials: int, lane_steps: int, compiles: int) -> None:
        """Add to the counts; the arguments are those of `Progress.advance`."""
        self.trials += trials
        self.lane_steps += lane_steps
        self.compiles += compiles

    def seconds_left(self, now: float) -> float | None:
        """Expected seconds to the end at the rate of this run; None before the first trial."""
        # Trials of earlier runs took none of this run's time, so they don't count in the rate.
        # Trials of a worker that was killed are trained, and counted, a second time.
        remaining = max(0, self.total - self.done - self.trials)
        return (now - self.started_at) * remaining / self.trials if self.trials else None

    def text(self, now: float) -> str:
        """Counts, rate and remaining time in one line."""
        rate = self.lane_steps / max(now - self.started_at, 1e-9)
        seconds = self.seconds_left(now)
        ending = f", about {duration_text(seconds, short=True)} left" if seconds else ""
        trials = f"{min(self.done + self.trials, self.total):,} of {counted(self.total, 'trial')}"
        speed = f"{rounded(rate)} training steps/s"
        return f"{trials}, {speed}, {counted(self.compiles, 'program')} compiled{ending}"


@dataclass
class SilentProgress(Progress):
    """Shows nothing and records everything: for tests and for use from Python."""

    tally: RateEstimate = field(default_factory=lambda: RateEstimate(0, 0, 0.0))
    messages: list[str] = field(default_factory=list)
    closed: bool = False

    def start(self, total: int, done: int) -> None:
        self.tally = RateEstimate(total, done, 0.0)

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        self.tally.add(trials, lane_steps, compiles)

    def say(self, text: str) -> None:
        self.messages.append(text)

    def close(self) -> None:
        self.closed = True
