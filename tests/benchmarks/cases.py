"""What is timed: the core experiment at several sizes, as a grid that every contender trains."""

from __future__ import annotations

from dataclasses import dataclass

TEST_POINTS = 1000


@dataclass(frozen=True)
class Case:
    """Trainings of one size with one optimizer."""

    n: int
    d: int
    width: int
    optimizer: str
    steps: int
    trials: int

    @property
    def flops(self) -> float:
        """Floating-point operations of all steps: two matrix products of n x d x 2 width a step."""
        return 4.0 * self.n * self.d * 2 * self.width * self.steps * self.trials

    @property
    def grid(self) -> str:
        """The grid file of the case."""
        lr = {"gd": 0.02, "adam": 5e-5}[self.optimizer]
        return f"""
name: benchmark
seed: {{range: [0, {self.trials}]}}
data: {{kind: feature_noise, n: {self.n}, d: {self.d}, sparsity: {self.d // 10}, noise: 0.1, feature_noise: 0.2}}
model: {{kind: cnn, width: {self.width}, power: 3, init_scale: 0.01}}
objective: {{kind: logistic, l2: 1e-5}}
optimizer: {{kind: {self.optimizer}, lr: {lr}}}
train: {{steps: {self.steps}}}
test_points: {TEST_POINTS}
record: {{points: 0}}
"""


SIZES = ((20, 100, 10, 2000, 64), (40, 400, 20, 1000, 32), (200, 1000, 20, 400, 16))
CASES = tuple(Case(n, d, m, kind, steps, trials) for n, d, m, steps, trials in SIZES for kind in ("gd", "adam"))
