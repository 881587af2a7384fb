"""Numbers, lists and labels as the reasons of gates say them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

NAMED = 5
"""So many things are named before the rest is only counted."""


def number(value: float) -> str:
    """A number in six digits, so that one just below a limit does not look like the limit."""
    return f"{value:.6g}"


def interval_text(interval: tuple[float, float]) -> str:
    """``-0.01 to 0.02``."""
    return f"{number(interval[0])} to {number(interval[1])}"


def several(names: Iterable[str]) -> str:
    """``a, b, c``; of many the first few, and how many more there are."""
    known = list(names)
    rest = len(known) - NAMED
    return ", ".join(known[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def label_name(label: Any) -> str:
    """A label as text: 1, not 1.0, where a missing label made whole numbers floats."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def with_notes(reason: str, notes: Sequence[str]) -> str:
    """A reason as one sentence, and in it what should be known of how it was found."""
    return "; ".join([reason, *notes]) + "."
