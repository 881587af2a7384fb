"""Kept reports: what monitoring found before, under ``.nbprod/monitor/<name>/``, so that windows can be counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from nbprod.monitoring.facts import SCHEMA, MonitorReport, Window
from nbprod.store import write_text

KEPT = 400
"""So many reports of a model are kept; the oldest go first."""


def keep(folder: Path, report: MonitorReport) -> Path:
    """Write a report down; returns its file."""
    path = folder / f"{report.made.replace(':', '').replace('.', '-')}.json"
    write_text(path, text_of(report))
    for old in sorted(folder.glob("2*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def text_of(report: MonitorReport) -> str:
    """A report as it is kept."""
    return json.dumps(report.to_dict(), indent=1)


def last(folder: Path, tell: Callable[[str], None], *, of: str = "") -> MonitorReport | None:
    """The newest report that can be read; one about a log that was empty does not hide what files were found to be.

    A model whose rows come as files has no log, and `nbprod watch` looks at the log.

    Args:
        of: the digest of the version that it must be about; empty for any.
    """
    read_back = (read(path, tell) for path in sorted(folder.glob("2*.json"), reverse=True))
    reports = (found for found in read_back if found is not None and of in ("", found.digest))
    newest = next(reports, None)
    if newest is None or newest.source != "log" or newest.windows or newest.status in ("WARN", "ALARM"):
        return newest
    full = next((found for found in reports if found.digest == newest.digest and found.windows), newest)
    return newest if full.source == "log" else full


def read(path: Path, tell: Callable[[str], None]) -> MonitorReport | None:
    """A kept report; None, and a sentence, where it is damaged or of another schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            tell(f"{path.name}: has the schema '{content['schema']}', and this nbprod reads {SCHEMA}; it was left out.")
            return None
        return MonitorReport.from_dict(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        tell(f"{path.name}: is no report that can be read; it was left out.")
        return None


def earlier(folder: Path, report: MonitorReport, tell: Callable[[str], None], *, count: int) -> tuple[Window, ...]:
    """The windows of earlier reports about the same version and kind of rows that this one does not have, oldest first.

    Args:
        count: no more than so many.
    """
    own = {window.key for window in report.windows}
    found: dict[str, Window] = {}
    for path in sorted(folder.glob("2*.json"), reverse=True)[: 4 * count]:
        known = read(path, tell)
        if known is None or (known.digest, known.source == "log") != (report.digest, report.source == "log"):
            continue
        for window in known.windows:
            if window.key not in own:
                found.setdefault(window.key, window)
    ordered: Sequence[Window] = sorted(found.values(), key=lambda window: window.start)
    return tuple(ordered[-count:])
