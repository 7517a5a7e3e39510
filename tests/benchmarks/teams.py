"""Contenders of a race: processes that wait, run when they are told to, and answer with seconds and results."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from sweep.commands import train
from sweep.workers.cores import available_cores

Contender = Callable[[int, int, int], Callable[[], Any]]
"""Prepares case `number` for member `index` of `count` and returns what runs it: a function of nothing to results."""


class Team:
    """The processes of one contender, `members` of them, each pinned to a core where there is more than one."""

    def __init__(self, module: str, name: str, members: int = 1) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", "tests.benchmarks.teams", module, name]
        self.processes = [
            subprocess.Popen([*command, f"{i}/{members}"], **pipes) for i in range(members)
        ]

    def run(self, number: int) -> tuple[float, list[Any]]:
        """Run a case once in all members at the same time: seconds of the slowest, and what each answers."""
        for process in self.processes:
            assert process.stdin is not None
            print(number, file=process.stdin, flush=True)
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            answers.append(json.loads(process.stdout.readline()))
        return max(answer["seconds"] for answer in answers), [
            answer["result"] for answer in answers
        ]

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.communicate()


def race(
    module: str, number: int, members: Mapping[str, int], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Rounds of all contenders in turn on one case: seconds of each round, and what each answered first.

    Every contender runs the case once before, so that nothing is compiled in a round.
    """
    teams = {name: Team(module, name, count) for name, count in members.items()}
    first = {name: team.run(number)[1] for name, team in teams.items()}
    seconds: dict[str, list[float]] = {name: [] for name in teams}
    for _ in range(rounds):
        for name, team in teams.items():
            seconds[name].append(team.run(number)[0])
    for team in teams.values():
        team.close()
    return seconds, first


def serve(module: str, name: str, member: str) -> None:
    """Read numbers of cases from standard input; answer each with a line of JSON."""
    index, count = map(int, member.split("/"))
    if count > 1:
        os.sched_setaffinity(0, {available_cores()[index]})
    races = importlib.import_module(module)
    contenders: Mapping[str, Contender] = races.CONTENDERS
    if name not in getattr(races, "PLAIN", ()):
        train.configure("float32")
        jax.config.update("jax_enable_compilation_cache", False)
    ready: dict[int, Callable[[], Any]] = {}
    for line in sys.stdin:
        number = int(line)
        if number not in ready:
            ready[number] = contenders[name](number, index, count)
        began = time.perf_counter()
        result = ready[number]()
        print(json.dumps({"seconds": time.perf_counter() - began, "result": result}), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
