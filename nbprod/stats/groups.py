"""A measure in each group of rows, and how far groups are apart.

Difference and ratio are fairlearn's between groups: the highest less the lowest, the lowest by the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import Fact
from nbprod.errors import UsageError
from nbprod.stats.intervals import bootstrap, normal_quantile, tail, wilson
from nbprod.stats.measures import Measure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MISSING = "(missing)"
"""The group of the rows whose group is not known."""

RESAMPLES = 500
"""Of each group's bootstrap."""

Kind = Literal["difference", "ratio"]
Interval = tuple[float, float]
Bounds = tuple[float, float, float]
"""A value with its lower and upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupValue(Fact):
    """A measure in one group.

    Attributes:
        value: None where it is undefined, such as a recall where nothing is positive.
        interval: None where there is no value, and where too few rows make a bootstrap worthless.
        enough: whether the group has so many rows that it counts.
        among: if the measure is a share, the rows that it is a share of, such as the positives for a recall; else None.
    """

    group: str
    rows: int
    value: float | None = None
    interval: tuple[float, float] | None = None
    enough: bool = True
    among: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Fact):
    """How far the groups are apart.

    Attributes:
        highest, lowest: the groups that are farthest apart.
    """

    kind: Kind
    value: float
    interval: tuple[float, float]
    highest: str
    lowest: str


def by_group(
    measure: Measure,
    truth: Array,
    answer: Array,
    groups: Sequence[Any] | Array,
    *,
    min_rows: int = 50,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[GroupValue, ...]:
    """A measure in each group, by the group's name: numbers in their order, then text, `MISSING` last.

    Shares have Wilson's interval over the rows that they are a share of; other measures have a bootstrap's, in groups
    that are large enough.

    Args:
        truth, answer: as the measure takes them.
        groups: the group of each row; None, NaN and the like are the group `MISSING`.
        min_rows: groups of fewer rows are not `enough`.

    Raises:
        UsageError: the arrays are not as the measure takes them, or there is not one group for each row.
    """
    import numpy as np

    truth, answer = np.asarray(truth), np.asarray(answer)
    names, codes = _named(groups)
    if len(codes) != len(truth):
        raise UsageError(f"each row needs a group: there are {len(truth)} rows and {len(codes)} groups.")
    if not len(truth):
        return ()
    if measure.rate is not None and not math.isnan(measure(truth, answer)):
        return _shares(measure.rate(truth, answer), names, codes, min_rows=min_rows, confidence=confidence)
    inside = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    found = []
    for name, rows in zip(names, inside, strict=True):
        parts, enough = (truth[rows], answer[rows]), len(rows) >= min_rows
        value, low = measure(*parts), math.nan
        if enough and not math.isnan(value):
            low, high = bootstrap(measure, *parts, resamples=RESAMPLES, seed=seed, confidence=confidence)
        interval = None if math.isnan(low) else (low, high)
        known = None if math.isnan(value) else value
        found.append(GroupValue(group=name, rows=len(rows), value=known, interval=interval, enough=enough))
    return tuple(found)


def _shares(
    parts: tuple[Array, ...], names: list[str], codes: Array, *, min_rows: int, confidence: float
) -> tuple[GroupValue, ...]:
    import numpy as np

    counted, among = parts
    rows = np.bincount(codes)
    of, hits = (np.bincount(codes[chosen], minlength=len(names)) for chosen in (among, counted & among))
    low, high = wilson(hits, of, confidence=confidence)
    return tuple(
        GroupValue(
            group=name,
            rows=int(rows[i]),
            value=float(hits[i] / of[i]) if of[i] else None,
            interval=(float(low[i]), float(high[i])) if of[i] else None,
            enough=bool(rows[i] >= min_rows),
            among=int(of[i]),
        )
        for i, name in enumerate(names)
    )


def _named(groups: Sequence[Any] | Array) -> tuple[list[str], Array]:
    """The names of the groups in their order, and which of them each row is in."""
    import numpy as np

    found, values = _factorized(groups)
    names = [_name(value) for value in values]
    known = sorted({*names} - {MISSING}, key=_rank)
    if MISSING in names or (found < 0).any():
        known.append(MISSING)
    places = {name: place for place, name in enumerate(known)}
    codes = np.array([*(places[name] for name in names), places.get(MISSING, 0)], dtype=np.intp)
    return known, codes[found]


def _factorized(groups: Sequence[Any] | Array) -> tuple[Array, Sequence[Any]]:
    """A number for each row, -1 where the group is missing, and what the numbers mean."""
    import numpy as np

    if isinstance(groups, np.ndarray) and groups.dtype == object:
        rows = groups.tolist()
        values = [value for value in dict.fromkeys(rows) if value is not None]
        if all(isinstance(value, str) for value in values):  # pandas takes longer to import than this to run
            numbers = {None: -1, **{value: number for number, value in enumerate(values)}}
            return np.fromiter((numbers[row] for row in rows), np.intp, len(rows)), values
    import pandas as pd

    found, kinds = pd.factorize(pd.Series(groups).astype(object))
    return found, list(kinds)


def _name(value: Any) -> str:
    """A group as a person writes it: 1, not 1.0, where a missing value made whole numbers floats."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _rank(name: str) -> tuple[bool, float, str]:
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


