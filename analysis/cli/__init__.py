"""The commands of `python -m analysis`, by their results: maps, boundaries, pages."""
