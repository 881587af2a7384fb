"""Which rows of one table stand in another, whatever types the two hold the same values in.

pandas hashes 1 and 1.0 to different numbers, and 1 and true to the same one. So both sides of a column are brought to
one form first, and columns of unlike kinds are not compared at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EXACT = 2**53
"""Whole numbers up to here are the same as floats."""

_KINDS = {
    "boolean": "true or false",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "datetime": "times",
    "datetime64": "times",
    "date": "times",
    "empty": "",
}


def unlike(mine: pd.DataFrame, theirs: pd.DataFrame, columns: Sequence[str]) -> str:
    """Why columns cannot be compared: ``'id' holds numbers in one and text in the other``; empty if they can."""
    for name in columns:
        kinds = _kind(mine[name]), _kind(theirs[name])
        if all(kinds) and kinds[0] != kinds[1]:
            return f"'{name}' holds {kinds[0]} in one and {kinds[1]} in the other"
    return ""


def standing_in(mine: pd.DataFrame, theirs: pd.DataFrame, columns: Sequence[str]) -> np.ndarray[Any, Any]:
    """Whether each row of a table is, in some columns, equal to a row of another, shape (rows,); gaps are equal.

    Hashes of 64 bits are compared: a million rows against a million find a false match once in 10 million times.

    Args:
        columns: those that `unlike` finds comparable.
    """
    import numpy as np
    import pandas as pd

    forms = [_same_form(mine[name], theirs[name]) for name in columns]
    hashes = [
        pd.util.hash_pandas_object(
            pd.DataFrame({at: form[side] for at, form in enumerate(forms)}), index=False
        ).to_numpy()
        for side in (0, 1)
    ]
    found: np.ndarray[Any, Any] = np.isin(hashes[0], hashes[1])
    return found


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return values.astype(values.cat.categories.dtype) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _kind(values: pd.Series[Any]) -> str:
    """What a column holds; empty where every value is missing."""
    import pandas as pd

    present = _plain(values).dropna()
    return _KINDS.get(pd.api.types.infer_dtype(present, skipna=True), "text") if len(present) else ""


def _same_form(mine: pd.Series[Any], theirs: pd.Series[Any]) -> tuple[Any, Any]:
    kind = _kind(mine) or _kind(theirs)
    sides = _plain(mine), _plain(theirs)
    if kind == "numbers":
        return _numbers(*sides)
    if kind == "times":
        return _times(sides[0]), _times(sides[1])
    return _texts(sides[0]), _texts(sides[1])


def _numbers(mine: pd.Series[Any], theirs: pd.Series[Any]) -> tuple[Any, Any]:
    import numpy as np
    import pandas as pd

    if any(pd.api.types.is_integer_dtype(side) and len(side) and side.abs().max() > EXACT for side in (mine, theirs)):
        return _texts(mine.map(_exact, na_action="ignore")), _texts(theirs.map(_exact, na_action="ignore"))
    floats = [str(side.dtype).lower() for side in (mine, theirs)]
    width = np.float32 if set(floats) == {"float32", "float64"} else np.float64
    forms = [pd.to_numeric(side).to_numpy(dtype=np.float64, na_value=np.nan).astype(width) for side in (mine, theirs)]
    for form in forms:
        form[np.isnan(form)] = np.nan  # there are several, and two zeros
        form[form == 0] = 0.0
    return forms[0], forms[1]


def _exact(value: Any) -> str:
    return str(int(value)) if value == value // 1 else repr(float(value))


def _times(values: pd.Series[Any]) -> Any:
    import pandas as pd

    return pd.to_datetime(values, utc=True).dt.as_unit("us").astype("int64").to_numpy()


def _texts(values: pd.Series[Any]) -> Any:
    import numpy as np

    gaps = values.isna().to_numpy()
    found = values.astype(object).to_numpy(copy=True)
    found[gaps] = ""
    texts = np.array([value if type(value) is str else str(value) for value in found], dtype=object)
    texts[gaps] = None
    return texts
