"""Windows: rows of a log by time, or of files one by one, turned into what can be judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nbprod.monitoring.drift import compare
from nbprod.monitoring.estimate import estimated
from nbprod.monitoring.facts import Drift, Window
from nbprod.monitoring.performance import FAIR, Answers, grouped, labels, measured, metrics_of
from nbprod.monitoring.policy import MonitorPolicy
from nbprod.monitoring.profile import PREDICTION, SCORE, Measured, Profile, merge, profile_of, repeated_share
from nbprod.monitoring.quality import quality_of
from nbprod.predictions.rows import united
from nbprod.stats.intervals import normal_quantile

if TYPE_CHECKING:
    import pyarrow as pa

TRUTH = "truth"
OUTCOME = "outcome."
FIRST = 5000
"""So many rows of a window are looked at for repetitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How rows become windows.

    Attributes:
        groups: columns by which fairness is judged.
        metrics: names of metrics that are followed.
        columns: inputs of the model that a test may drift in.
    """

    reference: Profile
    policy: MonitorPolicy
    columns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """What kind of model it is, as far as that is known."""
        return self.reference.performance.task if self.reference.performance else "classes"

    @property
    def positive(self) -> str:
        """The class that counts as positive."""
        return self.reference.performance.positive if self.reference.performance else ""


@dataclass(slots=True, kw_only=True)
class Gathered:
    """The rows of one window as they come: counts at once, and what measuring needs."""

    key: str
    label: str
    start: float
    end: float
    profile: Profile
    parts: list[pa.Table] = field(default_factory=list)
    first: pa.Table | None = None

    def add(self, rows: pa.Table, plan: Plan) -> None:
        """Count rows, and keep their answers, truths, groups and outcomes."""
        self.profile = merge(self.profile, profile_of(rows, plan.reference, threads=2 if rows.num_rows > 20_000 else 1))
        wanted = (PREDICTION, SCORE, TRUTH, *plan.groups)
        names = [name for name in rows.column_names if name in wanted or name.startswith(OUTCOME)]
        self.parts.append(rows.select(names))
        if self.first is None:
            self.first = rows.select([name for name in plan.reference.columns if name in rows.column_names])[:FIRST]


def window_key(moment: float, length: float) -> tuple[str, str, float]:
    """The key, label and beginning of the window that a moment is in; windows begin at multiples of their length."""
    start = math.floor(moment / length) * length
    begun = datetime.fromtimestamp(start, UTC)
    label = begun.strftime("%Y-%m-%d" if length % 86400 == 0 else "%Y-%m-%d %H:%M")
    return begun.isoformat().replace("+00:00", "Z"), label, start


def by_time(batches: Iterable[pa.RecordBatch], plan: Plan) -> Iterator[Gathered]:
    """Windows by the rows' times, oldest first; one in which there are no rows is not there."""
    import numpy as np
    import pyarrow as pa

    length, found = plan.policy.window, dict[int, Gathered]()
    for batch in batches:
        table = pa.Table.from_batches([batch])
        if not table.num_rows:
            continue
        moments = table["time"].cast(pa.int64()).to_numpy() / 1e6
        numbers = np.floor(moments / length).astype(np.int64)
        for number in np.unique(numbers).tolist():
            own = table.filter(pa.array(numbers == number))
            if number not in found:
                key, label, start = window_key(number * length, length)
                empty = plan.reference.empty()
                found[number] = Gathered(
                    key=key, label=label, start=start, end=start + length, profile=Profile(answers=empty.answers)
                )
            found[number].add(own, plan)
    for number in sorted(found):
        yield found[number]


def gaps_between(starts: Sequence[float], length: float, *, until: float) -> tuple[str, ...]:
    """Labels of the windows without rows between the first one and a moment; the one that is still open is none."""
    there = {round(start / length) for start in starts}
    if not there:
        return ()
    last = math.floor(until / length)
    missing = [number for number in range(min(there), last) if number not in there]
    return tuple(window_key(number * length, length)[1] for number in missing)


def seen(gathered: Gathered, plan: Plan) -> Window:
    """What can be said of a window by itself."""
    quality, vanished = quality_of(plan.reference, gathered.profile)
    answers = _answers(gathered, plan)
    found = _measured(answers, plan) if answers is not None else {}
    profile = gathered.profile
    repeated = repeated_share(gathered.first, gathered.first.column_names) if gathered.first is not None else None
    return Window(
        key=gathered.key,
        label=gathered.label,
        start=gathered.start,
        end=gathered.end,
        rows=profile.rows,
        outside=profile.outside / max(profile.rows, 1),
        repeated=repeated,
        vanished=vanished,
        quality=quality,
        drift=_drifts(plan, gathered, plan.columns),
        answers=_answer_drifts(plan, gathered),
        outcomes=_outcomes(gathered.parts),
        **found,
    )


