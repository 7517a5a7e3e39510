"""The interface of curricula: from which update on each training point is seen."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Array, Int

from sweep.data.base import AbstractData, PointInfo


class AbstractCurriculum(ABC):
    """Decides once, before a training begins, when each of its points arrives."""

    @abstractmethod
    def arrival(self, data: AbstractData, info: PointInfo) -> Int[Array, " points"] | None:
        """The number of updates before each point is seen; None where all are seen from the first.

        Args:
            data: the data model.
            info: what is known of the training points.
        """
