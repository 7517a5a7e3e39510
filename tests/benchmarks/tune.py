"""Some tens of small trainings by the command, and as trials of Ray Tune that call the same jitted whole run.

Both may use two cores and find their programs compiled. Ray wants the extra `peers`, here or in the interpreter that
RAY_PYTHON names; without it only the command is timed.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import analysis
from sweep import grid
from sweep.commands import train
from sweep.planning import plan
from tests import ROOT
from tests.benchmarks.throughput import TEST_POINTS, on_filters, whole_run

SEEDS = 16
OPTIMIZERS = {"adam": "{kind: adam, lr: 5.0e-5}", "gd": "{kind: gd, lr: 0.02}"}
TRIALS = SEEDS * len(OPTIMIZERS)
TUNER = """
import json, sys, time
import ray
from ray import tune

def train(config):
    from tests.benchmarks.tune import final_loss
    tune.report({"train_loss": final_loss(**config)})

folder, seeds, reuse = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1"
local = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "_temp_dir": folder + "/ray"}
ray.init("local", num_cpus=2, log_to_driver=False, **local)
tuner = tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    param_space={"optimizer": tune.grid_search(["adam", "gd"]), "seed": tune.grid_search(list(range(seeds)))},
    tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=reuse),
    run_config=tune.RunConfig(name="tune", storage_path=folder + "/results", verbose=0),
)
began = time.perf_counter()
found = tuner.fit()
fit = time.perf_counter() - began
rows = sorted((each.config["optimizer"], each.config["seed"], each.metrics["train_loss"]) for each in found)
ray.shutdown()
print("\\n" + json.dumps({"fit": fit, "losses": [loss for _, _, loss in rows]}))
"""
"""A script of Ray Tune: two trials at a time, a core each, that report their final training loss."""


def grid_text(optimizers: str, coordinates: str = "auto") -> str:
    """The smallest case of `throughput`."""
    return f"""
name: tune
seed: {{range: [0, {SEEDS}]}}
data: {{kind: feature_noise, n: 20, d: 100, sparsity: 10, noise: 0.1, feature_noise: 0.2}}
model: {{kind: cnn, width: 10, power: 3, init_scale: 0.01}}
objective: {{kind: logistic, l2: 1e-5}}
optimizer: {optimizers}
train: {{steps: 2000}}
coordinates: {coordinates}
test_points: {TEST_POINTS}
record: {{points: 0}}
"""


@functools.cache
def prepared(optimizer: str) -> tuple[Callable[[Any], jax.Array], Any]:
    """What a process of Ray makes once: the jitted whole run and the trials of an optimizer."""
    train.configure("float32")
    text = grid_text(OPTIMIZERS[optimizer], "ambient")
    (bucket,) = plan.make_plan(grid.parse_grid(text), plan.Host("cpu", 1)).buckets
    return jax.jit(functools.partial(whole_run, loss=on_filters)), bucket.trials()


def final_loss(optimizer: str, seed: int) -> float:
    """One trial of Ray Tune."""
    compiled, trials = prepared(optimizer)
    return float(compiled(jax.tree.map(lambda leaf: leaf[seed], trials)))


def by_command(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """The command into a new store: seconds, files, losses by optimizer and seed."""
    ask = [
        sys.executable,
        "-m",
        "sweep.run",
        str(folder.parent / "grid.yaml"),
        "--out",
        str(folder),
        "--quiet",
    ]
    began = time.perf_counter()
    subprocess.run(ask, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    rows = analysis.load(folder).astype({"optimizer": str}).sort_values(["optimizer", "seed"])
    return {"all": seconds, "files": _files(folder), "losses": rows["train_loss"].tolist()}


def by_ray(
    folder: Path, environment: dict[str, str], seeds: int = SEEDS, reuse: bool = False
) -> dict[str, Any]:
    """The script into a new folder: seconds of all of it and of `fit`, files, losses by optimizer and seed."""
    ask = [
        os.environ.get("RAY_PYTHON", sys.executable),
        "-c",
        TUNER,
        str(folder),
        str(seeds),
        str(int(reuse)),
    ]
    began = time.perf_counter()
    answer = subprocess.run(ask, env=environment, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    told = json.loads(answer.stdout.splitlines()[-1])
    return {"all": seconds, "files": _files(folder / "results"), **told}


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def run(rounds: int) -> list[dict[str, Any]]:
    """All in turn, after runs that leave nothing to compile in a round."""
    with tempfile.TemporaryDirectory() as name:
        folder, environment = Path(name), _environment(name)
        (folder / "grid.yaml").write_text(grid_text(f"[{', '.join(OPTIMIZERS.values())}]"))
        contenders: dict[str, Callable[..., dict[str, Any]]] = {"sweep": by_command}
        by_command(folder / "first", environment)
        if "RAY_PYTHON" in os.environ or importlib.util.find_spec("ray"):
            contenders |= {
                "Ray Tune": by_ray,
                "Ray Tune, actors reused": functools.partial(by_ray, reuse=True),
            }
            by_ray(folder / "few", environment, seeds=1)
        found = []
        for number in range(rounds):
            places = (
                folder / f"{number}.{i}" for i in range(len(contenders))
            )  # short, for the sockets of Ray
            answers = {
                how: contenders[how](place, environment)
                for how, place in zip(contenders, places, strict=True)
            }
            losses = np.array([answer.pop("losses") for answer in answers.values()])
            found.append(
                {"contenders": answers, "apart": float(np.max(np.abs(losses / losses[0] - 1)))}
            )
    return found


def _environment(cache: str) -> dict[str, str]:
    """A compile cache of our own, and Ray on loopback alone with a password for this run."""
    kept = {
        name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"
    }
    alone = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # otherwise Ray takes 127.0.0.1 to mean the machine's own address
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(),  # otherwise Ray writes one into the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return {**kept, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(ROOT), **alone}


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        f"| how | seconds for {TRIALS} trials | seconds a trial | in `fit` alone | files left "
        "| over sweep (range) | losses |",
        "|---|---|---|---|---|---|---|",
    ]
    apart = max(each["apart"] for each in found)
    for how, told in found[0]["contenders"].items():
        mine = [each["contenders"][how] for each in found]
        over = sorted(
            each["contenders"][how]["all"] / each["contenders"]["sweep"]["all"] for each in found
        )
        whole = statistics.median(each["all"] for each in mine)
        fit = (
            f"{statistics.median(each['fit'] for each in mine) / TRIALS:.3f}"
            if "fit" in told
            else ""
        )
        lines.append(
            f"| {how} | {whole:.1f} | {whole / TRIALS:.3f} | {fit} | {told['files']} "
            f"| {statistics.median(over):.1f} ({over[0]:.1f} to {over[-1]:.1f}) | {apart:.0e} |"
        )
    return lines
