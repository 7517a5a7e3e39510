"""Terms that the report explains: columns whose declaration has an explanation."""

from __future__ import annotations

import pandas as pd

from analysis.tables.columns import column_info
from analysis.tables.labels import axis_label
from sweep.wording import first_upper


def glossary_terms(runs: pd.DataFrame) -> dict[str, str]:
    """The terms for columns that have values in these runs, with their explanations."""
    explained = [name for name in runs.columns if column_info(name).explanation]
    used = [name for name in explained if runs[name].notna().any()]
    return {_term(name): column_info(name).explanation for name in used}


def _term(name: str) -> str:
    """The label of a column, with its name where that is another word."""
    label = axis_label(name)
    suffix = "" if label == name.replace("_", " ") else f" ({name})"
    return f"{first_upper(label)}{suffix}"