def _drifts(plan: Plan, gathered: Gathered, names: Sequence[str]) -> dict[str, Drift]:
    policy = plan.policy.drift
    chosen = [name for name in policy.columns or names if name in gathered.profile.columns]
    if gathered.profile.rows < policy.min_rows:
        return {}
    found = {}
    for name in chosen:
        made = _compared(plan, gathered, name, alpha=policy.alpha / max(1, len(chosen)))
        if made is not None:
            found[name] = made
    return found


def _compared(plan: Plan, gathered: Gathered, name: str, *, alpha: float) -> Drift | None:
    policy = plan.policy.drift
    answer = name in (PREDICTION, SCORE) and name in gathered.profile.answers
    known, own = (p.answers if answer else p.columns for p in (plan.reference, gathered.profile))
    test = policy.tests.get(name, policy.test)
    options = policy.options if test != "auto" else {}
    return compare(known[name], own[name], test=test, options=options, alpha=alpha, effect=policy.effect)


def _answer_drifts(plan: Plan, gathered: Gathered) -> dict[str, Drift]:
    """Of predictions and scores, where they are known."""
    if gathered.profile.rows < plan.policy.drift.min_rows:
        return {}
    names = [name for name in gathered.profile.answers if gathered.profile.answers[name].known]
    made = {name: _compared(plan, gathered, name, alpha=plan.policy.drift.alpha / max(1, len(names))) for name in names}
    return {name: drift for name, drift in made.items() if drift is not None}


def _answers(gathered: Gathered, plan: Plan) -> Answers | None:
    """What was answered and what is known of it; None where there are no predictions, or nobody knows what they are."""
    if not gathered.parts or plan.reference.performance is None:
        return None
    table = united(gathered.parts)
    names = table.column_names
    if PREDICTION not in names or not table.num_rows or table[PREDICTION].null_count == table.num_rows:
        return None
    prediction = labels(table[PREDICTION].to_pylist(), plan.task)
    score = None
    if SCORE in names and not table[SCORE].null_count:
        score = table[SCORE].to_numpy()
    return Answers(
        task=plan.task,
        positive=plan.positive,
        prediction=prediction,
        truth=labels(table[TRUTH].to_pylist(), plan.task) if TRUTH in names else None,
        score=score,
        groups={name: labels(table[name].to_pylist(), "classes") for name in plan.groups if name in names},
    )


def _measured(answers: Answers, plan: Plan) -> dict[str, Any]:
    performance = plan.reference.performance
    assert performance is not None
    known = answers.known()
    names = metrics_of(answers.task, plan.metrics)
    metrics: dict[str, Measured] = {}
    if known.rows >= plan.policy.performance.min_rows:
        metrics = {name: made for name in names if (made := measured(name, known)) is not None}
    fair = plan.policy.fairness.metrics or FAIR[answers.task]
    return {
        "labelled": known.rows,
        "metrics": metrics,
        "estimates": estimated(names, answers, performance) if answers.rows >= plan.policy.drift.min_rows else {},
        "groups": grouped(answers, plan.groups, fair, min_rows=plan.policy.fairness.min_rows),
    }


def _outcomes(parts: Sequence[pa.Table]) -> dict[str, Measured]:
    """Business outcomes: the mean of each with its interval, where there are numbers."""
    import numpy as np

    values: dict[str, list[float]] = {}
    for part in parts:
        for name in part.column_names:
            if name.startswith(OUTCOME):
                own = [v for v in part[name].to_pylist() if isinstance(v, (int, float, bool)) and math.isfinite(v)]
                values.setdefault(name.removeprefix(OUTCOME), []).extend(map(float, own))
    found = {}
    for name, numbers in values.items():
        if numbers:
            mean, spread = float(np.mean(numbers)), float(np.std(numbers))
            half = normal_quantile(0.975) * spread / math.sqrt(len(numbers))
            found[name] = Measured(name=name, value=mean, interval=(mean - half, mean + half), rows=len(numbers))
    return found


Tell = Callable[[str], None]
