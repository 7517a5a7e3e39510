"""Grids of small neural-network trainings in compiled batches, from a YAML file to parquet tables."""

# Nothing is imported here: see `sweep.import_path`.

__version__: str

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: reading the metadata takes as long as a small import."""
    if name == "__version__":
        import importlib.metadata

        return importlib.metadata.version("jax-sweep")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
