"""Data quality: columns that vanished or changed, and shares of values that are missing, new or beyond the range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nbprod.monitoring.columns import LEAST, Column
from nbprod.monitoring.facts import Check, Quality, Status, Window, percent
from nbprod.monitoring.profile import REPEATED, Profile
from nbprod.stats.intervals import normal_quantile

if TYPE_CHECKING:
    from nbprod.monitoring.policy import MonitorPolicy

WARN, ALARM = 0.02, 0.10
"""How many more rows than in the reference, as a share, may be wrong."""

WORDS = {
    "missing": "are missing",
    "strange": "are of another type",
    "unnamed": "have a category that the reference does not name",
    "beyond": "are outside the range of the reference",
}


def quality_of(reference: Profile, current: Profile) -> tuple[dict[str, Quality], tuple[str, ...]]:
    """What is wrong with each column of some rows, where anything is; and the columns that vanished."""
    found: dict[str, Quality] = {}
    vanished = []
    for name, known in reference.columns.items():
        column = current.columns.get(name)
        if column is None or not column.rows:
            vanished.append(name)
            continue
        made = _quality(known, column)
        if made != Quality():
            found[name] = made
    return found, tuple(vanished) if current.rows else ()


def _quality(reference: Column, column: Column) -> Quality:
    whole = max(column.rows, 1)
    known = sum(count > 0 for count in column.filled())
    varied = sum(count > 0 for count in reference.filled()) > 1
    frequent = max(reference.filled(), default=0) / max(reference.known, 1)
    surprising = varied and known == 1 and column.known * -math.log(max(frequent, 1e-9)) > 12
    return Quality(
        missing=column.missing / whole,
        strange=column.strange / whole,
        unnamed=column.other / whole if column.kind == "category" else 0.0,
        beyond=(column.below + column.above) / whole,
        constant=surprising,  # all alike, where chance would hardly make them so
    )


def expected_of(reference: Column) -> dict[str, float]:
    """The shares of the reference; what it does not tell counts as the most that it may hide."""
    whole = max(reference.rows, 1)
    hidden = LEAST / whole
    return {
        "missing": max(reference.missing / whole, hidden),
        "strange": max(reference.strange / whole, hidden),
        "unnamed": max(reference.other / whole, hidden),
        "beyond": 2 * hidden,
    }


def check_quality(reference: Profile, window: Window, policy: MonitorPolicy) -> Iterator[Check]:
    """What is wrong with the values of the last window."""
    if not window.rows:
        return
    for name in window.vanished:
        yield Check(area="quality", name=name, status="ALARM", why=f"the column '{name}' is in none of the rows.")
    found = [check for name in window.quality for check in _column(reference, name, window)]
    yield from found
    yield from _repeated(reference, window)
    if not found and not window.vanished:
        columns = len(reference.columns)
        why = f"nothing is wrong with the values of {columns} columns."
        yield Check(area="quality", name="values", status="OK", why=why)


def _column(reference: Profile, name: str, window: Window) -> Iterator[Check]:
    quality, expected = window.quality[name], expected_of(reference.columns[name])
    tests = 4 * max(1, len(reference.columns))
    for kind, words in WORDS.items():
        share, usual = getattr(quality, kind), expected[kind]
        more = share - usual
        if share == 1.0 and kind in ("missing", "strange"):
            why = f"all values of '{name}' {words}."
            yield Check(area="quality", name=name, status="ALARM", why=why, value=share, limit=usual)
        elif more >= WARN and more >= chance(usual, window.rows, tests=tests):
            status: Status = "ALARM" if more >= ALARM else "WARN"
            why = f"{percent(share)} of '{name}' {words}, where {percent(usual)} or less were."
            yield Check(area="quality", name=name, status=status, why=why, value=share, limit=usual + WARN)
    if quality.constant:
        why = f"'{name}' has only one value, and had several."
        yield Check(area="quality", name=name, status="ALARM", why=why)


def chance(share: float, rows: int, *, tests: int, alpha: float = 0.05) -> float:
    """How far above a share a window's may be by chance, with the error shared between so many tests."""
    return normal_quantile(1 - alpha / tests) * math.sqrt(max(share * (1 - share), 1 / max(rows, 1)) / max(rows, 1))


def _repeated(reference: Profile, window: Window) -> Sequence[Check]:
    usual, share = reference.repeated, window.repeated
    if usual is None or share is None:
        return ()
    if share - usual < ALARM or share - usual < chance(usual, min(window.rows, REPEATED), tests=1):
        return ()
    status: Status = "ALARM" if share - usual >= 0.3 else "WARN"
    some = f"{min(window.rows, REPEATED):,} rows"
    why = f"{percent(share)} of {some} say what another one says, where {percent(usual)} did."
    return (Check(area="quality", name="duplicates", status=status, why=why, value=share, limit=usual + ALARM),)
