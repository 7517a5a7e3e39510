"""Tests of `sweep` and `analysis`, in the folders of what they test; `contracts` walks over all parts."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The root of the repository."""
