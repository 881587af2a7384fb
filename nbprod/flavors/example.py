"""A stored example as rows that a model takes: a table with the signature's types, or an array; without MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbprod.errors import UsageError

KINDS: Mapping[str, str] = {
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "float": "float32",
    "boolean": "bool",
}
"""MLflow's types of columns, as pandas calls them."""


def example_of(model: Mapping[str, Any]) -> Any:
    """The rows of an entry's example.

    Args:
        model: the entry's ``model`` section.

    Raises:
        UsageError: there is no example, or one that is neither a table nor an array.
    """
    example = model["example"]
    inputs = (model["signature"] or {}).get("inputs") or ()
    if isinstance(example, Mapping) and "columns" in example:
        return _table(example["columns"], example["data"], inputs)
    data = example.get("data", example.get("inputs")) if isinstance(example, Mapping) else example
    if not isinstance(data, list) or not data:
        raise UsageError("there is no example that is a table or an array: log the model with `example=`.")
    import numpy as np

    specs = [column.get("tensor-spec", {}) for column in inputs]
    kind = specs[0].get("dtype") if len(specs) == 1 else None
    return np.asarray(data, dtype=kind)


def _table(columns: Sequence[str], data: Sequence[Any], inputs: Sequence[Mapping[str, Any]]) -> Any:
    import pandas as pd

    table = pd.DataFrame(data, columns=list(columns))
    for column in inputs:
        name, kind = column.get("name"), str(column.get("type"))
        if name not in table.columns:
            continue
        if kind == "datetime":
            table[name] = pd.to_datetime(table[name])
        elif kind in KINDS and not (table[name].isna().any() and kind not in ("double", "float")):
            table[name] = table[name].astype(KINDS[kind])  # type: ignore[call-overload]
    return table
