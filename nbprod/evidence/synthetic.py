"""An example of rows that is no row of anybody: each column by itself, from what is frequent or in the middle.

A text or a code is taken only if at least `FREQUENT` rows have it; a measurement is the middle between two quantiles.
Where a table has few columns, rows that are put together so may still be equal to a real one by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FREQUENT = 5
"""So many rows must have a value before it is shown."""

CODES = 50
"""A column of whole numbers with at most so many values is taken for codes, such as those of a survey."""

NOTHING: Mapping[str, Any] = {
    "integer": 0, "long": 0, "float": 0.0, "double": 0.0, "boolean": False, "string": "", "datetime": "2000-01-01",
}  # fmt: skip
"""MLflow's type of a column -> what stands where nothing is known of it."""


def synthetic_rows(columns: Sequence[Mapping[str, Any]], known: pd.DataFrame | None, *, count: int) -> list[list[Any]]:
    """Rows in JSON types, as the columns of a signature want them.

    Args:
        columns: ``name`` and MLflow's ``type`` of each.
        known: rows that have some of the columns, such as the training set.
    """
    made = [_column(column, known, count) for column in columns]
    return [list(row) for row in zip(*made, strict=True)] if made else []


def _column(column: Mapping[str, Any], known: pd.DataFrame | None, count: int) -> list[Any]:
    kind, name = str(column.get("type")), column.get("name")
    if known is None or name not in known.columns or kind not in NOTHING:
        return [NOTHING.get(kind)] * count
    values = known[name].dropna()
    if kind in ("string", "boolean") or (kind in ("integer", "long") and values.nunique() <= CODES):
        return _frequent(values, kind, count)
    if kind in ("integer", "long", "float", "double"):
        return _middles(values, kind, count)
    return [NOTHING[kind]] * count


def _frequent(values: pd.Series[Any], kind: str, count: int) -> list[Any]:
    """The most frequent values in turn."""
    counts = values.value_counts()
    often = [_plain(value, kind) for value in counts[counts >= FREQUENT].index[:count]]
    often = often or [NOTHING[kind]]
    return [often[at % len(often)] for at in range(count)]


def _plain(value: Any, kind: str) -> Any:
    return str(value) if kind == "string" else bool(value) if kind == "boolean" else int(value)


def _middles(values: pd.Series[Any], kind: str, count: int) -> list[Any]:
    """The middle between two quantiles, so that it is nobody's measurement."""
    if len(values) < FREQUENT * count:
        return [NOTHING[kind]] * count
    found = []
    for at in range(count):
        low, high = ((at + share) / count for share in (0.25, 0.75))
        middle = (float(values.quantile(low)) + float(values.quantile(high))) / 2
        found.append(round(middle) if kind in ("integer", "long") else float(f"{middle:.3g}"))
    return found
