"""Judging: from what was seen in windows to a status with a sentence for each thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nbprod.document import span
from nbprod.monitoring.facts import AREAS, ORDER, Check, Drift, Status, Window, percent, worst
from nbprod.monitoring.fairness import check_fairness
from nbprod.monitoring.named import check_named
from nbprod.monitoring.policy import Goal, MonitorPolicy, tolerated
from nbprod.monitoring.profile import Measured, Profile
from nbprod.monitoring.quality import check_quality
from nbprod.stats.measures import MEASURES

DAY = 86400.0
SLIGHT = 0.01
"""A difference of two errors that is smaller says nothing."""

TOLERANCE = 0.02
"""How much worse than on the test rows is as good as equal, where the policy says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is judged.

    Attributes:
        created: when the version was registered, in Unix seconds.
        data_until: the last day that its data are of; None if no card says it.
        newer: datasets of which there are newer bytes than it was trained on.
        gaps: labels of windows in which nothing was recorded.
        main: its main metric.
        classes: all values that a truth can have; empty if they are not all known.
        inputs: names of the columns that it takes.
    """

    reference: Profile
    policy: MonitorPolicy
    created: float
    main: str = ""
    data_until: float | None = None
    newer: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def judged(subject: Subject, windows: Sequence[Window], *, now: float) -> tuple[tuple[Window, ...], tuple[Check, ...]]:
    """The windows with the worst status of each area as it was then, and the last one's checks, the worst first."""
    seen: list[Window] = []
    for place, window in enumerate(windows):
        checks = list(_of_windows(subject, windows[: place + 1]))
        seen.append(replace(window, areas=areas_of(checks)))
    checks = [*_traffic(subject, windows), *_of_windows(subject, windows), *_staleness(subject, windows, now=now)]
    checks += check_named(subject.reference, subject.policy, subject.inputs)
    checks.sort(key=lambda check: (-ORDER.index(check.status), AREAS.index(check.area)))
    return tuple(seen), tuple(checks)


def areas_of(checks: Sequence[Check]) -> dict[str, str]:
    """Area -> the worst status in it."""
    found = {area: [check.status for check in checks if check.area == area] for area in AREAS}
    return {area: worst(statuses) for area, statuses in found.items() if statuses}


def _of_windows(subject: Subject, windows: Sequence[Window]) -> Iterator[Check]:
    """All that is read from windows, as of the last one."""
    if not windows:
        return
    last, policy = windows[-1], subject.policy
    yield from check_quality(subject.reference, last, policy)
    yield from _drifts(subject, windows)
    yield from _performance(subject, windows)
    yield from _estimates(subject, windows)
    yield from check_fairness(subject.reference, windows, policy.fairness)
    yield from _business(policy, last)


def _traffic(subject: Subject, windows: Sequence[Window]) -> Iterator[Check]:
    rows = sum(window.rows for window in windows)
    gaps, way = subject.gaps, subject.policy.gaps
    if not windows and (not gaps or way == "ignore"):
        why = f"nothing was recorded {gaps[0]}." if gaps else "nothing was recorded yet."
        yield Check(area="traffic", name="rows", status="INSUFFICIENT", why=why)
        return
    if gaps and way != "ignore":
        status: Status = "ALARM" if way == "alarm" else "WARN"
        shown = ", ".join(gaps[:3]) + (f" and {len(gaps) - 3} more" if len(gaps) > 3 else "")
        windowed = f"in {len(gaps)} windows: {shown}" if windows else shown
        why = f"nothing was recorded {windowed}."
        yield Check(area="traffic", name="gaps", status=status, why=why, value=float(len(gaps)), limit=0.0)
    elif not windows[-1].rows:
        yield Check(area="traffic", name="rows", status="ALARM", why=f"there are no rows in {windows[-1].label}.")
    else:
        words = "1 window" if len(windows) == 1 else f"{len(windows)} windows"
        yield Check(area="traffic", name="rows", status="OK", why=f"{rows:,} rows in {words}.", value=float(rows))


def _drifts(subject: Subject, windows: Sequence[Window]) -> Iterator[Check]:
    drift = subject.policy.drift
    last = windows[-1]
    if last.rows < drift.min_rows:
        why = f"the last window has {last.rows:,} rows, and drift needs {drift.min_rows:,}: take longer windows."
        yield Check(area="drift", name="columns", status="INSUFFICIENT", why=why)
        return
    recent = [window for window in windows if window.rows >= drift.min_rows][-drift.of_last :]
    found = [_drifted(name, [window.drift for window in recent], subject) for name in last.drift]
    yield from (check for check in found if check.status != "OK")
    if found and all(check.status == "OK" for check in found):
        often = f" in {drift.alarms} of the last {len(recent)} windows" if len(recent) >= drift.alarms > 1 else ""
        why = f"none of {len(found)} columns drifted{often}."
        yield Check(area="drift", name="columns", status="OK", why=why)
    for name in last.answers:
        yield replace(_drifted(name, [window.answers for window in recent], subject), area="prediction")


