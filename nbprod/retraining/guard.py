"""After a promotion: whether the new version does worse on live rows than the old one did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nbprod.entities import Fact
from nbprod.stats.intervals import normal_quantile

MIN_ROWS = 200

WIDER = normal_quantile(0.9975) / normal_quantile(0.975)
"""From intervals of 95 % to 99.5 %: the guard looks again and again; `benchmarks/guard.py` shows the price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live(Fact):
    """A metric of a version on live rows whose truth is known.

    Attributes:
        interval: of the value, with a confidence of 95 %.
        better: whether more is better, ``higher``, or less.
    """

    ref: str
    metric: str
    value: float
    interval: tuple[float, float]
    rows: int
    better: str = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Fact):
    """What the guard says; ``wait`` while too little is known."""

    act: Literal["rollback", "keep", "wait"]
    reason: str


def judge(old: Live | None, new: Live | None, *, min_rows: int = MIN_ROWS) -> Verdict:
    """Compare two versions on different live rows.

    It is rolled back only if the interval of the difference, with a confidence of 99.5 %, lies wholly below 0. Its half
    width is the root of the sum of the squares of both half widths, on the sides that face each other (Newcombe,
    Statistics in Medicine 17, 1998, method 10, if the intervals are Wilson's).

    Args:
        old: before the promotion; new: since then.
    """
    if new is None or new.rows < min_rows:
        known = new.rows if new else 0
        return Verdict(act="wait", reason=f"{known} labels are known since the promotion, and {min_rows} are needed.")
    if old is None or old.rows < min_rows:
        return Verdict(act="wait", reason="too few labels of the version before are known to compare with.")
    sign = 1.0 if old.better == "higher" else -1.0
    difference = sign * (new.value - old.value)
    (new_low, new_high), (old_low, old_high) = _turned(new, sign), _turned(old, sign)
    upper = WIDER * math.hypot(new_high - sign * new.value, sign * old.value - old_low)
    lower = WIDER * math.hypot(sign * new.value - new_low, old_high - sign * old.value)
    said = (
        f"{old.metric} is {new.value:.4g} on {new.rows:,} live rows, and was {old.value:.4g} on {old.rows:,} with "
        f"{old.ref} (difference {difference - lower:+.4g} to {difference + upper:+.4g})"
    )
    if difference + upper < 0:
        return Verdict(act="rollback", reason=f"{said}: {new.ref} is worse.")
    return Verdict(act="keep", reason=f"{said}.")


def _turned(live: Live, sign: float) -> tuple[float, float]:
    low, high = (sign * bound for bound in live.interval)
    return min(low, high), max(low, high)
