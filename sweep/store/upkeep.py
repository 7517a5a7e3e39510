"""Whether a store is whole, and what makes it so again.

Each number up to the last belongs to one part of the runs. A part that is not what it should be moves aside with its
curves, and an empty part takes its place: so no number is given twice, and the trials that are gone are trained again.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep import schema
from sweep.errors import StoreConflict, StoreError
from sweep.schema import CURVES, RUNS
from sweep.store import parts
from sweep.store.claims import Claims
from sweep.store.files import reading, replace, sync, writing
from sweep.store.log import settle
from sweep.store.places import Finding, Look, Move, Places
from sweep.store.rewrite import SWAP, groups, resume, rewrite
from sweep.store.store import Store, _flat
