"""Tables as CSV files."""

from __future__ import annotations

from typing import Any

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as a CSV file, in which no word of the table is a formula of a spreadsheet.

    A word that looks like one gets an apostrophe in front; numbers stay as they are.
    """
    words = table.select_dtypes(exclude=["number", "bool"]).columns
    plain = table.assign(**{str(name): table[name].map(_plain_word) for name in words})
    return plain.rename(columns=_plain_word).to_csv(index=False).encode("utf-8", "replace")


def _plain_word(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.startswith(FORMULA_STARTS)
    return f"'{value}" if is_formula else value
