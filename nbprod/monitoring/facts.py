"""What monitoring finds, as facts: a status with a sentence for each thing that was looked at, window by window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nbprod.entities import JSON, Fact
from nbprod.monitoring.profile import Measured
from nbprod.stats.groups import GroupValue

SCHEMA = "nbprod/monitor-report/1"

Status = Literal["OK", "INSUFFICIENT", "WARN", "ALARM"]
ORDER: tuple[Status, ...] = ("OK", "INSUFFICIENT", "WARN", "ALARM")
"""From the best to the worst."""

Area = Literal[
    "traffic", "quality", "drift", "prediction", "performance", "estimate", "fairness", "business", "staleness"
]
AREAS: tuple[Area, ...] = (
    "traffic", "quality", "drift", "prediction", "performance", "estimate", "fairness", "business", "staleness",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Fact):
    """One thing that was looked at.

    Attributes:
        name: a column, metric, group or outcome.
        why: one sentence.
        limit: what the value was held against.
    """

    area: Area
    name: str
    status: Status
    why: str
    value: float | None = None
    limit: float | None = None
    interval: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Fact):
    """What a drift test found in one column of one window.

    Attributes:
        p: None of a test that has none.
        effect: how far the two are apart, in the test's own unit.
        drifted: whether the test's own limits were passed; one window alone is no alarm.
    """

    test: str
    statistic: float
    effect: float
    drifted: bool
    p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality(Fact):
    """What is wrong with the values of a column in one window, as shares of rows."""

    missing: float = 0.0
    strange: float = 0.0
    unnamed: float = 0.0
    beyond: float = 0.0
    constant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Fact):
    """What was seen in one window.

    Attributes:
        key: tells it from others: its beginning in UTC, or the digest of a file.
        label: how a person calls it.
        start, end: Unix seconds; of a file the time at which it was looked at.
        labelled: rows whose truth is known.
        foreign: rows whose truth is none of the model's classes, or no number; `example` is one. They do not count.
        outside: share of rows with a value that the reference does not have.
        vanished: columns that no row has.
        estimates: metric -> what it is believed to be, without labels.
        groups: column -> metric -> what it was in each group.
        outcomes: business outcome -> its mean.
        areas: area -> the worst status, as it was at the end of this window.
    """

    key: str
    label: str
    start: float
    end: float
    rows: int
    labelled: int = 0
    foreign: int = 0
    example: str = ""
    outside: float = 0.0
    repeated: float | None = None
    vanished: tuple[str, ...] = ()
    drift: dict[str, Drift] = field(default_factory=dict)
    answers: dict[str, Drift] = field(default_factory=dict)
    quality: dict[str, Quality] = field(default_factory=dict)
    metrics: dict[str, Measured] = field(default_factory=dict)
    estimates: dict[str, float] = field(default_factory=dict)
    groups: dict[str, dict[str, tuple[GroupValue, ...]]] = field(default_factory=dict)
    outcomes: dict[str, Measured] = field(default_factory=dict)
    areas: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorReport(Fact):
    """What was found about a version.

    Attributes:
        ref, digest: the version, and its entry's digest.
        made: when.
        source: ``log``, or the files that were compared.
        checks: as of the last window, the worst first.
        windows: oldest first.
        problems: what was passed over, a sentence each: damage, labels that fit nothing, a webhook that is down.
    """

    schema: str = SCHEMA
    name: str
    ref: str
    digest: str
    made: str
    status: Status
    source: str
    aliases: tuple[str, ...] = ()
    owner: str = ""
    age: float = 0.0
    checks: tuple[Check, ...] = ()
    windows: tuple[Window, ...] = ()
    problems: tuple[str, ...] = ()
    policy: JSON = None

    @property
    def sentence(self) -> str:
        """The report in one sentence: the worst that was found."""
        bad = [check for check in self.checks if check.status == self.status]
        if self.status == "OK" or not bad:
            return f"{len(self.checks)} checks, nothing is wrong."
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        why = bad[0].why.removesuffix(".")
        name = "" if f"'{bad[0].name}'" in why or why.startswith(f"{bad[0].name} ") else f" {bad[0].name}"
        return f"{bad[0].area}{name}: {why}{more}."


def worst(statuses: Iterable[Status], *, default: Status = "INSUFFICIENT") -> Status:
    """The worst of some statuses; where anything is bad or good, what is insufficient does not decide."""
    found = set(statuses)
    for status in ("ALARM", "WARN", "OK"):
        if status in found:
            return status
    return default


def overall(checks: Sequence[Check]) -> Status:
    """The status of a report: the worst, but never OK where neither the rows nor the truth could be judged."""
    found = worst(check.status for check in checks)
    sure = any(check.status == "OK" for check in checks if check.area in ("drift", "performance"))
    return "INSUFFICIENT" if found == "OK" and not sure else found


def percent(share: float) -> str:
    """A share as a person says it."""
    return f"{100 * share:.3g} %"
