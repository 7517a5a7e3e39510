"""Stores as a sweep leaves them, with planted numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.tables.columns import read_descriptions
from sweep import schema
from sweep.grid import parse_grid
from sweep.planning.manifest import descriptions

GRID = """# Does Adam generalize worse than gradient descent?
# A synthetic store for the tests of the analysis.

name: planted  # the name of the page
seed: {range: [0, 4]}
"""

DESCRIBED = """
name: described
seed: [0]
data: [{kind: feature_noise, n: 8, d: 16, sparsity: 4}, {kind: signal_noise}, {kind: separable}]
model: {kind: cnn}
objective: {kind: logistic}
optimizer: [{kind: gd, lr: 0.1}, {kind: adam, lr: 0.1}]
"""
"""A grid of the kinds of the planted rows: their columns mean what they mean in a sweep."""

INTEGERS = ("n", "d", "sparsity", "width", "power", "batch_size", "max_steps")
FLOATS = ("flip", "snr", "noise", "feature_noise", "l2", "lr", "b1", "weight_decay", "target_loss")
FIELDS: dict[str, type] = {
    **dict.fromkeys(INTEGERS, int),
    **dict.fromkeys(FLOATS, float),
    "flip_test": bool,
    **dict.fromkeys(("test_ties", "validation_error"), schema.Observable),
}
SETTING = {
    "data": "feature_noise",
    "model": "cnn",
    "objective": "logistic",
    "coordinates": "ambient",
}
SETTING |= {
    "n": 20,
    "d": 100,
    "sparsity": 10,
    "feature_noise": 0.2,
    "width": 10,
    "power": 3,
    "l2": 1e-5,
}
SETTING |= {
    "batch_size": 20,
    "max_steps": 100,
    "steps": 100,
    "status": "out_of_steps",
    "train_error": 0.0,
}

Row = dict[str, Any]


def row(trial: int, problem: int, optimizer: str, **values: Any) -> Row:
    """One run; what is not given is a constant of the sweep or null."""
    own = {"adam": {"lr": 1e-3, "b1": 0.9}, "gd": {"lr": 0.1}}.get(optimizer, {"lr": 0.01})
    made: Row = {
        **SETTING,
        "trial": trial,
        "problem": problem,
        "optimizer": optimizer,
        "seed": 0,
        **own,
        **values,
    }
    if "noise" not in made and made.get("snr") is not None:
        made["noise"] = 1 / (made["snr"] * made["sparsity"] ** 0.5)
    made.setdefault("train_loss", 0.01)
    if made.get("test_error") is not None:
        made.setdefault("generalization_gap", made["test_error"] - made["train_error"])
    return made


def plane(
    error: Callable[[str, float, float, int], float],
    snrs: Iterable[float] = (0.1, 0.3, 1.0),
    alphas: Iterable[float] = (0.1, 0.2),
    seeds: int = 4,
    optimizers: Iterable[str] = ("adam", "gd"),
) -> list[Row]:
    """One run of each optimizer, snr, feature_noise and seed, with test error error(optimizer, snr, alpha, seed)."""
    points = [(snr, alpha, seed) for snr in snrs for alpha in alphas for seed in range(seeds)]
    return [
        row(
            10 * problem + k,
            problem,
            name,
            snr=snr,
            feature_noise=alpha,
            seed=seed,
            test_error=error(name, snr, alpha, seed),
            feature=1.0 if name == "gd" else -0.2,
            noise_min=0.5,
        )
        for problem, (snr, alpha, seed) in enumerate(points)
        for k, name in enumerate(optimizers)
    ]


def planted(optimizer: str, snr: float, alpha: float, seed: int) -> float:
    """GD generalizes everywhere; Adam fails by 0.5 at small snr. Seeds move both together, so pairs differ by less."""
    shared, own = 0.01 * seed, 0.002 * seed * (optimizer == "adam")
    return shared + own + (0.5 if optimizer == "adam" and snr < 0.5 else 0.0)


def bend(rows: Iterable[Mapping[str, Any]], steps: Iterable[int] = (0, 1, 10, 100)) -> list[Row]:
    """Curves for rows: feature and noise_min grow linearly in the step to the final value."""
    return [
        {"trial": each["trial"], "step": step, "test_error": None}
        | {
            name: each[name] * step / 100
            for name in ("feature", "noise_min")
            if each.get(name) is not None
        }
        for each in rows
        for step in steps
    ]


def frame(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of runs in the sweep's schema."""
    return pa.Table.from_pylist(list(map(dict, rows)), schema=schema.runs(FIELDS))


def write_store(
    folder: Path,
    rows: list[Row],
    curves: list[Row] | None = None,
    trials: int | None = None,
    parts: int = 3,
) -> Path:
    """Write a store of several parts, with the names that readers must skip beside them."""
    for name in ("runs", "curves") if curves else ("runs",):
        (folder / name).mkdir(parents=True)
        (folder / name / "_tmp-host-1-00").write_bytes(b"half a part")
        (folder / name / ".hidden.parquet").write_bytes(b"no part")
    for k in range(parts):
        _write(frame(rows[k::parts]), folder / "runs" / f"part-{k}.parquet")
    if curves:
        _write(
            pa.Table.from_pylist(curves, schema=schema.curves()),
            folder / "curves" / "part-0.parquet",
        )
    info = {"host": "here", **descriptions(parse_grid(DESCRIBED))} | (
        {"trials": trials} if trials is not None else {}
    )
    (folder / "manifest.json").write_text(
        json.dumps({"dtype": "float32", "versions": {"jax": "0.10"}, "info": info})
    )
    (folder / "grid.yaml").write_text(GRID)
    return folder


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, write_page_checksum=True)


@pytest.fixture(scope="session", autouse=True)
def _meanings() -> None:
    """Frames that no store was read for have columns of the same meaning."""
    read_descriptions({"info": descriptions(parse_grid(DESCRIBED))})


@pytest.fixture(scope="session")
def make() -> Any:
    """The helpers of this file, as attributes: tests of other folders may have a conftest of their own."""
    return Helpers


class Helpers:
    """The functions above under one name."""

    row, plane, planted = staticmethod(row), staticmethod(plane), staticmethod(planted)
    bend, write_store = staticmethod(bend), staticmethod(write_store)

    @staticmethod
    def runs(rows: Iterable[Mapping[str, Any]]) -> Any:
        """Rows as the pandas frame that `load` would give."""
        return frame(rows).to_pandas()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store of 3 x 2 cells, 4 seeds and two optimizers, with curves. Read only."""
    rows = plane(planted)
    return write_store(
        tmp_path_factory.mktemp("store") / "planted", rows, bend(rows), trials=len(rows)
    )


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in each run."""
    return np.random.default_rng(0)
