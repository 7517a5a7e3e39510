"""The ReLU figure: all 100,000 trainings from the command to the last row, beside a plain torch loop.

The torch loop wants the extra `torch`; without it only the sweep is timed.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).parents[2] / "configs" / "benign_relu.yaml"
TRIALS = 100_000
LOOP = """
import math, sys, time
import torch
evaluate_always = sys.argv[1] == "1"

class CNN(torch.nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.filters = torch.nn.Linear(d, 2 * m)
        torch.nn.init.normal_(self.filters.weight, std=1 / math.sqrt(3 * d))
        self.register_buffer("second", torch.cat([torch.ones(m), -torch.ones(m)]))

    def forward(self, x):
        return torch.relu(self.filters(x)).mean(1) @ self.second

def sample(n, d, signal):
    y = torch.randint(0, 2, (n,)) * 2.0 - 1
    x = torch.zeros(n, 2, d)
    x[:, 0, 0] = y * signal
    x[:, 1] = torch.randn(n, d)
    return x, torch.where(torch.rand(n) < 0.1, -y, y)

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

train(100, 1.0)
began, count = time.perf_counter(), 0
for d in range(100, 1100, 50):
    train(d, 3.0)
    count += 1
print((time.perf_counter() - began) / count)
"""
"""A training as scripts of the field do it; with 1, the test error after each step, as they often plot it."""


def run(rounds: int) -> list[dict[str, Any]]:
    """The command with an empty cache and a warm one; the torch loop on all cores."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            times: dict[str, float] = {}
            environment = {**os.environ, "XDG_CACHE_HOME": name}
            for run in ("cold", "warm"):
                began = time.perf_counter()
                ask = [sys.executable, "-m", "sweep.run", str(CONFIG), "--out", f"{name}/{run}", "--quiet"]
                subprocess.run(ask, env=environment, check=True, capture_output=True)
                times[run] = time.perf_counter() - began
            python = os.environ.get("TORCH_PYTHON", sys.executable)
            if python != sys.executable or importlib.util.find_spec("torch"):
                for title, always in (("torch", "0"), ("torch, tested each step", "1")):
                    answer = subprocess.run([python, "-c", LOOP, always], check=True, capture_output=True, text=True)
                    times[title] = float(answer.stdout) * TRIALS
            found.append(times)
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    best = statistics.median(each["cold"] for each in found)
    lines = ["| how | seconds for 100,000 trainings | trainings/s | sweep over it |", "|---|---|---|---|"]
    for name in found[0]:
        seconds = statistics.median(each[name] for each in found)
        lines.append(f"| {name} | {seconds:,.0f} | {TRIALS / seconds:,.0f} | {seconds / best:.1f} |")
    return lines
