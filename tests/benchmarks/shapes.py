"""Mixed shapes, compilation counted: the planner's padding, exact groups, one program for all, powers of two."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from sweep import grid
from sweep.engine.driver import Driver
from sweep.engine.recorder import RecordSchedule
from sweep.engine.trial_source import TrialList
from sweep.planning import cost_model, packing, plan
from tests.benchmarks.teams import Team

SEEDS = 40
GRID = f"""
name: shapes
seed: {{range: [0, {SEEDS}]}}
data: {{kind: signal_noise, n: 16, d: [16, 50, 100, 200, 400], signal: 2, noise: 1}}
model: {{kind: cnn, width: [4, 8, 16, 32, 64], power: 2, readout: mean, init_scale: 0.05}}
optimizer: [{{kind: adam, lr: 1.0e-3}}, {{kind: momentum, lr: 0.05}}]
train: {{steps: 2000}}
coordinates: ambient
test_points: 1000
record: {{points: 0}}
"""
"""25 shapes, two optimizers, 2,000 trials."""


def exact(groups: Callable[..., Any]) -> Callable[..., Any]:
    """A program for each shape."""
    return _at(0.0, groups)


def one(groups: Callable[..., Any]) -> Callable[..., Any]:
    """One program for each optimizer, padded to the largest of everything."""
    return _at(1e9, groups)


def _at(seconds: float, groups: Callable[..., Any]) -> Callable[..., Any]:
    def packed(source: Any, settings: Any) -> Any:
        before, cost_model.COMPILE = cost_model.COMPILE, seconds
        try:
            return groups(source, settings)
        finally:
            cost_model.COMPILE = before

    return packed


def powers(groups: Callable[..., Any]) -> Callable[..., Any]:
    """Sizes rounded up to powers of two."""

    def packed(source: Any, settings: Any) -> Any:
        packer = packing._Packer(source, settings)
        alike: dict[Any, list[Any]] = {}
        for group in packer.exact:
            up = {name: 1 << (group.statics[name] - 1).bit_length() for name in ("d", "width")}
            alike.setdefault(tuple(up.items()), []).append(group)
        found = []
        for up, members in alike.items():
            pieces = tuple(piece for group in members for piece in group.pieces)
            made = packer._group(
                {**members[0].statics, **dict(up)}, pieces, members[0].steps, *members
            )
            found.append(made)
        return found

    return packed


STRATEGIES: Mapping[str, Callable[..., Any]] = {
    "planner": lambda groups: groups,
    "exact groups": exact,
    "one program": one,
    "powers of two": powers,
}


def contender(name: str) -> Callable[[int, int, int], Callable[[], Any]]:
    """A worker that trains everything, compilation included, in programs packed in some way."""

    def prepare(number: int, index: int, count: int) -> Callable[[], Any]:
        packing.packed_groups = STRATEGIES[name](packing.packed_groups)
        found = plan.make_plan(grid.parse_grid(GRID), plan.Host("cpu", count), (index, count))

        def train() -> Any:
            jax.clear_caches()
            losses = np.zeros(0)
            for bucket in found.buckets:
                for ended in Driver(
                    TrialList(bucket.trials()),
                    bucket.lanes,
                    bucket.block,
                    RecordSchedule(0, False, 1000),
                ):
                    losses = np.append(losses, ended.runs["train_loss"])
            return {"programs": len(found.buckets), "loss": float(np.sort(losses).sum())}

        return train

    return prepare


CONTENDERS = {name: contender(name) for name in STRATEGIES}


def run(rounds: int) -> list[dict[str, Any]]:
    """Race all packings on one core each; nothing is warm, since each round forgets what it has compiled."""
    teams = {name: Team(__name__, name) for name in CONTENDERS}
    seconds: dict[str, list[float]] = {name: [] for name in teams}
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for name, team in teams.items():
            taken, (answers[name],) = team.run(0)
            seconds[name].append(taken)
    for team in teams.values():
        team.close()
    return [{"name": name, "seconds": seconds[name], **answers[name]} for name in teams]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    planner = next(each for each in found if each["name"] == "planner")
    ratios = {
        each["name"]: [a / b for a, b in zip(planner["seconds"], each["seconds"], strict=True)]
        for each in found
    }
    return [
        "| packing | programs | seconds | planner over it (range) | sum of losses |",
        "|---|---|---|---|---|",
        *(
            f"| {each['name']} | {each['programs']} | {statistics.median(each['seconds']):.1f} "
            f"| {statistics.median(ratios[each['name']]):.2f} "
            f"({min(ratios[each['name']]):.2f} to {max(ratios[each['name']]):.2f}) | {each['loss']:.6f} |"
            for each in found
        ),
    ]
