"""Sentences about a theory laid over a measured boundary."""

from analysis.stats.overlay import overlay_sentences

__all__ = ["overlay_sentences"]
