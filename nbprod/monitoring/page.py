"""The report as one page that needs nothing else: no script, no font, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from nbprod.monitoring.charts import Point, distribution, groups, lines
from nbprod.monitoring.facts import AREAS, Check, MonitorReport, Window
from nbprod.monitoring.profile import Measured, Profile
from nbprod.monitoring.style import STYLE
from nbprod.stats.groups import GroupValue

TITLES = {
    "traffic": "Traffic", "quality": "Data quality", "drift": "Data drift", "prediction": "Prediction drift",
    "performance": "Performance", "estimate": "Estimate without labels", "fairness": "Fairness", "business": "Business",
    "staleness": "Staleness",
}  # fmt: skip
MARKS = {"OK": "✓", "WARN": "!", "ALARM": "✕", "INSUFFICIENT": "·"}
WINDOWS = 60
"""The timeline shows so many of the last windows."""

COLUMNS = 60
"""So many distributions are drawn, those that drifted first."""


def page(report: MonitorReport, reference: Profile, current: Profile | None) -> str:
    """The page as HTML.

    Args:
        reference: the profile of the version.
        current: that of the last window; None where there are no rows.
    """
    guess = ("guess",) if any(window.estimates for window in report.windows) else ()
    parts = [
        _head(report),
        _section("What was found", _checks(report.checks)),
        _section("Timeline", _timeline(report.windows[-WINDOWS:])),
        _section("Over time", _grid(_over_time(report, reference)), _legend("current", *guess, "mark")),
        _section("Groups", _grid(_groups(report, reference)), _legend("dot", "hollow")),
        _section("Distributions", _grid(_distributions(report, reference, current)), _legend("reference", "current")),
        _problems(report),
    ]
    title = escape(f"{report.status}: {report.ref}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(report: MonitorReport) -> str:
    last = report.windows[-1] if report.windows else None
    facts = [
        ("looked at", f"{report.made[:16].replace('T', ' ')} UTC"),
        ("age", f"{report.age / 86400:.0f} days"),
        ("owner", report.owner or "unknown"),
        ("aliases", ", ".join(report.aliases) or "none"),
        ("rows", f"{last.rows:,} in {last.label}" if last else "none"),
        ("labelled", f"{sum(window.labelled for window in report.windows):,}"),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        f'<header><h1>{escape(report.ref)} {_pill(report.status)}</h1><p class="lead">{escape(report.sentence)}</p>'
        f"<dl>{shown}</dl></header>"
    )


def _pill(status: str) -> str:
    return f'<span class="pill {status.lower()}">{MARKS[status]} {status}</span>'


def _section(title: str, body: str, more: str = "") -> str:
    return f"<section><h2>{title}</h2>{more}{body}</section>" if body else ""


def _legend(*kinds: str) -> str:
    words = {
        "reference": "reference", "current": "current rows", "guess": "estimate without labels",
        "mark": "test rows", "dot": "current rows, with interval", "hollow": "test rows",
    }  # fmt: skip
    items = "".join(f'<span><i class="key {kind}"></i>{words[kind]}</span>' for kind in kinds)
    return f'<p class="legend">{items}</p>'


def _checks(checks: Sequence[Check]) -> str:
    """A table by area, in which areas that are bad are open."""
    found = []
    for area in sorted(AREAS, key=lambda area: min((_rank(c) for c in checks if c.area == area), default=9)):
        own = [check for check in checks if check.area == area]
        if not own:
            continue
        rows = "".join(f"<li>{_pill(check.status)}<div>{_said(check)}</div></li>" for check in own)
        opened = " open" if _rank(own[0]) < 2 else ""
        head = f'{_pill(own[0].status)} {TITLES[area]} <span class="count">{len(own)}</span>'
        found.append(f"<details{opened}><summary>{head}</summary><ul>{rows}</ul></details>")
    return "".join(found)


def _said(check: Check) -> str:
    """What was found, with its name once."""
    said = check.why.removeprefix(f"'{check.name}'").removeprefix(f"{check.name} ")
    return f"<b>{escape(check.name)}</b> {escape(said.lstrip())}"


def _rank(check: Check) -> int:
    return ("ALARM", "WARN", "OK", "INSUFFICIENT").index(check.status)


def _timeline(windows: Sequence[Window]) -> str:
    areas = [area for area in AREAS if any(area in window.areas for window in windows)]
    if not areas:
        return ""
    rows = []
    for area in areas:
        cells = "".join(
            f'<td class="{window.areas.get(area, "none").lower()}" title="{escape(window.label)}: '
            f'{window.areas.get(area, "-")}">{MARKS.get(window.areas.get(area, ""), "")}</td>'
            for window in windows
        )
        rows.append(f"<tr><th>{TITLES[area]}</th>{cells}</tr>")
    span = (
        f"{escape(windows[0].label)} to {escape(windows[-1].label)}" if len(windows) > 1 else escape(windows[0].label)
    )
    return f'<div class="scroll"><table class="timeline">{"".join(rows)}</table></div><p class="note">{span}</p>'


def _grid(figures: Iterator[tuple[str, str, str]]) -> str:
    """Figures beside each other: title, note, chart."""
    found = "".join(
        f"<figure><figcaption><b>{escape(title)}</b> {note}</figcaption>{chart}</figure>"
        for title, note, chart in figures
    )
    return f'<div class="grid">{found}</div>' if found else ""


def _over_time(report: MonitorReport, reference: Profile) -> Iterator[tuple[str, str, str]]:
    windows = report.windows
    labels = [window.label for window in windows]
    floors = ((report.policy or {}).get("performance") or {}).get("floor") or {}
    known = reference.performance
    for name in dict.fromkeys(name for window in windows for name in (*window.metrics, *window.estimates)):
        points = [_measure(n, w, w.metrics[name]) for n, w in enumerate(windows) if name in w.metrics]
        guesses = [
            Point(place=n, value=w.estimates[name], title=f"{w.label}: {w.estimates[name]:.4g} (estimate)")
            for n, w in enumerate(windows)
            if name in w.estimates
        ]
        before = known.metric(name) if known else None
        marks = [("test rows", before.value)] if before else []
        if name in floors:
            marks.append(("floor", float(floors[name])))
        yield name, "", lines(f"{name} over time", points, labels=labels, marks=marks, guesses=guesses)
    for name in dict.fromkeys(name for window in windows for name in window.outcomes):
        goal = ((report.policy or {}).get("business") or {}).get(name) or {}
        marks = [(word, float(goal[word])) for word in ("target", "floor") if goal.get(word) is not None]
        points = [_measure(n, w, w.outcomes[name]) for n, w in enumerate(windows) if name in w.outcomes]
        yield name, "business", lines(f"{name} over time", points, labels=labels, marks=marks)
    if len(windows) > 1:
        rows = [Point(place=n, value=w.rows, title=f"{w.label}: {w.rows:,}") for n, w in enumerate(windows)]
        yield "rows", "", lines("rows over time", rows, labels=labels)


def _measure(place: int, window: Window, found: Measured) -> Point:
    low, high = found.interval[:2] if found.interval else (None, None)
    title = f"{window.label}: {found.value:.4g} on {found.rows:,} rows"
    return Point(place=place, value=found.value, low=low, high=high, title=title)


def _groups(report: MonitorReport, reference: Profile) -> Iterator[tuple[str, str, str]]:
    known = reference.performance.groups if reference.performance else {}
    last = report.windows[-1] if report.windows else None
    for column, metrics in (last.groups if last else {}).items():
        for metric, values in metrics.items():
            before = {value.group: value for value in known.get(column, {}).get(metric, ())}
            own = {value.group: value for value in values}
            names = list(dict.fromkeys([*before, *own]))
            rows = [(name, _group(before.get(name)), _group(own.get(name))) for name in names]
            status = next((c.status for c in report.checks if c.name == f"{metric} by {column}"), "OK")
            yield (
                f"{metric} by {column}",
                _pill(status) if status != "OK" else "",
                groups(f"{metric} by {column}", rows),
            )


def _group(value: GroupValue | None) -> Point | None:
    if value is None or value.value is None:
        return None
    low, high = value.interval or (None, None)
    title = f"{value.group}: {value.value:.3f} of {value.rows:,} rows"
    return Point(place=0, value=value.value, low=low, high=high, title=title)


def _distributions(
    report: MonitorReport, reference: Profile, current: Profile | None
) -> Iterator[tuple[str, str, str]]:
    status = {(c.name, c.area == "prediction"): c.status for c in report.checks if c.area in ("drift", "prediction")}
    last = report.windows[-1] if report.windows else None
    found = {(name, False): drift for name, drift in (last.drift if last else {}).items()}
    found |= {(name, True): drift for name, drift in (last.answers if last else {}).items()}
    order = {"ALARM": 0, "WARN": 1}
    both = [(name, True) for name in reference.answers] + [(name, False) for name in reference.columns]
    both.sort(key=lambda one: (order.get(status.get(one, "OK"), 2), not one[1]))
    for one in both[:COLUMNS]:
        name, answer = one
        known, own = ((p.answers if answer else p.columns) if p else {} for p in (reference, current))
        if known[name].kind == "other":
            continue
        note = _pill(status[one]) if status.get(one, "OK") != "OK" else ""
        if one in found:
            note += f' <span class="note">{found[one].test} {found[one].statistic:.3g}</span>'
        yield name, note, distribution(name, known[name], own.get(name))


def _problems(report: MonitorReport) -> str:
    if not report.problems:
        return ""
    items = "".join(f"<li>{escape(problem)}</li>" for problem in report.problems)
    return _section("Passed over", f'<ul class="plain">{items}</ul>')
