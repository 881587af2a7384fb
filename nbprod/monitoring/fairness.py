"""Fairness over time: whether groups of people are farther apart than they were, by more than chance.

A plain "gap above 0.1" alarms in nearly every window of a thousand rows, since small groups differ by chance. Here a
gap counts only if its interval, corrected for all pairs of groups, is beyond what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from nbprod.monitoring.facts import Check, Window
from nbprod.monitoring.policy import FairnessPolicy, tolerated
from nbprod.monitoring.profile import Profile
from nbprod.stats.groups import GroupValue, Spread, spread
from nbprod.stats.intervals import normal_quantile

TOLERANCE = 0.05
"""How much farther apart than on the test rows groups may be, where the policy says nothing."""


def two_proportions(one: GroupValue, other: GroupValue) -> float:
    """The p-value of the pooled two-proportion z-test that two groups have the same share; 1 where it has none."""
    if one.value is None or other.value is None or not one.among or not other.among:
        return 1.0
    pooled = (one.value * one.among + other.value * other.among) / (one.among + other.among)
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.among + 1 / other.among))
    if not error:
        return 1.0
    return math.erfc(abs(one.value - other.value) / error / math.sqrt(2))


def unequal(values: Sequence[GroupValue], *, alpha: float = 0.05) -> bool:
    """Whether any two groups of enough rows differ by more than chance, with the error shared between all pairs."""
    counted = [value for value in values if value.enough and value.value is not None]
    pairs = list(combinations(counted, 2))
    return any(two_proportions(*pair) * len(pairs) < alpha for pair in pairs)


def check_fairness(reference: Profile, windows: Sequence[Window], policy: FairnessPolicy) -> Iterator[Check]:
    """Whether groups are farther apart than is allowed, each metric in the last window in which it is known.

    Labels come late and the last rows may be few, so it may be that of an earlier window, which is then named.
    """
    known = dict.fromkeys((column, metric) for w in windows for column, own in w.groups.items() for metric in own)
    for column, metric in known:
        having = [window for window in reversed(windows) if metric in window.groups.get(column, {})]
        telling = (window for window in having if _apart(window.groups[column][metric], policy) is not None)
        window = next(telling, having[0])
        values = window.groups[column][metric]
        whole = reference.performance.metric(metric) if reference.performance else None
        much = tolerated(metric, policy.tolerance, TOLERANCE, whole.value if whole else 0.0)
        before = _before(reference, column, metric, policy)
        check = _check((metric, column), values, before, replace(policy, tolerance=much))
        yield check if window is windows[-1] else replace(check, why=f"in {window.label}: {check.why}")


def _before(reference: Profile, column: str, metric: str, policy: FairnessPolicy) -> Spread | None:
    known = reference.performance
    values = known.groups.get(column, {}).get(metric, ()) if known else ()
    return spread(_counted(values, policy), kind="difference") if values else None


def _counted(values: Sequence[GroupValue], policy: FairnessPolicy) -> list[GroupValue]:
    """Groups of enough rows, among which enough make up the share."""
    return [
        value
        for value in values
        if value.rows >= policy.min_rows and (value.among is None or value.among >= policy.min_rows)
    ]


def _apart(values: Sequence[GroupValue], policy: FairnessPolicy) -> Spread | None:
    """How far groups are apart; None where too few have enough rows to say so."""
    found = spread(_counted(values, policy), kind="difference")
    return None if found is None or math.isnan(found.interval[0]) else found


def _check(what: tuple[str, str], values: Sequence[GroupValue], before: Spread | None, policy: FairnessPolicy) -> Check:
    metric, column = what
    name = f"{metric} by {column}"
    found = _apart(values, policy)
    if found is None:
        why = f"fewer than two groups of '{column}' have {policy.min_rows} rows or more that count."
        return Check(area="fairness", name=name, status="INSUFFICIENT", why=why)
    allowed = policy.difference
    if allowed is None:
        allowed = (0.0 if before is None else before.value) + (policy.tolerance or 0.0)
    said = f"{found.highest} and {found.lowest} are {found.value:.3f} apart"
    usual = "" if before is None else f"; on the test rows groups were {before.value:.3f} apart"
    fields = {"value": found.value, "limit": allowed, "interval": found.interval}
    if found.interval[0] > allowed:
        why = f"{said}, surely more than {allowed:.3f}{usual}."
        return Check(area="fairness", name=name, status="ALARM", why=why, **fields)  # type: ignore[arg-type]
    if found.value > allowed and unequal_by(found, allowed):
        why = f"{said}, more than {allowed:.3f}, though not surely{usual}."
        return Check(area="fairness", name=name, status="WARN", why=why, **fields)  # type: ignore[arg-type]
    why = f"{said}, which is within {allowed:.3f} or within chance{usual}."
    return Check(area="fairness", name=name, status="OK", why=why, **fields)  # type: ignore[arg-type]


def unequal_by(found: Spread, allowed: float, *, confidence: float = 0.8) -> bool:
    """Whether a gap is beyond what is allowed at a lower confidence: its interval's lower half, made narrower."""
    narrow = normal_quantile((1 + confidence) / 2) / normal_quantile(0.975)
    return found.value - narrow * (found.value - found.interval[0]) > allowed
