"""Numbers and facts as a card says them."""

from __future__ import annotations

import math
import re
from typing import Any

UNKNOWN = "unknown"

_GROUP = re.compile(r"(?P<dataset>.*)\[(?P<column>[^=\]]+)=(?P<group>.*)\]\Z", re.DOTALL)


def group_of(dataset: Any) -> tuple[str, str, str] | None:
    """The dataset, the column and the value that ``test[sex=1]`` names; None for a dataset that is no such group."""
    found = _GROUP.match(str(dataset))
    return (found["dataset"], found["column"], found["group"]) if found else None


def real(value: Any) -> float | None:
    """A number of an entry, where ``nan`` and ``inf`` are text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def bounds(value: Any) -> tuple[float, float] | None:
    """An interval of an entry; None if there is none, or one without finite ends."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    low, high = real(value[0]), real(value[1])
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return (low, high)


def figure(value: Any) -> str:
    """A number, short: four digits, but counts whole."""
    number = real(value)
    if number is None:
        return str(value)
    if number.is_integer() and abs(number) < 1e15:
        return f"{number:,.0f}"
    return f"{number:.4g}"


def interval(value: Any) -> str:
    """``[0.81, 0.87]`` with a space that no line is broken at, or ``-``."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return "-"
    return f"[{figure(value[0])},\N{NO-BREAK SPACE}{figure(value[1])}]"


def seeds(values: Any) -> str:
    """The range of a metric over seeds; ``-`` if it was not run again."""
    numbers = [number for number in map(real, values or ()) if number is not None]
    return f"{len(numbers)}: {figure(min(numbers))} to {figure(max(numbers))}" if numbers else "-"


def size(value: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}\N{NO-BREAK SPACE}{unit}" if unit == "B" else f"{value:.1f}\N{NO-BREAK SPACE}{unit}"
        value /= 1000
    return f"{value:.1f}\N{NO-BREAK SPACE}TB"


def when(time: Any) -> str:
    """A time of an entry, to the minute."""
    text = str(time or "")
    return f"{text[:16].replace('T', ' ')} UTC" if len(text) >= 16 else UNKNOWN


def told(value: Any) -> str:
    """What somebody said, or that it is unknown."""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)
    return text.strip() or UNKNOWN


def shown(value: Any) -> str:
    """A value that a gate observed or required."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    return figure(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
