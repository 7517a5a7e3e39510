"""Settings of jax from outside are pinned, compared with the manifest, or harmless; none is forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from sweep import jax_settings
from sweep.commands import replay as replays
from sweep.errors import StoreConflict, SweepError
from sweep.jax_settings import COMPARED, HARMLESS, PINNED, foreign_settings, pinned_settings
from sweep.planning import manifest as manifests
from sweep.run import sweep
from sweep.xla_flags import pinned_xla_flags
from tests.shell import command, files, jax_as_it_was, rows, stores_differ, write_grid

GRID = """
name: settings
data: {kind: feature_noise, n: 6, d: 12, sparsity: 3, snr: 1, feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
optimizer: {kind: momentum, lr: 0.2}
train: {steps: 10, batch_size: 3}
test_points: 8
record: {points: 3}
"""

FOREIGN: dict[str, Any] = {
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 7,
    "jax_enable_custom_prng": True,
    "jax_legacy_prng_key": "error",
    "jax_debug_key_reuse": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_explicit_x64_dtypes": "error",
    "jax_enable_x64": True,
    "jax_default_matmul_precision": "bfloat16",
    "jax_disable_jit": True,
    "jax_disable_most_optimizations": True,
    "jax_optimization_level": "O0",
    "jax_debug_nans": True,
    "jax_error_checking_behavior_nan": "raise",
    "jax_no_tracing": True,
    "jax_transfer_guard": "disallow",
}
"""A program that sets everything otherwise."""

FAST_MATH = "--xla_cpu_enable_fast_math=true"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store that was trained under the settings of a new process. Read only."""
    folder = tmp_path_factory.mktemp("settings")
    with jax_as_it_was():
        yield sweep(write_grid(folder, GRID), folder / "whole", workers=1, quiet=True)


@pytest.fixture
def _foreign() -> Iterator[None]:
    """The settings of a program that calls us."""
    before = jax_settings.global_settings()
    for name, value in FOREIGN.items():
        jax.config.update(name, value)
    yield
    jax_settings.restore_settings(before)


def test_every_setting_of_jax_has_its_place() -> None:
    """A newer jax brings new settings: each belongs into one of the tables, with its default of that version."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    code = "import jax, json; print(json.dumps({n: str(v) for n, v in jax.config.values.items()}))"
    found = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True)
    defaults = {name: value.lower() for name, value in json.loads(found.stdout).items()}
    tables = (set(PINNED), set(COMPARED), set(HARMLESS), {"jax_enable_x64"})
    assert sum(map(len, tables)) == len(set.union(*tables)), "a setting has two places"
    assert set.union(*tables) == set(defaults)
    expected = {**PINNED, **COMPARED, "jax_default_matmul_precision": None}
    enumerated = {"jax_explicit_x64_dtypes": "1"}
    for name, value in expected.items():
        assert defaults[name] == enumerated.get(name, str(value).lower()), name


def test_a_setting_that_nobody_knows_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert foreign_settings() == {}
    monkeypatch.setattr(jax_settings, "HARMLESS", HARMLESS - {"jax_log_compiles"})
    assert foreign_settings() == {"jax_log_compiles": "False"}


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (FAST_MATH, {"XLA_FLAGS --xla_cpu_enable_fast_math": "true"}),
        ("--xla_a=1 --xla_b --xla_a=2", {"XLA_FLAGS --xla_a": "2", "XLA_FLAGS --xla_b": "true"}),
        ("--xla_dump_to=/x --xla_force_host_platform_device_count=2", {}),
        ("--xla_cpu_multi_thread_eigen=true", {}),
        ("--xla_dump_hlo_pass_re=.* --xla_c='a b'", {"XLA_FLAGS --xla_c": "a b"}),
        ("  ", {}),
    ],
)
def test_flags_of_xla_that_may_change_results_are_found(
    monkeypatch: pytest.MonkeyPatch, flags: str, found: dict[str, str]
) -> None:
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert foreign_settings() == found
    pinned = pinned_xla_flags(flags)
    written = "" if "eigen" in flags else flags.strip()
    assert pinned == f"{written} --xla_cpu_multi_thread_eigen=false".strip()
    monkeypatch.setenv("XLA_FLAGS", pinned)
    assert foreign_settings() == found


def test_flags_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA reads a file where the variable does not begin with a dash; what we add must not hide its name."""
    file = tmp_path / "flags"
    file.write_text(f"{FAST_MATH}\n--xla_b=2", encoding="utf-8")
    pinned = pinned_xla_flags(str(file))
    assert pinned.split() == [FAST_MATH, "--xla_b=2", "--xla_cpu_multi_thread_eigen=false"]
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "none"))
    with pytest.raises(SweepError, match=r"XLA_FLAGS names the file .*none, which cannot be read"):
        foreign_settings()


