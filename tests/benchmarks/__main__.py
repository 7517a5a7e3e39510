"""`python -m tests.benchmarks [NAME ...] [--rounds R] [--json FILE]`: the tables of docs/performance.md, measured here.

`systems` trains what docs/systems tells of; names of systems behind it choose some of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
from pathlib import Path
from typing import Any

from tests.benchmarks.systems import SYSTEMS

NAMES = (
    "throughput",
    "tail",
    "shapes",
    "relu",
    "released",
    "coordinates",
    "store",
    "plans",
    "compiles",
    "refinement",
    "tune",
    "systems",
    "expansion",
)
"""The benchmarks: each module has `run(rounds)`, its figures, and `table(figures)`, lines of Markdown."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Race the engine against honest baselines, in interleaved rounds."
    )
    parser.add_argument(
        "names", nargs="*", choices=[*NAMES, *SYSTEMS, []], help="all of them by default"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    }
    systems = [name for name in options.names if name in SYSTEMS]
    chosen = [name for name in options.names if name in NAMES]
    for name in chosen or (["systems"] if systems else NAMES):
        module = importlib.import_module(f"tests.benchmarks.{name}")
        figures[name] = module.run(options.rounds, *(systems if name == "systems" else ()))
        print(
            "\n".join([f"\n### {name}\n", module.__doc__ or "", "", *module.table(figures[name])]),
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1))
    print(f"\n{figures['machine']}, load {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
