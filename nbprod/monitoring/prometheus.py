"""Prometheus text: the last report of each model as metrics, for a node exporter's text files or a web page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from nbprod.monitoring.facts import ORDER, MonitorReport

HELP: Mapping[str, str] = {
    "nbprod_monitor_status": "Status of each check: 0 OK, 1 INSUFFICIENT, 2 WARN, 3 ALARM.",
    "nbprod_monitor_value": "What was found, in the unit of the check.",
    "nbprod_monitor_worst": "The worst status of the model.",
    "nbprod_monitor_rows": "Rows in the last window.",
    "nbprod_monitor_made_seconds": "When the model was last looked at, in Unix seconds.",
    "nbprod_monitor_age_seconds": "Age of the model.",
}


def exposition(reports: Iterable[MonitorReport]) -> str:
    """The reports in Prometheus's text format 0.0.4."""
    lines: dict[str, list[str]] = {name: [] for name in HELP}
    for report in reports:
        for name, labels, value in _samples(report):
            own = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines[name].append(f"{name}{{{own}}} {_number(value)}")
    found = []
    for name, samples in lines.items():
        if samples:
            found += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *samples]
    return "\n".join([*found, ""])


def _samples(report: MonitorReport) -> Iterator[tuple[str, dict[str, str], float]]:
    model = {"model": report.name, "version": report.ref.rpartition("/")[2]}
    yield "nbprod_monitor_worst", model, ORDER.index(report.status)
    yield "nbprod_monitor_rows", model, report.windows[-1].rows if report.windows else 0
    yield "nbprod_monitor_made_seconds", model, datetime.fromisoformat(report.made).timestamp()
    yield "nbprod_monitor_age_seconds", model, report.age
    seen: set[tuple[str, str]] = set()
    for check in report.checks:
        if (check.area, check.name) in seen:  # the worst comes first
            continue
        seen.add((check.area, check.name))
        labels = {**model, "area": check.area, "name": check.name}
        yield "nbprod_monitor_status", labels, ORDER.index(check.status)
        if check.value is not None:
            yield "nbprod_monitor_value", labels, check.value


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(round(value, 9)) if isinstance(value, float) else str(value)
