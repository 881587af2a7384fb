"""The verb ``nbprod monitor``: a report of one model or a row for each, written and told to whom it concerns."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod.entities import Fact
from nbprod.errors import ArtifactError, NbprodError, UsageError
from nbprod.lifecycle.monitor import Looked, Request, moment_or, monitor, version_of
from nbprod.lifecycle.observed import reports_folder
from nbprod.lifecycle.versions import outlines
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.monitoring import kept
from nbprod.monitoring.facts import MonitorReport
from nbprod.monitoring.notify import due, notify, unset
from nbprod.registry import CHAMPION
from nbprod.store import write_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(Fact):
    """One row for a model.

    Attributes:
        version: the champion, or the newest version where there is none.
        age: seconds since that was registered.
        checked: when it was last looked at; empty for never.
        status: the worst of the last report; ``ERROR`` if it could not be looked at, ``-`` if it never was.
    """

    name: str
    version: str = ""
    champion: bool = False
    age: float = 0.0
    owner: str = ""
    checked: str = ""
    status: str = "-"
    why: str = ""


def health() -> tuple[Health, ...]:
    """One row for each model, from what was last found about it; nothing is looked at anew."""
    with open_existing() as work:
        return tuple(_health(work, name) for name in _names(work))


def _names(work: Workspace) -> list[str]:
    return sorted({version.name for version in outlines(work)})


def _health(work: Workspace, name: str) -> Health:
    now, problems = time.time(), list[str]()
    try:
        version = version_of(name, work)
        folder = reports_folder(work, name)
        report = kept.last(folder, problems.append, of=version.digest) or kept.last(folder, problems.append)
    except NbprodError as error:
        return Health(name=name, status="ERROR", why=str(error))
    row = Health(
        name=name,
        version=version.version,
        champion=CHAMPION in version.aliases,
        age=max(0.0, now - moment_or(version.created, now)),
        owner=str(version.entry["owner"]),
    )
    if report is None:
        return replace(row, why=problems[0] if problems else "nobody looked at it yet.")
    other = "" if report.digest == version.digest else f"{report.ref} was looked at: "
    return replace(row, checked=report.made, status=report.status, why=other + report.sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the verb found.

    Attributes:
        rows: one for each model.
        report: of the one model that was asked for; None for all.
        document: what ``--json`` prints.
    """

    rows: tuple[Health, ...]
    document: Any
    report: MonitorReport | None = None
    kept: str = ""


def look(
    name: str | None,
    *,
    all_: bool = False,
    html: str | None = None,
    prometheus: str | None = None,
    webhook: str | None = None,
    **options: Any,
) -> Found:
    """Look at one model or at all; write what was asked for, and tell whom the policies name.

    One model that fails does not stop the rest; asked for by its name it raises.

    Raises:
        UsageError: neither one nor all were asked for, one page for all, or a folder where a file is written.
    """
    if (name is None) != all_:
        raise UsageError("name a model, or say --all." if name is None else "name a model or say --all, not both.")
    if name is None and (html or options.get("files") or options.get("labels")):
        raise UsageError("--html, --input and --labels are about one model: name it.")
    if webhook and not webhook.startswith(("$", "https://", "http://")):
        raise UsageError("--webhook must be a URL that begins with https://, or $NAME of a variable that holds one.")
    for file in filter(None, (html, prometheus)):
        if Path(file).is_dir():
            raise UsageError(f"{file} is a folder: name a file in it.")
    request = Request(**options)
    if name is not None:
        looked = _told(monitor(name, request), webhook)
        if html:
            _write(html, looked.page())
        rows, reports = (_row(looked.report),), [looked.report]
        found = Found(rows=rows, report=looked.report, kept=looked.kept, document=looked.report.to_dict())
    else:
        both = _all(request, webhook)
        reports = [report for _, report in both if report is not None]
        found = Found(rows=tuple(row for row, _ in both), document=[row.to_dict() for row, _ in both])
    if prometheus:
        from nbprod.monitoring.prometheus import exposition

        _write(prometheus, exposition(reports))
    return found


def _all(request: Request, webhook: str | None) -> list[tuple[Health, MonitorReport | None]]:
    with open_existing() as work:
        names = _names(work)
    found: list[tuple[Health, MonitorReport | None]] = []
    for name in names:
        try:
            report = _told(monitor(name, request), webhook).report
            found.append((_row(report), report))
        except NbprodError as error:
            found.append((Health(name=name, status="ERROR", why=str(error)), None))
    return found


def _row(report: MonitorReport) -> Health:
    return Health(
        name=report.name,
        version=report.ref.rpartition("/")[2],
        champion=CHAMPION in report.aliases,
        age=report.age,
        owner=report.owner,
        checked=report.made,
        status=report.status,
        why=report.sentence,
    )


def _told(looked: Looked, webhook: str | None) -> Looked:
    """A report that whoever must know was told of; what could not be told is among its problems."""
    policy = looked.policy.notify
    if webhook:
        policy = replace(policy, webhook=webhook)
    problems = notify(looked.report, policy) if due(looked.report, policy) else unset(policy, os.environ)
    if not problems:
        return looked
    report = replace(looked.report, problems=(*looked.report.problems, *problems))
    write_text(Path(looked.kept), kept.text_of(report))
    return replace(looked, report=report)


def _write(file: str, text: str) -> None:
    try:
        write_text(Path(file), text)
    except OSError as error:
        raise ArtifactError(f"cannot be written ({error.strerror}): name another place.", file=file) from error
