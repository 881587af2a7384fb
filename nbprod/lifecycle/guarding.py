"""After an automatic promotion: compare live metrics with the version before, and go back to it where they fell."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nbprod.document import moment
from nbprod.entities import Fact, ModelVersion
from nbprod.errors import NbprodError
from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle.monitor import Request, monitor
from nbprod.lifecycle.rollback import rollback
from nbprod.monitoring.facts import Window
from nbprod.registry import CHAMPION
from nbprod.retraining.guard import MIN_ROWS, Live, Verdict, judge
from nbprod.retraining.policy import RetrainPolicy
from nbprod.stats.measures import MEASURES

AUTOMATIC = "retrained: "
"""How the reason of a promotion begins that no person made; only such a one is taken back."""

BEFORE = 30 * 86400.0
"""Seconds of the version before that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Fact):
    """A promotion that is watched over.

    Attributes:
        since: when it was made, in Unix seconds.
    """

    new: str
    old: str
    since: float


def watched(
    name: str, champion: ModelVersion, lines: Sequence[AuditLine], *, guard: float, now: float
) -> Watched | None:
    """The last promotion of a model, if it was automatic, still stands, is young, and there is a version before.

    Args:
        guard: seconds for which it is watched.
    """
    line = next((line for line in reversed(lines) if line.alias == CHAMPION), None)
    if line is None or line.action != "promote" or not line.reason.startswith(AUTOMATIC):
        return None
    since = moment(line.time)
    if line.version != champion.version or not line.before or now - since > guard:
        return None
    return Watched(new=f"{name}/{line.version}", old=f"{name}/{line.before}", since=since)


def guard(
    champion: ModelVersion, policy: RetrainPolicy, lines: Sequence[AuditLine], *, now: float | None = None
) -> Verdict | None:
    """Watch over a model's last promotion, and take it back if live metrics say so; None if there is none to watch."""
    now = time.time() if now is None else now
    found = watched(champion.name, champion, lines, guard=policy.guard, now=now)
    metric = str(champion.entry["model"]["main_metric"] or "accuracy")
    if found is None or metric not in MEASURES:
        return None
    new = live(found.new, metric, since=found.since, until=now)
    enough = new is not None and new.rows >= MIN_ROWS  # else nobody need look at the version before
    old = live(found.old, metric, since=found.since - BEFORE, until=found.since) if enough else None
    verdict = judge(old, new)
    if verdict.act == "rollback":
        rollback(champion.name, reason=f"guard: {verdict.reason}")
    return verdict


def live(ref: str, metric: str, *, since: float, until: float) -> Live | None:
    """A metric of a version on live rows of some time; None if nothing is known of it.

    It is asked of monitoring, window by window: a window counts where it ends in that time.
    """
    try:
        report = monitor(ref, Request(since=datetime.fromtimestamp(since, UTC).isoformat(), keep="no")).report
    except NbprodError:  # nothing was recorded of it, or it has no profile
        return None
    return pooled(ref, metric, (window for window in report.windows if since < window.end and window.start < until))


def pooled(ref: str, metric: str, windows: Iterable[Window]) -> Live | None:
    """A metric over several windows: the mean by rows, with the half widths of its intervals added as variances are."""
    known = [window.metrics[metric] for window in windows if metric in window.metrics]
    rows = sum(item.rows for item in known)
    if not rows:
        return None
    value = sum(item.value * item.rows for item in known) / rows
    low, high = (
        math.sqrt(sum((item.rows * abs(item.value - item.interval[side])) ** 2 for item in known if item.interval))
        / rows
        for side in (0, 1)
    )
    better = MEASURES[metric].better
    return Live(ref=ref, metric=metric, value=value, interval=(value - low, value + high), rows=rows, better=better)