def _drifted(name: str, recent: Sequence[dict[str, Drift]], subject: Subject) -> Check:
    drift, last = subject.policy.drift, recent[-1][name]
    times = sum(name in window and window[name].drifted for window in recent)
    told = last
    if times >= drift.alarms:  # the numbers are of the last window that drifted, which need not be the last one
        told = next(window[name] for window in reversed(recent) if name in window and window[name].drifted)
    p = "" if told.p is None else f", p {told.p:.2g}"
    said = f"{told.test} {told.statistic:.3g}, effect {told.effect:.3g}{p}"
    if times >= drift.alarms:
        status: Status = "ALARM"
        more = "" if last.drifted else ", and not in the last one"
        why = f"'{name}' drifted in {times} of the last {len(recent)} windows ({said}){more}."
    elif last.drifted:
        status = "WARN"
        why = f"'{name}' drifted in the last window ({said}); {drift.alarms} of {drift.of_last} make an alarm."
    else:
        status, why = "OK", f"'{name}' is as it was ({said})."
    return Check(area="drift", name=name, status=status, why=why, value=last.effect, limit=drift.effect)


def _performance(subject: Subject, windows: Sequence[Window]) -> Iterator[Check]:
    """Of the last window that has enough labels, since labels come late."""
    policy, known = subject.policy.performance, subject.reference.performance
    yield from _foreign(windows[-1], subject)
    labelled = [window for window in windows if window.labelled >= policy.min_rows and window.metrics]
    if not labelled:
        rows = sum(window.labelled for window in windows)
        why = f"the truth of {rows:,} rows is known, and a window needs {policy.min_rows:,}."
        yield Check(area="performance", name=subject.main or "labels", status="INSUFFICIENT", why=why)
        return
    last = labelled[-1]
    for name, found in last.metrics.items():
        if name in policy.floor or name == subject.main or name in policy.metrics or not subject.main:
            yield _metric(name, found, known.metric(name) if known else None, subject, last.label)


def _foreign(last: Window, subject: Subject) -> Iterator[Check]:
    """Of labels that mean nothing to the model."""
    if not last.foreign:
        return
    known = subject.reference.performance
    kind = "no numbers" if known and known.task == "values" else f"none of its classes ({', '.join(subject.classes)})"
    why = f"{last.foreign:,} labels are {kind}, such as '{last.example}': they do not count."
    yield Check(area="performance", name="labels", status="WARN", why=why)


def _metric(name: str, found: Measured, before: Measured | None, subject: Subject, label: str) -> Check:
    policy, sign = subject.policy.performance, 1.0 if MEASURES[name].better == "higher" else -1.0
    low, high = (found.interval or (found.value, found.value))[:2]
    best = high if sign > 0 else low
    said = f"{name} is {found.value:.4g} [{low:.4g}, {high:.4g}] on {found.rows:,} rows of {label}"
    floor = policy.floor.get(name)
    fields = {"value": found.value, "interval": (low, high)}
    if floor is not None and sign * (found.value - floor) < 0:
        sure = sign * (best - floor) < 0
        why = f"{said}, {'surely ' if sure else ''}worse than its floor of {floor:.4g}."
        return Check(area="performance", name=name, status="ALARM" if sure else "WARN", why=why, limit=floor, **fields)  # type: ignore[arg-type]
    if before is None:
        return Check(area="performance", name=name, status="OK", why=f"{said}.", limit=floor, **fields)  # type: ignore[arg-type]
    much = tolerated(name, policy.tolerance, TOLERANCE, before.value)
    limit = before.value - sign * much
    was = f"{before.value:.4g} on the test rows"
    if sign * (best - limit) < 0:
        why = f"{said}, surely more than {much:.3g} worse than {was}."
        return Check(area="performance", name=name, status="ALARM", why=why, limit=limit, **fields)  # type: ignore[arg-type]
    if sign * (best - before.value) < 0:
        why = f"{said}, surely worse than {was}, though not by {much:.3g}."
        return Check(area="performance", name=name, status="WARN", why=why, limit=limit, **fields)  # type: ignore[arg-type]
    return Check(area="performance", name=name, status="OK", why=f"{said}; it was {was}.", limit=limit, **fields)  # type: ignore[arg-type]


