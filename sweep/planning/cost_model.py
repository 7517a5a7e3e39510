"""What a trial costs: estimated seconds on one busy core, from its shapes alone."""

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
"""A step: overhead of up to 8 lanes in seconds; operations, weights and moments a second."""
SPAN_ALONE, AMBIENT_ALONE = 6e4, 3e5
"""Operations of a step above which a lane is faster alone than under vmap."""
TRIAL, DRAW = 1e-4, 1e-8
"""Seconds for a trial apart from its steps, and for a random number."""
LAW, SPARSE = 5e-9, 1.3e-8
"""Seconds for a fresh point, random numbers excluded: a filter drawn from its law, and a coordinate
of a sparse vector."""


@dataclass(frozen=True)
class Cost:
    """Estimates for one trial.

    Attributes:
        flops: operations of a step.
        step: seconds of a step.
        seconds: seconds of all steps and measurements together.
        block: number of lanes that are best trained under one vmap on a CPU core.
    """

    flops: float
    step: float
    seconds: float
    block: int


def estimate(trial: Trial, steps: float, measured: int) -> Cost:
    """The cost of one trial.

    Args:
        trial: read for its static fields only; lane fields may hold anything.
        steps: number of updates.
        measured: number of fresh points that it is measured on, over all measurements.
    """
    if isinstance(trial.model, AbstractFiltered):
        system, source = COORDINATES[trial.coordinates], trial.source
        rows, units = system.rows(source), source.units
        products, draws = system.products, system.draws(source)
    else:
        # The weights of other models are unknown here: count them as one linear layer.
        rows, units = int(trial.data.d), 1
        products, draws = 2, int(trial.data.d) * int(trial.data.n)
    tokens = batch_size(trial) * trial.data.noise_vectors
    flops = 2.0 * products * tokens * rows * units
    block = _best_block(flops, products)
    numbers = rows * units * (1 + moments(trial.optimizer))
    step = STEP / min(block, 8) + flops / FLOPS + numbers / FLOATS
    seconds = TRIAL + draws * DRAW + steps * step + measured * seconds_per_point(trial)
    return Cost(flops, step, seconds, block)


def _best_block(flops: float, products: int) -> int:
    """How many lanes to train under one vmap, from the operations of a step of one lane."""
    if flops < 1e4:
        return 16
    # With one matrix product a step (span, gram) vmap stops paying earlier than with two.
    return 4 if flops < (SPAN_ALONE, AMBIENT_ALONE)[products - 1] else 1


def moments(optimizer: AbstractOptimizer) -> int:
    """Numbers that an optimizer keeps for each weight, roughly."""
    return 0 if optimizer.stays_in_span else 2


def seconds_per_point(trial: Trial) -> float:
    """Estimated seconds to draw a fresh point and the filters' responses to it."""
    data, model = trial.data, trial.model
    sparsity = getattr(data, "sparsity", None)
    if sparsity is not None:
        return int(sparsity) * SPARSE
    if isinstance(data, AbstractGaussian) and isinstance(model, AbstractFiltered):
        return (feature_count(data) + int(model.units())) * LAW
    return int(data.d) * DRAW
