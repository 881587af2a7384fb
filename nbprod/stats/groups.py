"""A measure in each group of rows, and how far groups are apart.

Difference and ratio are fairlearn's between groups: the highest less the lowest, the lowest by the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import Fact
from nbprod.stats.intervals import bootstrap, wilson
from nbprod.stats.measures import Measure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MISSING = "(missing)"
"""The group of the rows whose group is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupValue(Fact):
    """A measure in one group.

    Attributes:
        value: None where it is undefined, such as a recall where nothing is positive.
        interval: None where there is no value.
        enough: whether the group has so many rows that it counts.
    """

    group: str
    rows: int
    value: float | None = None
    interval: tuple[float, float] | None = None
    enough: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Fact):
    """How far the groups are apart.

    Attributes:
        highest, lowest: the groups that are farthest apart.
    """

    kind: Literal["difference", "ratio"]
    value: float
    interval: tuple[float, float]
    highest: str
    lowest: str


def by_group(
    measure: Measure,
    truth: Array,
    answer: Array,
    groups: Sequence[Any],
    *,
    min_rows: int = 50,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[GroupValue, ...]:
    """A measure in each group, by the group's name.

    Shares have Wilson's interval over the rows that they are a share of; other measures have a bootstrap's.

    Args:
        groups: the group of each row; None and NaN are the group `MISSING`.
        min_rows: groups of fewer rows are not `enough`.
    """
    import numpy as np
    import pandas as pd

    values = pd.Series(list(groups), dtype=object)
    names = np.where(values.isna(), MISSING, values.map(_name)).astype(object)
    found = []
    for name in sorted(set(names)):
        inside = names == name
        rows = int(inside.sum())
        value, interval = _measured(measure, truth[inside], answer[inside], confidence=confidence, seed=seed)
        found.append(GroupValue(group=str(name), rows=rows, value=value, interval=interval, enough=rows >= min_rows))
    return tuple(found)


def _name(value: Any) -> str:
    """A group as a person writes it: 1, not 1.0, where a missing value made whole numbers floats."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _measured(
    measure: Measure, truth: Array, answer: Array, *, confidence: float, seed: int
) -> tuple[float | None, tuple[float, float] | None]:
    value = measure(truth, answer)
    if math.isnan(value):
        return None, None
    if measure.rate is not None:
        counted, among = measure.rate(truth, answer)
        return value, wilson(int((counted & among).sum()), int(among.sum()), confidence=confidence)
    low, high = bootstrap(measure, truth, answer, resamples=500, seed=seed, confidence=confidence)
    return value, None if math.isnan(low) else (low, high)


def spread(values: Sequence[GroupValue], *, kind: Literal["difference", "ratio"]) -> Spread | None:
    """How far the groups that are large enough are apart; None where there are fewer than two, or one has no interval.

    The interval is Newcombe's (1998, method 10), which makes the interval of a difference from those of both parts;
    that of a ratio is the same on the logarithms (MOVER, Donner and Zou 2012). The two groups were chosen because they
    are farthest apart, which makes the value look worse than it is when all groups are alike: the more groups there
    are, the more rows each of them needs.
    """
    counted = [value for value in values if value.enough and value.value is not None and value.interval is not None]
    if len(counted) < 2:
        return None
    high = max(counted, key=lambda value: value.value or 0.0)
    low = min(counted, key=lambda value: value.value or 0.0)
    made = _difference(high, low) if kind == "difference" else _ratio(high, low)
    return Spread(kind=kind, value=made[0], interval=made[1], highest=high.group, lowest=low.group)


def _parts(group: GroupValue) -> tuple[float, float, float]:
    assert group.value is not None and group.interval is not None
    return group.value, *group.interval


def _difference(high: GroupValue, low: GroupValue) -> tuple[float, tuple[float, float]]:
    (a, a_low, a_high), (b, b_low, b_high) = _parts(high), _parts(low)
    value = a - b
    below = math.hypot(a - a_low, b_high - b)
    above = math.hypot(a_high - a, b - b_low)
    return value, (max(0.0, value - below), value + above)


def _ratio(high: GroupValue, low: GroupValue) -> tuple[float, tuple[float, float]]:
    """The lowest by the highest; nan where the highest is not above 0."""
    (a, a_low, a_high), (b, b_low, b_high) = _parts(high), _parts(low)
    if a <= 0:
        return math.nan, (math.nan, math.nan)
    if b <= 0 or a_low <= 0 or b_low <= 0:
        return max(0.0, b) / a, (0.0, min(1.0, b_high / a_low) if a_low > 0 else 1.0)
    value = math.log(b) - math.log(a)
    below = math.hypot(math.log(b) - math.log(b_low), math.log(a_high) - math.log(a))
    above = math.hypot(math.log(b_high) - math.log(b), math.log(a) - math.log(a_low))
    return b / a, (math.exp(value - below), min(1.0, math.exp(value + above)))
