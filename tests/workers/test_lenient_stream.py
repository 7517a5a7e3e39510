"""Streams that cannot be written, and what becomes of the lines for them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sweep.workers.lenient_stream import LenientStream
from sweep.workers.progress import Progress
from sweep.workers.progress_display import LineProgress, ProgressBar, terminal_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class BrokenTerminal(Terminal):
    """A terminal that was closed; every write fails."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


class Full(io.StringIO):
    """A file on a disk that is full at first and has space later."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def broken_pipe() -> Any:
    reading, writing = os.pipe()
    os.close(reading)
    return io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)


def report(progress: Progress) -> None:
    """All that a sweep does with its progress."""
    with progress:
        progress.start(2, 0)
        progress.advance(1, 10, 1)
        progress.say("A sentence.")
        progress.advance(1, 10)


@pytest.mark.parametrize(
    "stream",
    [lambda: None, object, closed, broken_pipe, BrokenTerminal, Full],
    ids=["none", "object", "closed", "broken pipe", "broken terminal", "full"],
)
def test_progress_goes_on_without_a_stream(
    stream: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = stream()
    monkeypatch.setattr(sys, "stderr", broken)
    report(terminal_progress())
    report(terminal_progress(broken))
    for display in (ProgressBar, LineProgress):
        report(display(LenientStream(broken)))
    with suppress(OSError, AttributeError):
        broken.close()


def test_later_lines_are_written_once_the_disk_has_space() -> None:
    disk = Full()
    progress = terminal_progress(disk)
    progress.say("Lost.")
    disk.full = False
    progress.say("Kept.")
    assert disk.getvalue().splitlines()[-1] == "Kept."


def test_what_the_encoding_lacks_is_a_question_mark() -> None:
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="latin-1", write_through=True)
    LenientStream(stream).write("größe → α")
    assert content.getvalue().decode("latin-1") == "größe ? ?"


CLOSED = """
import os, sys
from sweep.workers.lenient_stream import discard_unwritable, open_standard_descriptors
for descriptor in (1, 2):
    os.close(descriptor)
open_standard_descriptors()
with open(sys.argv[1], "w") as table:
    assert table.fileno() > 2
    os.write(2, b"a library speaks")
"""


def test_a_closed_descriptor_is_not_given_to_a_file(tmp_path: Path) -> None:
    """What libraries write to descriptor 2 would end up in it."""
    table = tmp_path / "table"
    assert subprocess.run([sys.executable, "-c", CLOSED, table], check=False).returncode == 0
    assert table.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="asks the system for a full disk")
@pytest.mark.parametrize(("cure", "code"), [("", 120), ("discard_unwritable()", 0)])
def test_lines_that_nobody_can_read_are_no_failure_at_exit(cure: str, code: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    lines = f"from sweep.workers.lenient_stream import discard_unwritable\nprint('lost')\n{cure}"
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", lines],
            stdout=full,
            stderr=subprocess.DEVNULL,
            env=environment,
            check=False,
        )
    assert process.returncode == code
