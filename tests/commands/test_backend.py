"""The jax backend of a process: where compiled programs are kept."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from sweep.commands.backend import cache_folder, cache_warning, configure
from tests.shell import jax_as_it_was


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_without_a_home_programs_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no entry in the list of users."""
    for name in ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", _homeless)
    assert cache_folder() is None
    assert (
        "programs are not kept for the next run. Set JAX_COMPILATION_CACHE_DIR" in cache_warning()
    )
    with jax_as_it_was():
        configure("float32")
        assert jax.config.values["jax_compilation_cache_dir"] is None


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"])
def test_a_folder_that_is_named_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", _homeless)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_warning() == ""
