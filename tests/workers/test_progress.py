"""Progress: what a person reads, with a clock that the test turns."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest

from sweep.workers.progress import Progress, RateEstimate, SilentProgress
from sweep.workers.progress_display import LineProgress, ProgressBar, terminal_progress


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_text_is_one_sentence_with_everything_in_it() -> None:
    tally = RateEstimate(total=4000, done=0, started_at=0.0)
    tally.add(trials=1200, lane_steps=5_310_000, compiles=2)
    assert (
        tally.text(now=17.0)
        == "1,200 of 4,000 trials, 310,000 training steps/s, 2 programs compiled, about 40 s left"
    )


def test_time_left_does_not_count_trials_of_earlier_runs() -> None:
    tally = RateEstimate(total=1000, done=900, started_at=0.0)
    assert tally.seconds_left(now=5.0) is None
    tally.add(trials=10, lane_steps=10, compiles=1)
    assert tally.seconds_left(now=5.0) == pytest.approx(45.0)


def test_nothing_is_promised_before_the_first_trial_or_after_the_last() -> None:
    tally = RateEstimate(total=2, done=1, started_at=0.0)
    assert tally.text(now=0.0) == "1 of 2 trials, 0 training steps/s, 0 programs compiled"
    tally.add(trials=1, lane_steps=100, compiles=1)
    assert tally.text(now=10.0) == "2 of 2 trials, 10 training steps/s, 1 program compiled"


def test_trials_that_are_trained_twice_are_not_counted_beyond_the_last() -> None:
    """The worker that trained them first was killed before it wrote their rows."""
    tally = RateEstimate(total=2, done=0, started_at=0.0)
    tally.add(trials=3, lane_steps=100, compiles=1)
    assert tally.text(now=10.0) == "2 of 2 trials, 10 training steps/s, 1 program compiled"


def test_lines_come_at_most_every_ten_seconds_and_once_at_the_end() -> None:
    out, clock = io.StringIO(), Clock()
    with LineProgress(out, clock=clock) as progress:
        progress.start(total=100, done=0)
        for _ in range(25):
            clock.now += 1.0
            progress.advance(trials=1, lane_steps=1000)
    lines = out.getvalue().splitlines()
    assert [line.split(" of ")[0] for line in lines] == ["10", "20", "25"]
    assert (
        lines[0] == "10 of 100 trials, 1,000 training steps/s, 0 programs compiled, about 90 s left"
    )


def test_lines_say_at_once_and_close_twice_without_harm() -> None:
    out = io.StringIO()
    progress = LineProgress(out, clock=Clock())
    progress.say("Fewer lanes from now on.")
    progress.close()
    progress.start(total=1, done=1)
    progress.close()
    progress.close()
    assert out.getvalue().splitlines() == [
        "Fewer lanes from now on.",
        "1 of 1 trial, 0 training steps/s, 0 programs compiled",
    ]


def test_bar_draws_the_same_sentence_and_says_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    out, clock = Terminal(), Clock()
    with ProgressBar(out, clock=clock) as progress:
        progress.say("Before the start.")
        progress.start(total=4000, done=0)
        clock.now += 17.0
        progress.advance(trials=1200, lane_steps=5_310_000, compiles=2)
        progress.say("lanes [8] -> [4]")
    drawn = out.getvalue()
    assert (
        "1,200 of 4,000 trials, 310,000 training steps/s, 2 programs compiled, about 40 s left"
        in drawn
    )
    assert drawn.startswith("Before the start.\n")
    assert "lanes [8] -> [4]" in drawn


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    assert isinstance(terminal_progress(Terminal()), ProgressBar)
    assert isinstance(terminal_progress(io.StringIO()), LineProgress)
    assert isinstance(terminal_progress(), Progress)


def test_silent_keeps_what_it_is_told() -> None:
    with SilentProgress() as progress:
        progress.start(total=3, done=1)
        progress.advance(trials=2, lane_steps=20, compiles=1)
        progress.say("Done.")
    assert (progress.tally, progress.messages, progress.closed) == (
        RateEstimate(3, 1, 0.0, 2, 20, 1),
        ["Done."],
        True,
    )


def test_all_are_closed_when_the_sweep_fails() -> None:
    progress = SilentProgress()
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert progress.closed
