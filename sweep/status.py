"""How a trial stands or ended: a value in the table, never an exception."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """State of one trial. The table holds the lower-case name (`converged`)."""

    RUNNING = 0
    CONVERGED = 1
    OUT_OF_STEPS = 2
    NONFINITE = 3
    OUT_OF_MEMORY = 4

    @property
    def label(self) -> str:
        """The word that stands in the column `status`."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """What the status means, for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.RUNNING: "The trial has not ended yet.",
    Status.CONVERGED: "The trial reached its target_loss or target_grad.",
    Status.OUT_OF_STEPS: "The trial made all its steps without reaching a target.",
    Status.NONFINITE: "The loss or the weights became infinite or not a number.",
    Status.OUT_OF_MEMORY: "The device has not enough memory for a single trial of this size.",
}
