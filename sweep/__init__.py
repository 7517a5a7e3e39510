"""Grids of small neural-network trainings in compiled batches, from a YAML file to parquet tables."""
