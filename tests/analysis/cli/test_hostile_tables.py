"""Every command ends soon, with a sentence or a picture, whatever the tables of a store hold."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from analysis.__main__ import app
from tests.sampling import every

Change = Callable[[pd.DataFrame], pd.DataFrame]

HUGE = "x" * 10**6
MARKUP = "[bold red]\x1b]0;title\x07$\\frac{$ </script> =1+1"


def constant(**values: Any) -> Change:
    return lambda table: table.assign(**values)


def renamed(name: str) -> Change:
    """One of the two optimizers with another name."""
    return lambda table: table.replace({"optimizer": {"adam": name}})


def many(count: int, column: str, kind: Callable[[int], Any]) -> Change:
    """Rows that differ in one column only, and in their ids."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        rows = pd.concat([table.head(1)] * count, ignore_index=True)
        index = np.arange(count)
        return rows.assign(**{column: [kind(i) for i in index], "trial": index, "problem": index})

    return change


TABLES: dict[str, Change] = {
    "nothing but NaN": lambda table: table.assign(
        **dict.fromkeys(table.select_dtypes("float").columns, np.nan)
    ),
    "infinite values": constant(test_error=np.inf, train_loss=-np.inf, snr=np.inf),
    "huge numbers": constant(test_error=1e308, train_loss=-1e308, n=2**62, d=-(2**62)),
    "tiny numbers": constant(test_error=5e-324, snr=5e-324),
    "negative axes": lambda table: table.assign(snr=-table["snr"], n=-table["n"]),
    "text for numbers": constant(test_error="high", snr="low"),
    "numbers for text": constant(optimizer=1.5, status=3),
    "text for seeds": constant(seed="zero"),
    "no text at all": constant(optimizer=None, data=None, model=None, status=None),
    "times": constant(test_error=pd.Timestamp("2024-02-28")),
    "bytes": constant(optimizer=b"\xff\x00"),
    "lists": lambda table: table.assign(snr=[[1.0, 2.0]] * len(table)),
    "mappings": lambda table: table.assign(test_error=[{"a": 1}] * len(table)),
    "mixed signs of zero": lambda table: table.assign(snr=np.where(table["seed"] % 2, 0.0, -0.0)),
    "one row": lambda table: table.head(1),
    "no row": lambda table: table.head(0),
    "the same trial everywhere": constant(trial=7),
    "the same problem everywhere": constant(problem=7),
    "missing ids": lambda table: table.drop(columns=["trial", "problem"]),
    "missing optimizer": lambda table: table.drop(columns="optimizer"),
    "missing seed and status": lambda table: table.drop(columns=["seed", "status", "steps"]),
    "missing observables": lambda table: table.drop(
        columns=["test_error", "generalization_gap", "margin_l2", "train_error", "fit_step"]
    ),
    "ids alone": lambda table: table[["trial", "problem", "optimizer"]],
    "a name of a million characters": renamed(HUGE),
    "a name of markup": renamed(MARKUP),
    "an empty name": renamed(""),
    "columns of our own names": constant(mean=1.0, low=2.0, difference=3.0, a=4.0, _value=5.0),
    "100,000 optimizers": many(100_000, "optimizer", lambda i: f"optimizer-{i}"),
    "100,000 seeds": many(100_000, "seed", int),
    "100,000 values of x": many(100_000, "snr", lambda i: 0.1 + i),
}

COMMANDS = {
    "phase": (),
    "gap": (),
    "boundary": (),
    "collapse": ("--size", "feature_noise"),
    "curves": (),
    "matched": (),
    "refine": (),
    "report": (),
    "watch": ("--where", "snr != 12345"),
}


SECONDS = 20
"""Processor time in which a command ends, also one that draws a page of figures."""


def some(number: int) -> list[str]:
    """Two of the commands, others for each number."""
    names = list(COMMANDS)
    return [names[number % len(names)], names[(number + 3) % len(names)]]


@pytest.mark.thorough
@pytest.mark.parametrize("name", every(4, TABLES))
def test_commands_end_with_a_sentence_or_a_picture(name: str, make: Any, tmp_path: Path):
    check_commands(name, some(list(TABLES).index(name) // 4), make, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_each_command_ends_so_for_each_table(name: str, make: Any, tmp_path: Path):
    check_commands(name, COMMANDS, make, tmp_path)


def check_commands(name: str, commands: Iterable[str], make: Any, tmp_path: Path) -> None:
    rows = make.plane(make.planted, seeds=2)
    folder = make.write_store(tmp_path / "s", rows, make.bend(rows), parts=1)
    part = folder / "runs" / "part-0.parquet"
    table = TABLES[name](pd.read_parquet(part))
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), part)
    # The manifest says that this is all, so that `watch` ends.
    trials = table.get("trial", table.index).nunique()
    (folder / "manifest.json").write_text(json.dumps({"info": {"trials": trials}}))
    for command in commands:
        start = time.process_time()
        arguments = [command, str(folder), *COMMANDS[command]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = CliRunner().invoke(app, arguments)
        taken = time.process_time() - start
        assert isinstance(result.exception, SystemExit | None), (command, result.exception)
        assert result.exit_code in (0, 1) and result.output.strip(), (command, result.output)
        assert "\x1b]" not in result.output and "\x07" not in result.output
        assert taken < SECONDS, (command, taken)
    assert {path.name for path in tmp_path.iterdir()} <= {"s", "s-refined"}
