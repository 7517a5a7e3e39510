"""What a trial costs: estimated seconds on one core among busy ones, from its shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.data.base import AbstractGaussian, feature_count
from sweep.filters import COORDINATES
from sweep.models.base import AbstractFiltered
from sweep.optimizers.base import AbstractOptimizer
from sweep.training.batches import batch_size
from sweep.trial import Trial

COMPILE = 5.0
"""Seconds to compile the programs of a bucket."""
STEP, FLOPS, FLOATS = 4e-6, 9e10, 2e9
"""A step: overhead of up to 8 lanes in seconds, operations a second, trained numbers and moments a second."""
SPAN_ALONE, AMBIENT_ALONE = 6e4, 3e5
"""Operations of a step from which a lane is faster alone than under vmap."""
TRIAL, DRAW = 1e-4, 1e-8
"""A trial besides its steps; a random number."""
LAW, SPARSE = 5e-9, 1.3e-8
"""What a fresh point costs, its random numbers being there: a filter by its law, a coordinate of a sparse vector."""


@dataclass(frozen=True)
class Cost:
    """Estimates for one trial: operations of a step, seconds of a step, of all steps and measurements together.

    `block` lanes are best trained under one vmap on a CPU core.
    """

    flops: float
    step: float
    seconds: float
    block: int


def estimate(trial: Trial, steps: float, measured: int) -> Cost:
    """The cost of a trial of so many steps that is measured on so many fresh points altogether.

    Lane fields of `trial` are not looked at.
    """
    if not isinstance(trial.model, AbstractFiltered):
        rows, products, draws, units = int(trial.data.d), 2, int(trial.data.d) * int(trial.data.n), 1
    else:
        system, source = COORDINATES[trial.coordinates], trial.source
        rows, products, draws, units = system.rows(source), system.products, system.draws(source), source.units
    tokens = batch_size(trial) * trial.data.noise_vectors
    flops = 2.0 * products * tokens * rows * units
    block = 16 if flops < 1e4 else 4 if flops < (SPAN_ALONE, AMBIENT_ALONE)[products - 1] else 1
    step = STEP / min(block, 8) + flops / FLOPS + rows * units * (1 + moments(trial.optimizer)) / FLOATS
    return Cost(flops, step, TRIAL + draws * DRAW + steps * step + measured * point(trial), block)


def moments(optimizer: AbstractOptimizer) -> int:
    """Numbers that an optimizer keeps for each weight, about."""
    return 0 if optimizer.linear else 2


def point(trial: Trial) -> float:
    """Seconds for what filters give on a fresh point."""
    data, model = trial.data, trial.model
    sparsity = getattr(data, "sparsity", None)
    if sparsity is not None:
        return int(sparsity) * SPARSE
    if isinstance(data, AbstractGaussian) and isinstance(model, AbstractFiltered):
        return (feature_count(data) + int(model.units())) * LAW
    return int(data.d) * DRAW
