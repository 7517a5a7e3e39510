"""A folder of committed parquet parts: the only record of what is done.

DIR/
  manifest.json   what the results depend on; another manifest is refused
  grid.yaml       the grid that started the store; each later one lies beside it as grid-<hash>.yaml
  runs/           part-<number>.parquet, one row a trial
  curves/         part-<number>.parquet of the same number, one row a trial and recorded step
  claims/         who trains what at the moment; nothing else depends on it
  checkpoints/    the state of long trials that have not ended
  broken/         what a repair moved aside
"""

from sweep.store.atomic_files import owner
from sweep.store.claims import Claims, at_work
from sweep.store.maintenance.repair import compact, repair, survey, verify
from sweep.store.store import Store

__all__ = ["Claims", "Store", "at_work", "compact", "owner", "repair", "survey", "verify"]
