"""Curricula, by their name in a grid."""

from __future__ import annotations

from sweep.curricula.base import AbstractCurriculum
from sweep.curricula.expansion import Everything, Expansion

KINDS: dict[str, type[AbstractCurriculum]] = {"everything": Everything, "expansion": Expansion}
