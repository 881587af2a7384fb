"""A model's answer as JSON, and whether two answers are the same; standard library only, and nothing of nbprod.

`nbprod.flavors.replay_child` reads this file by its path, in a Python that may not have nbprod.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RELATIVE = 1e-5
ABSOLUTE = 1e-8
"""Numbers that differ by less count as the same: single precision, and sums that threads add in another order."""


def plain(answer: Any) -> Any:
    """An answer in JSON types: arrays as nested lists, tables as ``columns`` and ``data``, NaN as text."""
    if hasattr(answer, "columns") and hasattr(answer, "itertuples"):
        rows = [[plain(value) for value in row] for row in answer.itertuples(index=False, name=None)]
        return {"columns": [str(name) for name in answer.columns], "data": rows}
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, float):
        return answer if math.isfinite(answer) else str(answer)
    if answer is None or isinstance(answer, (bool, int, str)):
        return answer
    if isinstance(answer, Mapping):
        return {str(key): plain(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple, set, frozenset)):
        return [plain(value) for value in answer]
    if hasattr(answer, "isoformat"):
        return answer.isoformat()
    return f"<{type(answer).__module__}.{type(answer).__qualname__}>"


def same(left: Any, right: Any) -> bool:
    """Whether two answers, as `plain` gives them, are the same; numbers within `RELATIVE` or `ABSOLUTE`."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if _is_number(left) and _is_number(right):
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return type(left) is type(right) and bool(left == right)


def rows_of(answer: Any) -> int:
    """How many rows an answer, as `plain` gives it, has; one if it is a single value."""
    if isinstance(answer, Mapping) and isinstance(answer.get("data"), list):
        return len(answer["data"])
    return len(answer) if isinstance(answer, list) else 1


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
