"""Checked rows as what a model takes: an array, or a table as the model saw it when it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbprod.serving.signature import NUMBERS, Signature

EXACT = 2**53
"""Up to here every whole number is a double."""

_PLAIN = {"integer": "int32", "long": "int64", "double": "float64", "float": "float32", "boolean": "bool"}


class Shaper:
    """Makes arrays and tables of rows for one signature."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        kinds = signature.types
        self.numeric = bool(kinds) and kinds <= NUMBERS | {"boolean"}
        self._long = "long" in kinds
        self._narrow = [n for n, column in enumerate(signature.columns) if column.type == "float"]
        self.dtype = self._dtype()

    def _dtype(self) -> str:
        kinds = self.signature.types
        if not self.numeric:
            return "object"
        if self.signature.complete and kinds <= {"integer", "long"}:
            return "int64"
        return "float32" if kinds == {"float"} else "float64"

    @property
    def can_be_array(self) -> bool:
        """Whether rows as an array could mean the same; that they do is proven by asking the model."""
        return self.signature.tensor is not None or self.signature.types <= NUMBERS | {"boolean", "string"}

    def array(self, rows: Sequence[Sequence[Any]]) -> Any:
        """Rows as an array; missing numbers are NaN."""
        found = np.array(rows, dtype=self.dtype)
        return self.narrowed(found)

    def narrowed(self, found: Any) -> Any:
        """The same numbers as the table would hold, where some columns have 32 bits and others 64."""
        if self._narrow and self.dtype == "float64":
            found = np.array(found)
            found[:, self._narrow] = found[:, self._narrow].astype("float32")
        return found if found.dtype == self.dtype or self.signature.tensor is not None else found.astype(self.dtype)

    def exact(self, found: Any) -> bool:
        """Whether an array holds the rows' numbers unchanged."""
        return not (self._long and self.dtype == "float64" and bool((np.abs(found) > EXACT).any()))

    def frame(self, rows: Sequence[Sequence[Any]]) -> Any:
        """Rows as a pandas table with the signature's columns and types."""
        import pandas as pd

        columns = list(zip(*rows, strict=True))
        data = {
            column.name: self._series(column.type, values, pd)
            for column, values in zip(self.signature.columns, columns, strict=True)
        }
        return pd.DataFrame(data)

    def question(self, columns: Sequence[Any], *, arrays: bool) -> Any:
        """Whole columns as what the model takes, the same as their rows would be as `array` or `frame`.

        Args:
            columns: checked, in the signature's order: arrays of Arrow in the columns' own types, or lists of nested
                values; null where a value is missing.
            arrays: whether arrays were proven to mean the same.
        """
        if arrays:
            found = np.empty((len(columns[0]), len(columns)), dtype=self.dtype)
            for at, values in enumerate(columns):
                found[:, at] = _list(values) if self.dtype == "object" else _numbers(values)
            if self.exact(found):
                return found
        import pandas as pd

        return pd.DataFrame({
            column.name: self._whole_series(column.type, values, pd)
            for column, values in zip(self.signature.columns, columns, strict=True)
        })  # fmt: skip

    def _whole_series(self, kind: str, values: Any, pd: Any) -> Any:
        if kind in NUMBERS or (kind == "boolean" and not values.null_count):
            return values.to_numpy(zero_copy_only=False)
        if kind == "datetime":
            return pd.Series(values.to_numpy(zero_copy_only=False).astype("M8[ns]"))
        return self._series(kind, _list(values), pd)

    def _series(self, kind: str, values: Sequence[Any], pd: Any) -> Any:
        missing = None in values
        if kind == "datetime":
            return pd.Series(
                np.array([np.datetime64("NaT") if v is None else np.datetime64(v) for v in values], "M8[ns]")
            )
        if kind in _PLAIN and not missing:
            return np.array(values, dtype=_PLAIN[kind])
        if kind in NUMBERS:
            return np.array(values, dtype="float32" if kind == "float" else "float64")
        if kind == "string":
            return pd.Series(list(values), dtype=pd.Series([""]).dtype)  # also where all are missing: None is no NaN
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else list(values.to_pylist())


def _numbers(values: Any) -> Any:
    """Numbers, with NaN for those that are missing; true is 1."""
    found = values.to_numpy(zero_copy_only=False)
    return np.array(found, dtype="float64") if found.dtype == object else found
