"""How a trial ended, or that it has not: a value in the results table, never an exception."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Status of a trial. The table holds the lower-case name (`converged`).

    Programs and checkpoints hold the numbers, so they must not change.
    """

    RUNNING = 0
    CONVERGED = 1
    OUT_OF_STEPS = 2
    NONFINITE = 3
    OUT_OF_MEMORY = 4

    @property
    def label(self) -> str:
        """The value in the column `status`."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """What the status means, as a sentence for users."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.RUNNING: "The trial has not ended yet.",
    Status.CONVERGED: "The trial met its target_loss or target_grad.",
    Status.OUT_OF_STEPS: "The trial made all its steps without meeting a target.",
    Status.NONFINITE: "The loss or the weights became infinite or NaN.",
    Status.OUT_OF_MEMORY: "The device does not have enough memory for a single trial of this size.",
}
