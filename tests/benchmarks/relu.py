"""The ReLU figure: all 100,000 trainings from the command to the last row, beside torch: a plain loop, and torch.func.

Torch wants the extra `torch`, here or in the interpreter that TORCH_PYTHON names; without it only the sweep is timed.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests import ROOT

CONFIG = ROOT / "configs" / "benign_relu.yaml"
TRIALS = 100_000
PARTS = """
import math, sys, time
import torch

class CNN(torch.nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.filters = torch.nn.Linear(d, 2 * m)
        torch.nn.init.normal_(self.filters.weight, std=1 / math.sqrt(3 * d))
        self.register_buffer("second", torch.cat([torch.ones(m), -torch.ones(m)]))

    def forward(self, x):
        return torch.relu(self.filters(x)).sum(1) @ self.second

def sample(n, d, signal):
    y = torch.randint(0, 2, (n,)) * 2.0 - 1
    x = torch.zeros(n, 2, d)
    x[:, 0, 0] = y * signal
    x[:, 1] = torch.randn(n, d)
    return x, torch.where(torch.rand(n) < 0.1, -y, y)
"""
"""Network and data, as scripts of the field write them."""
TIMED = """
train(100, 1.0)
began, count = time.perf_counter(), 0
for d in range(100, 1100, 50):
    train(d, 3.0)
    count += 1
print((time.perf_counter() - began) / count)
"""
"""Seconds of a training by a plain loop, the first one left out."""
LOOP = """
evaluate_always = sys.argv[1] == "1"

def train(d, signal):
    net = CNN(d, 10)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    (x, y), (fresh, labels) = sample(20, d, signal), sample(1000, d, signal)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.softplus(-y * net(x)).mean().backward()
        optimizer.step()
        if evaluate_always:
            with torch.no_grad():
                (labels * net(fresh) <= 0).float().mean().item()
    with torch.no_grad():
        return (labels * net(fresh) <= 0).float().mean().item()
"""
"""A plain loop whose data is made by one call; with 1, the test error after each step, as it is often plotted."""
TOGETHER = """
from torch.func import functional_call, grad, stack_module_state, vmap
MODELS = 100

def train(d, signal):
    nets = [CNN(d, 10) for _ in range(MODELS)]
    params, buffers = stack_module_state(nets)
    x, y = map(torch.stack, zip(*[sample(20, d, signal) for _ in nets]))

    def loss(params, buffers, x, y):
        return torch.nn.functional.softplus(-y * functional_call(nets[0], (params, buffers), (x,))).mean()

    def error(params, x, y):
        return (y * functional_call(nets[0], params, (x,)) <= 0).float().mean().item()

    gradients = vmap(grad(loss))
    with torch.no_grad():
        for _ in range(100):
            for name, gradient in gradients(params, buffers, x, y).items():
                params[name].sub_(gradient, alpha=0.1)
        return [error({name: w[i] for name, w in params.items()}, *sample(1000, d, signal)) for i in range(MODELS)]

train(100, 1.0)
began, count = time.perf_counter(), 0
for d in range(100, 1100, 50):
    count += len(train(d, 3.0))
print((time.perf_counter() - began) / count)
"""
"""The same trainings, MODELS at a time in stacked weights; each is tested on points of its own."""
PUBLISHED = """
import numpy as np

class Convolution(torch.nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.filters, self.m = torch.nn.Conv1d(1, 2 * m, d, stride=d), m

    def forward(self, x):
        each = torch.relu(self.filters(x)).sum(2)
        return torch.stack([each[:, self.m:].sum(1), each[:, :self.m].sum(1)], dim=1)

def one_by_one(n, d, signal):
    points, labels = [], []
    for _ in range(n):
        mu = torch.zeros(1, d)
        mu[0, 0] = signal
        y = np.random.choice([-1, 1])
        patches = torch.stack([mu[0] * y, torch.tensor(np.random.normal(0, 1.0, size=d))])
        points.append(patches[torch.randperm(2)].flatten())
        labels.append(y * np.random.choice([-1, 1], p=[0.1, 0.9]))
    return torch.stack(points).unsqueeze(1).float(), (torch.tensor(np.array(labels)) + 1) // 2

def train(d, signal):
    x, y = one_by_one(20 + 1000, d, signal)
    net, entropy = Convolution(d, 10), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        entropy(net(x[:20]), y[:20]).backward()
        optimizer.step()
    with torch.no_grad():
        entropy(net(x[:20]), y[:20]).item()
        return (net(x[20:]).argmax(1) != y[20:]).float().mean().item()
"""
"""A training as the released script of arXiv 2303.04145 makes it for this very figure: its points one by one in Python,
a convolution over the patches side by side, two logits, one test at the end. Our words, its order of work, but the sum
over patches, with which its grid was made."""
TORCH = {
    "torch, as the paper's script": (PUBLISHED + TIMED,),
    "torch, data at once": (LOOP + TIMED, "0"),
    "torch, data at once, tested each step": (LOOP + TIMED, "1"),
    "torch.func, 100 at a time": (TOGETHER,),
}


def run(rounds: int) -> list[dict[str, Any]]:
    """The command with an empty cache and a warm one; torch on all cores."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            times: dict[str, float] = {}
            environment = {**os.environ, "XDG_CACHE_HOME": name}
            for run in ("cold", "warm"):
                began = time.perf_counter()
                ask = [
                    sys.executable,
                    "-m",
                    "sweep.run",
                    str(CONFIG),
                    "--out",
                    f"{name}/{run}",
                    "--quiet",
                ]
                subprocess.run(ask, env=environment, check=True, capture_output=True)
                times[run] = time.perf_counter() - began
            python = os.environ.get("TORCH_PYTHON", sys.executable)
            if python != sys.executable or importlib.util.find_spec("torch"):
                for title, (script, *given) in TORCH.items():
                    ask = [python, "-c", PARTS + script, *given]
                    answer = subprocess.run(ask, check=True, capture_output=True, text=True)
                    times[title] = float(answer.stdout) * TRIALS
            found.append(times)
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    best = statistics.median(each["cold"] for each in found)
    lines = [
        "| how | seconds for 100,000 trainings | trainings/s | sweep over it |",
        "|---|---|---|---|",
    ]
    for name in found[0]:
        seconds = statistics.median(each[name] for each in found)
        lines.append(
            f"| {name} | {seconds:,.0f} | {TRIALS / seconds:,.0f} | {seconds / best:.1f} |"
        )
    return lines
