"""The figure of a survival curve."""

from analysis.stats.survival import survival_figure

__all__ = ["survival_figure"]
