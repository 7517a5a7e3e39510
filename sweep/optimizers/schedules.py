"""Step-size schedules: factors of `lr` over a training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import jax.numpy as jnp
from jaxtyping import Array, Int

from sweep.spec import Scalar, lane, part

StepSize = float | Callable[[Any], Any]
"""A step size as optax takes it: a number, or a function of the update's number t = 0, 1, 2, ..."""

FACTOR = "what the step size is multiplied with at each fall"
WARMUP = "updates over which the step size rises linearly to its full value"


class AbstractSchedule(ABC):
    """The step size of update t = 0, 1, 2, ... is lr times a factor."""

    @abstractmethod
    def of(self, lr: Scalar) -> StepSize:
        """The step sizes for a base step size `lr`."""


@part
class Constant(AbstractSchedule):
    """lr at every update."""

    def of(self, lr: Scalar) -> StepSize:
        """The number itself."""
        # Not a constant function: state and bits are those of optax without a schedule.
        return cast(float, lr)


@part
class Warmup(AbstractSchedule):
    """lr min(1, (t + 1) / warmup)."""

    warmup: Scalar = lane(at_least=0, integer=True, doc=WARMUP)

    def of(self, lr: Scalar) -> StepSize:
        """A linear rise, then lr."""
        return lambda t: lr * _ramp(t, self.warmup)


@part
class Power(AbstractSchedule):
    """lr (t + shift)^-exponent, after a warm-up."""

    exponent: Scalar = lane(0.5, doc="how fast the step size falls")
    shift: Scalar = lane(1.0, above=0, doc="what is added to the number of the update")
    warmup: Scalar = lane(0, at_least=0, integer=True, doc=WARMUP)

    def of(self, lr: Scalar) -> StepSize:
        """A power law of t."""
        return lambda t: lr * _ramp(t, self.warmup) * (_real(t) + self.shift) ** -self.exponent


@part
class Cosine(AbstractSchedule):
    """lr (final + (1 - final) (1 + cos(pi min(t / decay_steps, 1))) / 2), after a warm-up.

    Loshchilov and Hutter, arXiv 1608.03983.
    """

    decay_steps: Scalar = lane(
        at_least=1,
        integer=True,
        doc='updates until the end of the fall; "=steps" for the whole training',
    )
    final: Scalar = lane(0.0, at_least=0, at_most=1, doc="share of lr that is left at the end")
    warmup: Scalar = lane(0, at_least=0, integer=True, doc=WARMUP)

    def of(self, lr: Scalar) -> StepSize:
        """Half a cosine wave."""

        def step_size(t: Int[Array, ""]) -> Scalar:
            fall = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(_real(t) / self.decay_steps, 1.0)))
            return lr * _ramp(t, self.warmup) * (self.final + (1.0 - self.final) * fall)

        return step_size


@part
class StepDecay(AbstractSchedule):
    """lr factor^floor(t / every), after a warm-up: torch's StepLR by updates instead of epochs."""

    every: Scalar = lane(
        at_least=1, integer=True, doc='updates between two falls; "=steps/4" for four levels'
    )
    factor: Scalar = lane(0.1, above=0, doc=FACTOR)
    warmup: Scalar = lane(0, at_least=0, integer=True, doc=WARMUP)

    def of(self, lr: Scalar) -> StepSize:
        """A power of the factor that grows by one at every fall."""
        # A quotient of whole numbers, since that of real ones is not exact beyond 2^24 updates.
        return lambda t: lr * _ramp(t, self.warmup) * self.factor ** _real(t // self.every)


@part
class Milestones(AbstractSchedule):
    """lr factor^k from the k-th milestone on, after a warm-up.

    Torch's MultiStepLR by updates instead of epochs, and optax's piecewise_constant_schedule.
    """

    milestone: Scalar = lane(
        at_least=0,
        integer=True,
        doc='update of the first fall; "=steps/2" for half of the training',
    )
    milestone_2: Scalar | None = lane(None, at_least=0, integer=True, doc="that of a second fall")
    milestone_3: Scalar | None = lane(None, at_least=0, integer=True, doc="that of a third fall")
    factor: Scalar = lane(0.1, above=0, doc=FACTOR)
    warmup: Scalar = lane(0, at_least=0, integer=True, doc=WARMUP)

    def of(self, lr: Scalar) -> StepSize:
        """A power of the factor: how many milestones have passed."""
        milestones = (self.milestone, self.milestone_2, self.milestone_3)
        given = [milestone for milestone in milestones if milestone is not None]

        def step_size(t: Int[Array, ""]) -> Scalar:
            passed = sum(_real(t >= milestone) for milestone in given)
            return lr * _ramp(t, self.warmup) * self.factor**passed

        return step_size


def _ramp(t: Int[Array, ""], warmup: Scalar) -> Scalar:
    return jnp.minimum(1.0, (_real(t) + 1.0) / jnp.maximum(warmup, 1))


def _real(t: Int[Array, ""]) -> Array:
    """t in the precision of the run."""
    # A quotient of two 32-bit integers has 32 bits in any precision.
    return jnp.asarray(t, float)
