"""A folder of committed parquet parts: the only record of what is done.

DIR/
  manifest.json   what the results depend on; another manifest is refused
  grid.yaml       the grid that created the store; each later one is added as grid-<hash>.yaml
  current-grid.txt  the name of the grid that was run last, once there are several
  runs/           part-<number>.parquet, one row a trial
  curves/         part-<number>.parquet of the same number, one row a trial and recorded step
  claims/         which process trains what at the moment; nothing else depends on it
  checkpoints/    the state of long trials that have not ended
  broken/         parts that a repair moved aside

Other packages import from here only. None of it imports jax; orbax is imported on first use.
"""

from sweep.store.checkpoints import Checkpoints, clear_checkpoints, count_checkpoints
from sweep.store.claims import Claims, live_workers
from sweep.store.directory import Directory
from sweep.store.kept_grids import current_grid, grid_digest, has_lost_current_grid, read_grid
from sweep.store.layout import grid_files, is_being_compacted
from sweep.store.maintenance.findings import Finding
from sweep.store.maintenance.repair import (
    CompactionReport,
    RepairReport,
    compact,
    repair,
    verify,
)
from sweep.store.maintenance.scan import StoreHeader, Survey, read_header, survey
from sweep.store.manifest_diff import recorded_plugins
from sweep.store.manifest_file import read_manifest
from sweep.store.owners import owner
from sweep.store.parts import Part, list_parts, read_part, read_part_metadata, read_rows
from sweep.store.store import Store
from sweep.store.writer import Writer

__all__ = [
    "Checkpoints",
    "Claims",
    "CompactionReport",
    "Directory",
    "Finding",
    "Part",
    "RepairReport",
    "Store",
    "StoreHeader",
    "Survey",
    "Writer",
    "clear_checkpoints",
    "compact",
    "count_checkpoints",
    "current_grid",
    "grid_digest",
    "grid_files",
    "has_lost_current_grid",
    "is_being_compacted",
    "list_parts",
    "live_workers",
    "owner",
    "read_grid",
    "read_header",
    "read_manifest",
    "read_part",
    "read_part_metadata",
    "read_rows",
    "recorded_plugins",
    "repair",
    "survey",
    "verify",
]
