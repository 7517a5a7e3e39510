"""Starts workers that each train a share of a sweep; they never talk to each other and meet in the store."""

from __future__ import annotations

from sweep.launch.local import Local, cores, settle

__all__ = ["Local", "cores", "settle"]