def test_a_variable_of_a_library_below_jax_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert foreign_settings() == {"NVIDIA_TF32_OVERRIDE": "1"}


def test_a_block_around_the_call_that_sets_another_value_is_refused() -> None:
    """Such a block outranks what a program sets, so that results would be those of another dtype."""
    before = dict(jax.config.values)
    with (
        jax.enable_x64(True),
        pytest.raises(SweepError, match="sets jax_enable_x64 to True"),
        pinned_settings("float32"),
    ):
        pass
    with jax.enable_x64(True), pinned_settings("float64"):
        assert jax.config.values["jax_enable_x64"]
    assert dict(jax.config.values) == before


@pytest.mark.promise(21)
@pytest.mark.usefixtures("_foreign")
def test_settings_of_the_caller_change_no_bit_and_stay_his(whole: Path, tmp_path: Path) -> None:
    outside = jax_settings.global_settings()
    store = sweep(write_grid(tmp_path, GRID), tmp_path / "store", workers=1, quiet=True)
    assert stores_differ(store, whole) == ""
    assert jax_settings.global_settings() == outside
    assert "eigen" in os.environ["XLA_FLAGS"]


@pytest.mark.promise(21, mutant=True)
@pytest.mark.parametrize("name", ["jax_threefry_partitionable", "jax_random_seed_offset"])
def test_a_forgotten_pin_would_be_seen(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Other data and other initial weights under equal ids."""
    pins = {key: value for key, value in PINNED.items() if key != name}
    monkeypatch.setattr(jax_settings, "PINNED", pins)
    before = jax_settings.global_settings()
    jax.config.update(name, FOREIGN[name])
    try:
        store = sweep(write_grid(tmp_path, GRID), tmp_path / "store", workers=1, quiet=True)
    finally:
        jax_settings.restore_settings(before)
    assert set(rows(store)["trial"].to_pylist()) == set(rows(whole)["trial"].to_pylist())
    assert stores_differ(store, whole) != ""


@pytest.mark.promise(21)
def test_a_store_refuses_settings_under_which_it_was_not_trained(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the run and by a replay, without a change of any file; the run exits with 3."""
    before = files(whole)
    monkeypatch.setenv("XLA_FLAGS", FAST_MATH)
    with pytest.raises(StoreConflict, match=r"xla_cpu_enable_fast_math nothing -> .*true") as error:
        sweep(whole / "grid.yaml", whole, workers=1, quiet=True)
    assert error.value.exit_code == 3
    told = r"settings of jax \(XLA_FLAGS --xla_cpu_enable_fast_math nothing -> .true.\)"
    with pytest.raises(StoreConflict, match=told):
        list(replays.replay(whole, 1))
    assert files(whole) == before
    assert "settings" not in json.loads(next(whole.glob("*.json")).read_bytes())


@pytest.mark.promise(21, mutant=True)
def test_a_manifest_without_settings_would_be_seen(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", FAST_MATH)
    monkeypatch.setattr(manifests, "foreign_settings", dict)
    assert sweep(whole / "grid.yaml", whole, workers=1, quiet=True) == whole


@pytest.mark.thorough
@pytest.mark.promise(21)
def test_variables_of_the_environment_change_no_bit(whole: Path, tmp_path: Path) -> None:
    names = {
        name.upper(): str(value) for name, value in FOREIGN.items() if name != "jax_no_tracing"
    }
    store = tmp_path / "store"
    answer = command(whole / "grid.yaml", "--out", store, "--workers", "1", "--quiet", **names)
    assert (answer.code, answer.err) == (0, "")
    assert stores_differ(store, whole) == ""
