"""A challenger in the champion's shadow: whether it waits, is promoted, or refused, by the same live rows of both."""

from __future__ import annotations

from typing import Literal

from nbprod.stats.paired import Comparison
from nbprod.stats.paired import judge as judged

MIN_ROWS = 500
"""So many rows that both answered, and whose truth is known, are needed before they say anything."""

TOLERANCE = 0.02
"""How much worse is as good as equal."""


def judge(
    found: Comparison | None, *, over: bool, tolerance: float = TOLERANCE
) -> tuple[Literal["wait", "promote", "refuse"], str]:
    """What to do with a challenger whose gates passed, with a sentence.

    It is decided as soon as the interval of the difference is clear, and at the latest when its time is over: then it
    is refused only if it is surely worse, and promoted for its gates where no service let it answer.

    Args:
        found: on the same rows; None where there are none.
        over: whether its time in the shadow is over.
    """
    rows = found.rows if found else 0
    if found is None or rows < MIN_ROWS:
        if over:
            return "promote", f"its time in the shadow is over, in which {rows:,} rows became known: its gates decide."
        return "wait", f"it answers in the champion's shadow: {rows:,} rows are known, and {MIN_ROWS} are needed."
    low, high = found.interval
    said = (
        f"on the same {rows:,} live rows it has {found.candidate:.4g}, and the champion {found.champion:.4g} "
        f"(difference {low:+.4g} to {high:+.4g})"
    )
    verdict = judged(found.interval, tolerance=tolerance)
    if verdict in ("better", "not worse"):
        return "promote", f"{said}: {verdict}."
    if verdict == "worse" or (over and high < 0):
        return "refuse", f"{said}: worse."
    if over:
        return "promote", f"{said}: not surely worse when its time in the shadow is over."
    return "wait", f"{said}: not clear yet."
