"""`python -m tests.benchmarks [--rounds R] [--json FILE]`: the table of the README, measured in interleaved rounds."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.cases import CASES, Case

NAMES = ("loop", "engine")


def ask(process: subprocess.Popen[str], number: int) -> dict[str, Any]:
    """Let a contender train a case once."""
    assert process.stdin is not None and process.stdout is not None
    print(number, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def race(number: int, rounds: int, processes: dict[str, subprocess.Popen[str]]) -> dict[str, Any]:
    """Rounds of all contenders in turn on one case: seconds of each round, and how far their losses are apart."""
    answers = [{name: ask(process, number) for name, process in processes.items()} for _ in range(rounds)]
    losses = [np.array(answers[0][name]["losses"]) for name in NAMES]
    seconds = {name: [answer[name]["seconds"] for answer in answers] for name in NAMES}
    return {"seconds": seconds, "apart": float(np.max(np.abs(losses[0] / losses[1] - 1)))}


def row(case: Case, found: dict[str, Any]) -> str:
    """A line of the table."""
    loop, engine = (found["seconds"][name] for name in NAMES)
    ratios = sorted(a / b for a, b in zip(loop, engine, strict=True))
    rates = [case.trials / statistics.median(each) for each in (loop, engine)]
    speed = case.flops / statistics.median(engine) / 1e9
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return (
        f"| {case.n}, {case.d}, {case.width} | {case.optimizer} | {case.steps:,} | {rates[0]:.1f} | {rates[1]:.1f} "
        f"| {statistics.median(ratios):.2f} ({spread}) | {speed:.0f} | {found['apart']:.0e} |"
    )


def main() -> None:
    """Race the engine against a Python loop over a jitted whole run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    command = [sys.executable, "-m", "tests.benchmarks.contenders"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = {name: subprocess.Popen([*command, name], **pipes) for name in NAMES}
    print("| n, d, width | optimizer | steps | loop, trials/s | engine, trials/s | ratio (range) | GFLOP/s | losses |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for number, case in enumerate(CASES):
        results.append({"case": vars(case), **race(number, options.rounds, processes)})
        print(row(case, results[-1]), flush=True)
    for process in processes.values():
        process.communicate()
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
