"""A model's answers as JSON: of a whole batch, and cut into what each request gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from nbprod.serving.asked import plain

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_NUMBERS = frozenset("biuf")


def listed(answer: Any) -> Any:
    """An answer with one value a row: an array, or a list.

    Raises:
        TypeError: it is neither.
    """
    if hasattr(answer, "to_dict") and hasattr(answer, "columns"):
        return answer.to_dict(orient="records")
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    if hasattr(answer, "dtype") and hasattr(answer, "tolist"):
        return answer if answer.dtype.kind in _NUMBERS and answer.ndim else answer.tolist()
    if isinstance(answer, (list, tuple)):
        return list(answer)
    raise TypeError(f"the model answers with a {type(answer).__name__}, not with one value a row")


def text(values: Any) -> bytes:
    """Values as a JSON list; numbers that are not finite are null."""
    if hasattr(values, "flags") and not values.flags.c_contiguous:
        values = values.copy()
    try:
        return orjson.dumps(values, option=_OPTIONS, default=plain)
    except TypeError:
        return orjson.dumps(plain(values), option=_OPTIONS, default=plain)


def cut(values: Any, counts: Sequence[int]) -> list[Any]:
    """The values of each request, in the order in which their rows were put together.

    Raises:
        ValueError: there is not one value a row.
    """
    if len(values) != sum(counts):
        raise ValueError(f"the model answers {len(values)} values to {sum(counts)} rows")
    if len(counts) == 1:
        return [values]
    if len(values) == len(counts) and hasattr(values, "tolist"):
        values = values.tolist() if values.dtype.itemsize == 8 or values.dtype.kind in "biu" else values
    found, start = [], 0
    for count in counts:
        found.append(values[start : start + count])
        start += count
    return found
