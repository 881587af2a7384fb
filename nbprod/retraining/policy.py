"""The ``retrain`` section of a pipeline: when a model is retrained, on which data, from which code, and what then.

The defaults were chosen by ``benchmarks/staleness.py``; see docs/retraining.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nbprod.document import Document, describe, document_of, seconds
from nbprod.entities import Fact
from nbprod.errors import UsageError, nearest
from nbprod.retraining.cron import read_cron

KEYS = ("when", "data", "source", "cool_down", "promote", "guard", "shadow")
"""The legal keys of the section."""

PLAIN = ("alarm", "performance", "drift", "new_data")
WITH_VALUE = ("age", "schedule")
COMMIT = "commit"
"""As a source: the commit that the champion's entry records; anything else is the name of a branch."""

DAY = 86400.0
WHEN = ("performance",)
AGE = 60 * DAY
"""With `WHEN` what makes a model stale where ``when`` is not given."""

COOL_DOWN = 30 * DAY
GUARD = 7 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPolicy(Fact):
    """When and how.

    Attributes:
        when: the triggers without a value.
        age: seconds after which the champion is too old; None for never.
        schedule: five fields as cron has them, in UTC; empty for none.
        data: ``stage.input`` -> path, pattern or URL of what is read instead.
        source: ``commit``, or a branch.
        cool_down: seconds between two retrainings.
        promote: ``never``, or ``when_gates_pass``.
        shadow: seconds that a challenger whose gates passed waits at most, while a service lets it answer in the
            champion's shadow; 0 for not at all.
        guard: seconds after a promotion in which it is taken back if the new version does worse than the old one did.
    """

    when: tuple[str, ...] = WHEN
    age: float | None = AGE
    schedule: str = ""
    data: dict[str, str] = field(default_factory=dict)
    source: str = COMMIT
    cool_down: float = COOL_DOWN
    promote: Literal["never", "when_gates_pass"] = "never"
    guard: float = GUARD
    shadow: float = 0.0


def read_retrain(section: Any, *, file: str | None = None, text: str = "") -> RetrainPolicy:
    """The policy that a pipeline sets.

    Args:
        section: see `KEYS`; None for the defaults.
        file, text: the YAML file, so that an error names its line.

    Raises:
        PipelineError: a key is unknown, or a value is of another kind.
    """
    read = document_of(text, file=file)
    data = read.mapping(section, "retrain")
    read.only(data, KEYS, "retrain")
    when, age, schedule = _when(data.get("when"), read)
    promote = data.get("promote", "never")
    if promote not in ("never", "when_gates_pass"):
        hint = nearest(promote, ("never", "when_gates_pass")) if isinstance(promote, str) else ""
        raise read.error(
            f"retrain.promote must be `never` or `when_gates_pass`, not {describe(promote)}.{hint}",
            "retrain", "promote",
        )  # fmt: skip
    source = data.get("source", COMMIT)
    if not isinstance(source, str) or not source.strip() or source.startswith("-") or source != source.strip():
        raise read.error(
            f"retrain.source must be `commit` or the name of a branch, not {describe(source)}.", "retrain", "source"
        )
    return RetrainPolicy(
        when=when,
        age=age,
        schedule=schedule,
        data=_data(data.get("data"), read),
        source=source,
        cool_down=_time(data, "cool_down", COOL_DOWN, read),
        promote=promote,
        guard=_time(data, "guard", GUARD, read),
        shadow=_time(data, "shadow", 0.0, read),
    )


def _when(value: Any, read: Document) -> tuple[tuple[str, ...], float | None, str]:
    """Triggers without a value, the age and the schedule."""
    if value is None:
        return WHEN, AGE, ""
    items = [value] if isinstance(value, (str, Mapping)) else value
    if not isinstance(items, list):
        raise read.error(f"retrain.when must be a list of triggers, not {describe(value)}.", "retrain", "when")
    plain: list[str] = []
    age: float | None = None
    schedule = ""
    for position, item in enumerate(items):
        place = ("retrain", "when", position)
        name, given = _trigger(item, read, place)
        if name in plain or (name == "age" and age is not None) or (name == "schedule" and schedule):
            raise read.error(f"retrain.when names '{name}' twice: keep one.", *place)
        if name == "age":
            age = seconds(given) if isinstance(given, str) else None
            if not age:
                raise read.error(f"age in retrain.when must be a time such as 30d, not {describe(given)}.", *place)
        elif name == "schedule":
            schedule = _schedule(given, read, place)
        else:
            plain.append(name)
    return tuple(plain), age, schedule