def _estimates(subject: Subject, windows: Sequence[Window]) -> Iterator[Check]:
    """What is believed without labels; a warning at most, and how far off it was where the truth came."""
    last, known = windows[-1], subject.reference.performance
    names = [name for name in last.estimates if not subject.main or name == subject.main]
    for name in names or list(last.estimates)[:1]:
        value, before = last.estimates[name], known.metric(name) if known else None
        if before is None:
            continue
        audit = audited(name, windows, before.value)
        said = f"an estimate without labels: {name} may be {value:.4g} ({before.value:.4g} on the test rows){audit}"
        sign = 1.0 if MEASURES[name].better == "higher" else -1.0
        limit = before.value - sign * tolerated(name, subject.policy.performance.tolerance, TOLERANCE, before.value)
        status: Status = "WARN" if sign * (value - limit) < 0 else "OK"
        yield Check(area="estimate", name=name, status=status, why=f"{said}.", value=value, limit=limit)


def audited(name: str, windows: Sequence[Window], before: float) -> str:
    """How far estimates were from the truth where both are known, against the belief that nothing changed."""
    both = [(w.estimates[name], w.metrics[name].value) for w in windows if name in w.estimates and name in w.metrics]
    if not both:
        return ", not audited yet"
    error = sum(abs(guess - truth) for guess, truth in both) / len(both)
    still = sum(abs(before - truth) for _, truth in both) / len(both)
    verdict = ", so do not rely on it" if error > still + SLIGHT else ""
    return f"; where the truth came it was off by {error:.3f}, and to assume no change by {still:.3f}{verdict}"


def _business(policy: MonitorPolicy, last: Window) -> Iterator[Check]:
    for name in (*last.outcomes, *(name for name in policy.business if name not in last.outcomes)):
        found, goal = last.outcomes.get(name), policy.business.get(name, Goal())
        if found is None:
            why = f"no outcome '{name}' is known of the last window."
            yield Check(area="business", name=name, status="INSUFFICIENT", why=why)
        else:
            yield _outcome(name, found, goal)


def _outcome(name: str, found: Measured, goal: Goal) -> Check:
    sign = 1.0 if goal.better == "higher" else -1.0
    low, high = (found.interval or (found.value, found.value))[:2]
    best = high if sign > 0 else low
    said = f"{name} is {found.value:.4g} [{low:.4g}, {high:.4g}] on {found.rows:,} rows"
    fields = {"value": found.value, "interval": (low, high)}
    if goal.floor is not None and sign * (best - goal.floor) < 0:
        why = f"{said}, surely worse than its floor of {goal.floor:.4g}."
        return Check(area="business", name=name, status="ALARM", why=why, limit=goal.floor, **fields)  # type: ignore[arg-type]
    if goal.target is not None and sign * (found.value - goal.target) < 0:
        why = f"{said}, worse than its target of {goal.target:.4g}."
        return Check(area="business", name=name, status="WARN", why=why, limit=goal.target, **fields)  # type: ignore[arg-type]
    return Check(area="business", name=name, status="OK", why=f"{said}.", limit=goal.target, **fields)  # type: ignore[arg-type]


def _staleness(subject: Subject, windows: Sequence[Window], *, now: float) -> Iterator[Check]:
    policy = subject.policy.staleness
    yield _aged("model", "the model was registered", now - subject.created, policy.max_age)
    if subject.data_until is not None:
        yield _aged("data", "its data end", now - subject.data_until, policy.max_data_age)
    if subject.newer:
        why = f"there are newer bytes of what it was trained on: {', '.join(subject.newer)}."
        yield Check(area="staleness", name="newer data", status="WARN", why=why)
    if windows and windows[-1].rows:
        share, known = windows[-1].outside, subject.reference
        usual = min(1.0, 20 * len(known.columns) / max(known.rows, 1))
        limit = policy.outside + usual
        status: Status = "WARN" if share > limit else "OK"
        why = f"{percent(share)} of the rows have a value that the training data do not have ({percent(limit)} may)."
        yield Check(
            area="staleness", name="outside the training data", status=status, why=why, value=share, limit=limit
        )


def _aged(name: str, words: str, age: float, limit: float | None) -> Check:
    days = age / DAY
    said = f"{words} {span(age)} ago"
    if limit is None:
        return Check(area="staleness", name=f"age of the {name}", status="OK", why=f"{said}.", value=days)
    old = age > limit
    why = f"{said}, {'more' if old else 'not more'} than {span(limit)}."
    return Check(
        area="staleness",
        name=f"age of the {name}",
        status="ALARM" if old else "OK",
        why=why,
        value=days,
        limit=limit / DAY,
    )
