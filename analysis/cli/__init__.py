"""The commands of `python -m analysis`, by what they make: maps of cells, boundaries, pages."""
