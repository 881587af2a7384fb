"""Whether values are of a type and within a bound, also where the format can only write them as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("int", "float", "bool", "str", "datetime", "category")
WIDTHS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
DTYPES = KINDS + WIDTHS
"""The types that a column can be asked to have."""


def misfits(values: pd.Series[Any], dtype: str, *, gaps: bool, texts: frozenset[str]) -> pd.Series[bool]:
    """Which values are not of a type.

    Args:
        values: those that are not missing.
        dtype: one of `DTYPES`.
        gaps: whether others are missing; whole numbers are then often held as floats.
        texts: the kinds that may stand as text (see `nbprod.gates.reading.Table`), where no width is known either.
    """
    import pandas as pd

    kind = dtype.rstrip("0123456789").removeprefix("u") if dtype in WIDTHS else dtype
    if isinstance(values.dtype, pd.CategoricalDtype):
        if kind == "category":
            return _all(values, wrong=False)
        values = values.astype(values.cat.categories.dtype)
    elif kind == "category":
        return _all(values, wrong="category" not in texts)
    wrong = _OF_KIND[kind](values, gaps, texts)
    if dtype in WIDTHS and not wrong.any():
        return _of_width(values, dtype, gaps=gaps, typed=kind not in texts)
    return wrong


def _all(values: pd.Series[Any], *, wrong: bool) -> pd.Series[bool]:
    import pandas as pd

    return pd.Series(wrong, index=values.index, dtype=bool)


def _numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return pd.to_numeric(values, errors="coerce")


def _ints(values: pd.Series[Any], gaps: bool, texts: frozenset[str]) -> pd.Series[bool]:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return _all(values, wrong=True)
    if pd.api.types.is_integer_dtype(values):
        return _all(values, wrong=False)
    if pd.api.types.is_float_dtype(values):
        return values % 1 != 0 if gaps else _all(values, wrong=True)
    if "int" in texts:
        return ~values.astype(str).str.fullmatch(r"\s*[+-]?[0-9]+\s*").astype(bool)
    return ~_instances(values, int)


def _floats(values: pd.Series[Any], gaps: bool, texts: frozenset[str]) -> pd.Series[bool]:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return _all(values, wrong=True)
    if pd.api.types.is_numeric_dtype(values):
        return _all(values, wrong=False)
    if "float" in texts:
        return _numbers(values.where(~_instances(values, bool), "")).isna()
    return ~_instances(values, (int, float))


def _bools(values: pd.Series[Any], gaps: bool, texts: frozenset[str]) -> pd.Series[bool]:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return _all(values, wrong=False)
    if "bool" in texts and not pd.api.types.is_numeric_dtype(values):
        return ~values.astype(str).str.strip().str.lower().isin(["true", "false"])
    return ~_instances(values, bool)


def _strs(values: pd.Series[Any], gaps: bool, texts: frozenset[str]) -> pd.Series[bool]:
    return ~_instances(values, str)


def _datetimes(values: pd.Series[Any], gaps: bool, texts: frozenset[str]) -> pd.Series[bool]:
    import datetime

    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        return _all(values, wrong=False)
    if "datetime" in texts and not pd.api.types.is_numeric_dtype(values):
        return pd.to_datetime(values.astype(str), errors="coerce", utc=True, format="ISO8601").isna()
    return ~_instances(values, (datetime.date, datetime.datetime))


_OF_KIND = {"int": _ints, "float": _floats, "bool": _bools, "str": _strs, "datetime": _datetimes}


def _instances(values: pd.Series[Any], types: type | tuple[type, ...]) -> pd.Series[bool]:
    """Which values are instances; true and false are no numbers."""
    import numpy as np
    import pandas as pd

    def fits(value: Any) -> bool:
        return isinstance(value, types) and (types is bool or not isinstance(value, (bool, np.bool_)))

    return pd.Series([fits(value) for value in values.astype(object)], index=values.index, dtype=bool)


def _of_width(values: pd.Series[Any], dtype: str, *, gaps: bool, typed: bool) -> pd.Series[bool]:
    """Which values of the right kind need another width, or are held in one."""
    import numpy as np
    import pandas as pd

    held = str(values.dtype).lower()
    if typed and not (gaps and held == "float64" and "int" in dtype):
        return _all(values, wrong=held != dtype)
    if dtype.startswith("float"):
        return _all(values, wrong=False)
    info = np.iinfo(dtype)
    return pd.Series(
        [not info.min <= int(value) <= info.max for value in values.astype(object)], index=values.index, dtype=bool
    )


def bound_broken(values: pd.Series[Any], name: str, bound: Any) -> pd.Series[bool]:
    """Which values are beyond a bound; what cannot be compared with it is beyond it.

    Args:
        values: those that are not missing.
        name: ``ge``, ``gt``, ``le`` or ``lt``.
        bound: a number, or text: then times are compared with the time that it says, and text with text.
    """
    import pandas as pd

    index = values.index
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    times = pd.api.types.is_datetime64_any_dtype(values)
    if times and isinstance(bound, str):
        values, bound = pd.to_datetime(values, utc=True), pd.to_datetime(bound, utc=True, errors="coerce")
    elif isinstance(bound, str):
        values = values.astype(object)[_instances(values, str)]
    else:
        values = values[:0].astype(object) if times else _numbers(values)
    within: pd.Series[bool] = getattr(values, name)(bound).reindex(index, fill_value=False)
    return ~within.fillna(False).astype(bool)