def spread(values: Sequence[GroupValue], *, kind: Kind, confidence: float = 0.95) -> Spread | None:
    """How far the groups that are large enough are apart; None where fewer than two of those have a value.

    The interval is made from those of the groups, which share no rows, by MOVER: of a difference as Newcombe (1998,
    method 10) does it, of a ratio as Donner and Zou (2012) do, which also works where the lowest is 0. It holds for the
    pair that is farthest apart in truth, which need not be the pair that looks so: the end far from "all alike" is the
    farthest of all pairs', and the end near it is made so much wider (Bonferroni) that groups which are all alike seem
    apart in no more than 1 - confidence of cases, however many they are.

    Args:
        confidence: that of the values' intervals.

    Raises:
        UsageError: the ratio of a measure that can be below 0, such as r2.
    """
    counted = [value for value in values if value.enough and value.value is not None]
    if len(counted) < 2:
        return None
    if kind == "ratio" and any((value.value or 0.0) < 0 for value in counted):
        raise UsageError("numbers below 0 have no ratio that means anything: use the difference between groups.")
    highest, lowest = (choose(counted, key=lambda one: one.value or 0.0) for choose in (max, min))
    high, low = highest.value or 0.0, lowest.value or 0.0
    value = high - low if kind == "difference" else low / high if high else math.nan
    return Spread(
        kind=kind,
        value=value,
        interval=_interval(counted, kind, confidence),
        highest=highest.group,
        lowest=lowest.group,
    )


def _interval(values: Sequence[GroupValue], kind: Kind, confidence: float) -> Interval:
    if any(value.interval is None for value in values):
        return math.nan, math.nan
    pairs = len(values) * (len(values) - 1) // 2
    own = [(value.value or 0.0, *(value.interval or (0.0, 0.0))) for value in values]
    wide = [(value.value or 0.0, *_widened(value, confidence, pairs=pairs)) for value in values]
    between = _difference if kind == "difference" else _ratio
    far = [between(*pair) for pair in permutations(own, 2)]
    near = [between(*pair) for pair in permutations(wide, 2)]
    if kind == "difference":
        return max(0.0, *(low for low, _ in near)), max(high for _, high in far)
    return min(low for low, _ in far), min(1.0, *(high for _, high in near))


def _widened(value: GroupValue, confidence: float, *, pairs: int) -> Interval:
    """A group's interval with the error shared between so many pairs; a bootstrap's grows as a normal one would."""
    assert value.value is not None and value.interval is not None
    less = (1 - confidence) / pairs
    if value.among is not None:
        return wilson(round(value.value * value.among), value.among, confidence=1 - less)
    scale = normal_quantile(1 - less / 2) / normal_quantile(1 - tail(confidence))
    low, high = value.interval
    return value.value - scale * (value.value - low), value.value + scale * (high - value.value)


def _difference(one: Bounds, other: Bounds) -> Interval:
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def _ratio(one: Bounds, other: Bounds) -> Interval:
    """Of one by the other; up to infinity where the other may be 0."""
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    a_low, b_low = max(0.0, a_low), max(0.0, b_low)
    product = a * b

    def root(ends: float) -> float:
        return math.sqrt(max(0.0, product * product - ends))

    low_part, low_whole = a_low * (2 * a - a_low), b_high * (2 * b - b_high)
    high_part, high_whole = a_high * (2 * a - a_high), b_low * (2 * b - b_low)
    below, above = product + root(low_part * low_whole), product + root(high_part * high_whole)
    return low_part / below if below > 0 else 0.0, above / high_whole if high_whole > 0 else math.inf
