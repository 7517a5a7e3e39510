"""Settings of jax and XLA that may come from outside: the environment, or a program that calls us.

Keys of random numbers, promotion of types and the compiler's choices depend on them, and ids do
not. Every setting is therefore pinned, compared with the manifest of a store, or harmless.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax

from sweep.errors import SweepError
from sweep.xla_flags import foreign_flags

PRNG = "threefry2x32"
"""The implementation of all random numbers."""

PINNED: Mapping[str, Any] = {
    # Random numbers.
    "jax_default_prng_impl": PRNG,
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_random_seed_offset": 0,
    "jax_enable_custom_prng": False,
    "jax_legacy_prng_key": "allow",
    "jax_debug_key_reuse": False,
    "jax_high_dynamic_range_gumbel": False,
    # Types and shapes.
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_explicit_x64_dtypes": "warn",
    "jax_allow_f16_reductions": True,
    # Arithmetic. The default of the first is what an accelerator rounds to 10 bits.
    "jax_default_matmul_precision": "highest",
    "jax_softmax_custom_jvp": False,
    "jax_bcoo_cusparse_lowering": False,
    "jax_ragged_dot_use_gpu_pallas_triton_lowering": False,
    "jax_ragged_dot_use_ragged_dot_instruction": True,
    # How functions are traced and differentiated.
    "check_vma": False,
    "eager_constant_folding": False,
    "jax_auto_pcast": True,
    "jax_check_static_indices": False,
    "jax_custom_vjp3": False,
    "jax_disable_bwd_checks": False,
    "jax_disable_jit": False,
    "jax_disable_vmap_shmap_error": False,
    "jax_disallow_mesh_context_manager": False,
    "jax_embedded_constants_max_bytes": 32,
    "jax_mutable_array_checks": True,
    "jax_no_execution": False,
    "jax_no_tracing": False,
    "jax_refs_to_pins": False,
    "jax_remat3": False,
    "jax_remove_size_one_mesh_axis_from_type": False,
    "jax_scan3": False,
    "jax_use_direct_linearize": True,
    "jax_use_emit_pipeline_primitive": False,
    "jax_use_simplified_jaxpr_constants": False,
    # How programs are compiled.
    "jax_compiler_enable_remat_pass": True,
    "jax_disable_most_optimizations": False,
    "jax_enable_pgle": False,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_mosaic_allow_hlo": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_pallas_enable_debug_checks": False,
    "jax_pallas_poison_buffers": False,
    "jax_pallas_use_mosaic_gpu": True,
    "jax_use_magma": "auto",
    "jax_use_shardy_partitioner": True,
    "jax_xla_profile_version": 0,
    # A training that diverges is a row, no error; a damaged cache is no error either.
    "jax_debug_infs": False,
    "jax_debug_nans": False,
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_raise_persistent_cache_errors": False,
    # Where arrays live.
    "jax_default_device": None,
    "jax_thread_guard": False,
    "jax_transfer_guard": None,
    "jax_transfer_guard_device_to_device": None,
    "jax_transfer_guard_device_to_host": None,
    "jax_transfer_guard_host_to_device": None,
}
"""What the program sets while it trains, whatever was set before; `jax_enable_x64` follows dtype."""

COMPARED: Mapping[str, Any] = {
    "jax_backend_target": "",
    "jax_mock_gpu_topology": "",
    "jax_pjrt_client_create_options": None,
    "jax_xla_backend": "",
    "mock_num_gpu_processes": 0,
}
"""Settings, with their defaults, that decide which device computes; pinning them would be rude."""

_HARMLESS_NAMES = """
jax2tf_associative_scan_reductions jax2tf_default_native_serialization
jax_array_garbage_collection_guard jax_captured_constants_report_frames
jax_captured_constants_warn_bytes jax_check_proxy_envs jax_check_tracer_leaks
jax_compilation_cache_check_contents jax_compilation_cache_dir
jax_compilation_cache_expect_pgle jax_compilation_cache_include_metadata_in_key
jax_compilation_cache_max_size jax_compiler_detailed_logging_min_ops
jax_cpu_collectives_implementation jax_cpu_enable_async_dispatch
jax_cpu_get_global_topology_timeout_minutes jax_cpu_get_local_topology_timeout_minutes
jax_cross_host_transfer_socket_address jax_cross_host_transfer_timeout_seconds
jax_cross_host_transfer_transfer_size jax_cross_host_transport_addresses
jax_cuda_visible_devices jax_debug_leaked_clients_on_clear_backends jax_debug_log_modules
jax_distributed_debug jax_dump_ir_modes jax_dump_ir_to jax_enable_checks
jax_enable_compilation_cache jax_enable_preemption_service jax_enable_recoverability
jax_experimental_unsafe_xla_runtime_errors jax_explain_cache_misses
jax_export_calling_convention_version jax_export_ignore_forward_compatibility
jax_force_dcn_cross_host_transfers jax_hlo_source_file_canonicalization_regex
jax_include_debug_info_in_dumps jax_include_full_tracebacks_in_locations
jax_log_checkpoint_residuals jax_log_compiles jax_logging_level jax_num_cpu_devices
jax_oneapi_visible_devices jax_pallas_verbose_errors
jax_persistent_cache_enable_xla_caches jax_persistent_cache_min_compile_time_secs
jax_persistent_cache_min_entry_size_bytes jax_pgle_aggregation_percentile
jax_pgle_profiling_runs jax_platform_name jax_platforms jax_pprint_use_color
jax_remove_custom_partitioning_ptr_from_cache_key jax_rocm_visible_devices
jax_send_traceback_to_runtime jax_serialization_version jax_share_binary_between_hosts
jax_share_binary_between_hosts_timeout_ms jax_sort_devices_by_process_index
jax_source_url_schema jax_traceback_filtering jax_traceback_in_locations_limit
jax_tracer_error_num_traceback_frames
"""

HARMLESS = frozenset(_HARMLESS_NAMES.split())
"""Logs, caches, checks and links to other hosts. The platform has its own place in a manifest."""

COMPARED_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "LIBTPU_INIT_ARGS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TF_CUDNN_DETERMINISTIC",
)
"""Variables of the environment that libraries below jax read."""


@contextmanager
def pinned_settings(dtype: str | None = None) -> Iterator[None]:
    """Pin what results depend on, and put back what was set before.

    Args:
        dtype: `float32` or `float64`; None leaves it as it is, where only shapes are asked for.

    Raises:
        SweepError: a `with` block of jax around the call sets another value.
    """
    before = global_settings()
    pin_settings(dtype)
    try:
        yield
    finally:
        restore_settings(before)


def pin_settings(dtype: str | None) -> None:
    """Pin what results depend on, for this process; raises as `pinned_settings` does."""
    pinned = dict(PINNED)
    if dtype is not None:
        pinned["jax_enable_x64"] = dtype == "float64"
    outside = global_settings()
    inside = jax.config.values
    for name in pinned.keys() & outside.keys():
        if outside[name] != inside[name] and _differs(inside[name], pinned[name]):
            raise SweepError(
                f"A `with` block of jax around the sweep sets {name} to {inside[name]!r}, and "
                f"results need {pinned[name]!r}. Train outside of that block."
            )
    for name in pinned.keys() & outside.keys():
        if _differs(outside[name], pinned[name]):
            jax.config.update(name, pinned[name])


def _differs(value: Any, pinned: Any) -> bool:
    """Whether a value is another than the pinned one; jax has enumerations for some words."""
    return value != pinned and str(getattr(value, "name", value)).lower() != pinned


def global_settings() -> dict[str, Any]:
    """The settings of the whole process, without those of `with` blocks of this thread."""
    # A new thread is inside no such block.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: dict(jax.config.values)).result()


def restore_settings(before: Mapping[str, Any]) -> None:
    """Give all settings of the process the values that `global_settings` returned before."""
    now = global_settings()
    # Sorted, so that a setting of all directions comes before those of each.
    for name, value in sorted(before.items()):
        if now[name] != value:
            jax.config.update(name, value)


def foreign_settings() -> dict[str, str]:
    """Settings that may change results and are not at their default, as text by name.

    A setting that is listed nowhere here counts, whatever its value: a newer jax brought it, and
    its default is not known.
    """
    known = {*PINNED, *HARMLESS, "jax_enable_x64"}
    settings = {name: value for name, value in jax.config.values.items() if name not in known}
    found = {
        name: str(value)
        for name, value in settings.items()
        if name not in COMPARED or value != COMPARED[name]
    }
    flags = foreign_flags(os.environ.get("XLA_FLAGS", ""))
    found |= {f"XLA_FLAGS --{name}": value for name, value in flags.items()}
    return found | {name: os.environ[name] for name in COMPARED_VARIABLES if os.environ.get(name)}
