"""The ``monitor`` section of a pipeline: what is looked at, how often, and what counts as wrong.

Every default was set by ``benchmarks/false_alarms.py``; see docs/monitoring.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from nbprod.document import Document, describe, document_of, seconds
from nbprod.entities import JSON, Fact
from nbprod.errors import UsageError, nearest
from nbprod.monitoring.drift import ALPHA, EFFECT, GROUP, OWN
from nbprod.plugins import resolve
from nbprod.stats.measures import IN_UNITS, MEASURES

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy(Fact):
    """When columns have drifted.

    Attributes:
        alpha: shared by all columns (Bonferroni).
        effect: a difference that is smaller does not count, however sure it is.
        alarms, of_last: so many of the last windows must have drifted for an alarm; one is a warning.
        min_rows: a window of fewer rows is not judged.
        columns: only these; empty for all inputs of the model.
        tests: column -> test, where it is another.
        options: the test's own keywords.
    """

    test: str = "auto"
    alpha: float = ALPHA
    effect: float = EFFECT
    alarms: int = 2
    of_last: int = 3
    min_rows: int = 500
    columns: tuple[str, ...] = ()
    tests: dict[str, str] = field(default_factory=dict)
    options: dict[str, JSON] = field(default_factory=dict)


def tolerated(name: str, said: float | None, default: float, before: float) -> float:
    """How much of a metric does not count: what the policy says, else a default that fits the metric.

    Args:
        before: the metric on the test rows.
    """
    if said is not None:
        return said
    return default * abs(before) if name in IN_UNITS else default


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformancePolicy(Fact):
    """When a model does too badly.

    Attributes:
        metrics: empty for the main metric and what goes with the task.
        floor: metric -> the worst that is good enough; the fixed bar that a version was accepted by.
        tolerance: how much worse than on the test rows is as good as equal, in the metric's unit; None for 0.02, and
            for that share of an error in the unit of what is predicted.
        min_rows: fewer labelled rows are not judged.
    """

    metrics: tuple[str, ...] = ()
    floor: dict[str, float] = field(default_factory=dict)
    tolerance: float | None = None
    min_rows: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessPolicy(Fact):
    """When groups are too far apart.

    Attributes:
        columns: empty for the entry's groups.
        difference: the most that groups may be apart; None for `tolerance` more than on the test rows.
        tolerance: None for 0.05, and for that share of an error in the unit of what is predicted.
        min_rows: groups of fewer rows do not count.
    """

    metrics: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    difference: float | None = None
    tolerance: float | None = None
    min_rows: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal(Fact):
    """What a business outcome should be: it warns below its target and alarms below its floor."""

    target: float | None = None
    floor: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def contradicts(self) -> bool:
        """Whether what alarms is better than what is wanted."""
        if self.target is None or self.floor is None:
            return False
        return self.floor > self.target if self.better == "higher" else self.floor < self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class StalenessPolicy(Fact):
    """When a model is too old.

    Attributes:
        max_age, max_data_age: seconds since it was registered, and since the last day that its data are of.
        outside: the share of rows with a value that the training data do not have.
    """

    max_age: float | None = None
    max_data_age: float | None = None
    outside: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyPolicy(Fact):
    """Who is told.

    Attributes:
        webhook: a URL, or ``$NAME`` of the environment variable that holds it.
        email: addresses; `smtp` is host:port and `sender` whom they come from.
        on: from which status on.
    """

    webhook: str = ""
    email: tuple[str, ...] = ()
    smtp: str = "localhost:25"
    sender: str = "nbprod@localhost"
    on: Literal["warn", "alarm"] = "alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorPolicy(Fact):
    """All of it.

    Attributes:
        window: seconds.
        windows: how many are looked at where nobody says since when.
        gaps: what a window in which nothing was recorded is.
    """

    window: float = DAY
    windows: int = 30
    gaps: Literal["alarm", "warn", "ignore"] = "alarm"
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    performance: PerformancePolicy = field(default_factory=PerformancePolicy)
    fairness: FairnessPolicy = field(default_factory=FairnessPolicy)
    business: dict[str, Goal] = field(default_factory=dict)
    staleness: StalenessPolicy = field(default_factory=StalenessPolicy)
    notify: NotifyPolicy = field(default_factory=NotifyPolicy)


Reader = Callable[[Any], Any]
"""Turns a YAML value into what a policy holds; ValueError says in words what it must be."""


def _must(good: bool, what: str) -> None:
    if not good:
        raise ValueError(what)


def _number(low: float, high: float = float("inf")) -> Reader:
    words = f"a number of {low:g} or more" if high == float("inf") else f"a number from {low:g} to {high:g}"

    def read(value: Any) -> float:
        _must(isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high, words)
        return float(value)

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _any_number(value: Any) -> float:
    _must(_is_number(value), "a number")
    return float(value)


def _count(value: Any) -> int:
    _must(isinstance(value, int) and not isinstance(value, bool) and value >= 1, "a whole number from 1")
    return int(value)


def _time(value: Any) -> float:
    found = seconds(value) if isinstance(value, str) else None
    _must(bool(found), "a time such as 1d or 12h")
    return float(found or 0.0)


def _text(value: Any) -> str:
    _must(isinstance(value, str) and bool(value.strip()), "text")
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    value = [value] if isinstance(value, str) else value
    _must(isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of names")
    return tuple(value)


def _metrics(value: Any) -> tuple[str, ...]:
    names = _texts(value)
    for name in names:
        _metric(name)
    return names


def _metric(name: str) -> None:
    _must(
        name in MEASURES, f"metrics that can be computed from predictions, not '{name}'.{nearest(str(name), MEASURES)}"
    )


def _floors(value: Any) -> dict[str, float]:
    _must(isinstance(value, Mapping), "a mapping such as {roc_auc: 0.8}")
    for name in value:
        _metric(str(name))
        _must(_is_number(value[name]), f"a mapping of metrics to numbers: {name} is {describe(value[name])}.")
    return {str(name): float(number) for name, number in value.items()}


def _choice(*words: str) -> Reader:
    def read(value: Any) -> str:
        _must(value in words, f"{', '.join(words[:-1])} or {words[-1]}")
        return str(value)

    return read


def _test(value: Any) -> str:
    name = _text(value)
    if name != "auto" and name not in OWN:
        try:
            resolve(GROUP, name)
        except UsageError as error:
            raise ValueError(f"the name of a drift test: {error.message[:-1]}.") from error
    return name


def _tests(value: Any) -> dict[str, str]:
    _must(isinstance(value, Mapping), "a mapping of columns to tests")
    return {str(column): _test(name) for column, name in value.items()}


def _options(value: Any) -> dict[str, Any]:
    _must(isinstance(value, Mapping), "a mapping")
    return {str(key): option for key, option in value.items()}


def _webhook(value: Any) -> str:
    found = _text(value)
    _must(found.startswith(("$", "https://", "http://")), "a URL, or $NAME of the environment variable that holds it")
    return found


_SHARE = _number(0, 1)
_READ: Mapping[str, Mapping[str, Reader]] = {
    "": {"window": _time, "windows": _count, "gaps": _choice("alarm", "warn", "ignore")},
    "drift": {
        "test": _test, "alpha": _SHARE, "effect": _number(0), "alarms": _count, "of_last": _count, "min_rows": _count,
        "columns": _texts, "tests": _tests, "options": _options,
    },
    "performance": {"metrics": _metrics, "floor": _floors, "tolerance": _number(0), "min_rows": _count},
    "fairness": {
        "metrics": _metrics, "columns": _texts, "difference": _number(0), "tolerance": _number(0), "min_rows": _count,
    },
    "staleness": {"max_age": _time, "max_data_age": _time, "outside": _SHARE},
    "notify": {
        "webhook": _webhook, "email": _texts, "smtp": _text, "sender": _text, "on": _choice("warn", "alarm"),
    },
    "goal": {"target": _any_number, "floor": _any_number, "better": _choice("higher", "lower")},
}  # fmt: skip
_PARTS = {
    "drift": DriftPolicy, "performance": PerformancePolicy, "fairness": FairnessPolicy, "staleness": StalenessPolicy,
    "notify": NotifyPolicy,
}  # fmt: skip

KEYS = tuple(field.name for field in fields(MonitorPolicy))
"""The legal keys of the section."""


def read_monitor(section: Any, *, file: str | None = None, text: str = "") -> MonitorPolicy:
    """The policy that a pipeline sets; what it does not say is as the defaults are.

    Args:
        file, text: the YAML file, so that an error names its line.

    Raises:
        PipelineError: a key is unknown, with the nearest that is not, or a value is of another kind.
    """
    read = document_of(text, file=file)
    data = read.mapping(section, "monitor")
    read.only(data, KEYS, "monitor")
    parts: dict[str, Any] = {
        name: cls(**_values(data[name], name, read, ("monitor", name)))
        for name, cls in _PARTS.items()
        if data.get(name) is not None
    }
    own = {key: value for key, value in data.items() if key in _READ[""]}
    goals = read.mapping(data.get("business"), "monitor", "business")
    business = {
        name: Goal(**_values(goal, "goal", read, ("monitor", "business", name))) for name, goal in goals.items()
    }
    for name, goal in business.items():
        if goal.contradicts:
            which = "above" if goal.better == "higher" else "below"
            place = ("monitor", "business", name)
            raise read.error(
                f"{'.'.join(place)}.floor must not be {which} its target: {goal.better} is better.", *place
            )
    made = MonitorPolicy(**_values(own, "", read, ("monitor",)), **parts, business=business)
    _check_drift(made.drift, read)
    return made


def _values(value: Any, part: str, read: Document, place: tuple[str, ...]) -> dict[str, Any]:
    data = read.mapping(value, *place)
    read.only(data, _READ[part], *place)
    found = {}
    for key, item in data.items():
        try:
            found[key] = _READ[part][key](item)
        except ValueError as error:
            words = str(error)
            said = words if words.endswith((".", "?")) else f"{words}, not {describe(item)}."
            raise read.error(f"{'.'.join(place)}.{key} must be {said}", *place, key) from error
    return found


def _check_drift(drift: DriftPolicy, read: Document) -> None:
    if drift.alarms > drift.of_last:
        raise read.error("monitor.drift.alarms must not be more than of_last.", "monitor", "drift", "alarms")
    if not drift.options:
        return
    names = {drift.test, *drift.tests.values()} - {"auto"}
    for name in names or {"ks"}:
        takes = inspect.signature(OWN.get(name) or resolve(GROUP, name)).parameters
        known = [item.name for item in takes.values() if item.kind is item.KEYWORD_ONLY]
        for key in drift.options:
            if key not in known:
                raise read.error(
                    f"the drift test {name} has no option '{key}'.{nearest(key, known)}", "monitor", "drift", "options"
                )


def policy_of(entry: Mapping[str, Any]) -> MonitorPolicy:
    """The policy in a version's entry, so that it survives its author."""
    return read_monitor(entry["pipeline"]["sections"].get("monitor"), file=entry["pipeline"]["path"])