def _trigger(item: Any, read: Document, place: tuple[str | int, ...]) -> tuple[str, Any]:
    """A trigger's name and value."""
    if isinstance(item, str) and item in PLAIN:
        return item, None
    if isinstance(item, Mapping) and len(item) == 1 and next(iter(item)) in WITH_VALUE:
        ((name, given),) = item.items()
        return str(name), given
    name = next(iter(item)) if isinstance(item, Mapping) and len(item) == 1 else item
    if name in WITH_VALUE:
        example = "30d" if name == "age" else '"0 3 * * 1"'
        raise read.error(f"{name} in retrain.when needs a value: `{name}: {example}`.", *place)
    if name in PLAIN:
        raise read.error(f"{name} in retrain.when takes no value.", *place)
    if not isinstance(name, str):
        raise read.error(f"retrain.when must be a list of triggers, but holds {describe(item)}.", *place)
    raise read.error(f"there is no trigger '{name}' for retrain.when.{nearest(name, (*PLAIN, *WITH_VALUE))}", *place)


def _schedule(given: Any, read: Document, place: tuple[str | int, ...]) -> str:
    if not isinstance(given, str):
        raise read.error(
            f'schedule in retrain.when must be five fields in quotes, such as "0 3 * * 1", not {describe(given)}.',
            *place,
        )
    try:
        schedule = read_cron(given)
    except UsageError as error:
        raise read.error(error.message, *place) from error
    if schedule.next(0.0) is None:
        raise read.error(f"the schedule '{given}' never comes: no month has such a day.", *place)
    return schedule.text


def _data(value: Any, read: Document) -> dict[str, str]:
    found = {}
    for name, item in read.mapping(value, "retrain", "data").items():
        place = ("retrain", "data", name)
        stage, dot, parameter = name.partition(".")
        if not dot or not stage or not parameter or "." in parameter:
            raise read.error(
                f"retrain.data names '{name}': write the stage and its input, such as prepare.raw.", *place
            )
        if not isinstance(item, str) or not item.strip():
            raise read.error(f"retrain.data.{name} must be a path, a pattern or a URL, not {describe(item)}.", *place)
        found[name] = item.strip()
    return found


def _time(data: Mapping[str, Any], key: str, default: float, read: Document) -> float:
    if data.get(key) is None:
        return default
    value = data[key]
    found = seconds(value) if isinstance(value, str) else None
    if found is None:
        raise read.error(f"retrain.{key} must be a time such as 7d or 12h, not {describe(value)}.", "retrain", key)
    return found


def check_stages(policy: RetrainPolicy, inputs: Mapping[str, Mapping[str, str]], read: Document) -> None:
    """Hold what ``data`` names against the pipeline's stages.

    Args:
        inputs: stage -> parameter -> what it reads.

    Raises:
        PipelineError: there is no such stage or input, or another stage makes it.
    """
    known = [f"{stage}.{name}" for stage, own in inputs.items() for name, text in own.items()
             if text.partition(".")[0] not in inputs]  # fmt: skip
    for name in policy.data:
        if name not in known:
            raise read.error(
                f"retrain.data names '{name}', which no stage reads from outside.{nearest(name, known)}",
                "retrain", "data", name,
            )  # fmt: skip


def policy_of(entry: Mapping[str, Any]) -> RetrainPolicy | None:
    """The policy in a version's entry, so that it survives its author; None if it sets none."""
    section = entry["pipeline"]["sections"].get("retrain")
    return None if section is None else read_retrain(section, file=entry["pipeline"]["path"])
