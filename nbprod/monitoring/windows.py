"""Windows: rows of a log by time, or of files one by one, turned into what can be judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nbprod.monitoring.arrays import only, plain
from nbprod.monitoring.columns import Column
from nbprod.monitoring.drawn import LIMIT, Drawn, numbers_of_rows
from nbprod.monitoring.drift import compare
from nbprod.monitoring.estimate import estimated
from nbprod.monitoring.facts import Drift, Window
from nbprod.monitoring.performance import FAIR, Answers, column_labels, grouped, measured, metrics_of
from nbprod.monitoring.policy import MonitorPolicy
from nbprod.monitoring.profile import (
    ANSWER,
    PREDICTION,
    REPEATED,
    SCORE,
    Measured,
    Profile,
    merge,
    profile_of,
    repeated_share,
)
from nbprod.monitoring.quality import quality_of
from nbprod.stats.intervals import normal_quantile

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

PREDICTED, SCORED, TRUTH, TIME = (ANSWER + name for name in (PREDICTION, SCORE, "truth", "time"))
OUTCOME = "outcome."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How rows become windows.

    Attributes:
        groups: columns by which fairness is judged.
        metrics: names of metrics that are followed.
        columns: inputs of the model that a test may drift in.
        classes: all values that a truth can have, as text; empty if they are not all known.
    """

    reference: Profile
    policy: MonitorPolicy
    columns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

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
    """The rows of one window as they come: all are counted, and what measuring needs is kept of no more than so many.

    Parts that others gathered are joined: the result is that of gathering all rows in one place.

    Attributes:
        place: of the first row, if this is a part of a window.
        every: drawn from all rows.
        known: drawn from those of which a truth or an outcome is known, since labels may be few.
        labelled: rows whose truth is known.
        some: drawn from all rows, with all columns: repetitions are looked for in them.
    """

    key: str
    label: str
    start: float
    end: float
    profile: Profile
    every: Drawn = field(default_factory=Drawn)
    known: Drawn = field(default_factory=Drawn)
    labelled: int = 0
    place: int = 0
    some: Drawn = field(default_factory=lambda: Drawn(limit=REPEATED))

    def add(self, rows: pa.Table, plan: Plan, *, inputs: Sequence[str] = ()) -> None:
        """Count rows, and keep answers, truths, groups and outcomes.

        Args:
            inputs: columns that are kept too, since the model is to be asked.
        """
        numbers = numbers_of_rows(self.place + self.profile.rows, rows.num_rows)
        self.profile = merge(self.profile, profile_of(rows, plan.reference))
        wanted = {PREDICTED, SCORED, TRUTH, *plan.groups, *inputs}
        kept = rows.select([n for n in rows.column_names if n in wanted or n.startswith(OUTCOME)])
        self.every.add(kept, numbers)
        self._know(kept, numbers)
        self.some.add(rows.select([name for name in plan.reference.columns if name in rows.column_names]), numbers)

    def _know(self, rows: pa.Table, numbers: Array) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        told = [name for name in rows.column_names if name == TRUTH or name.startswith(OUTCOME)]
        if not told:
            return
        known = np.zeros(rows.num_rows, dtype=bool)
        for name in told:
            column = rows[name]
            if column.null_count or pa.types.is_floating(column.type):
                known |= pc.invert(pc.is_null(column, nan_is_null=True)).to_numpy()
            else:
                known[:] = True
        if TRUTH in told:
            self.labelled += rows.num_rows - (pc.sum(pc.is_null(rows[TRUTH], nan_is_null=True)).as_py() or 0)
        if not known.all():
            rows, numbers = only(rows, known), numbers[known]
        self.known.add(rows, numbers)

    def join(self, other: Gathered) -> None:
        """The part of the window that comes next."""
        self.profile = merge(self.profile, other.profile)
        self.labelled += other.labelled
        for own, more in ((self.every, other.every), (self.known, other.known), (self.some, other.some)):
            own.limit = more.limit
            own.join(more)

    @property
    def told(self) -> pa.Table:
        """Rows of which a truth or an outcome is known: all of them, or those that were drawn."""
        return self.every.table() if self.every.whole else self.known.table()

    def answer(self, ask: Callable[[pa.Table], pa.Table], plan: Plan) -> None:
        """Add the answers that are lacking, and count them; not of all rows if there are very many."""
        before = set[str]().union(*(part.column_names for part in self.every.parts))
        answered = ask(self.every.table())
        new = [name for name in answered.column_names if name not in before]
        if not new:
            return
        like = Profile(answers={name: c for name, c in plan.reference.answers.items() if ANSWER + name in new})
        made = replace(self.profile.empty(), answers=profile_of(answered, like).answers)
        own = {name: column for name, column in self.profile.answers.items() if ANSWER + name not in new}
        self.profile = merge(replace(self.profile, answers=own), made)
        self.every.parts = [answered]
        if not self.every.whole and self.known.kept:
            self.known.parts = [ask(self.known.table())]


def window_key(moment: float, length: float) -> tuple[str, str, float]:
    """The key, label and beginning of the window that a moment is in; windows begin at multiples of their length."""
    start = math.floor(moment / length) * length
    begun = datetime.fromtimestamp(start, UTC)
    clock = "" if length % 86400 == 0 else " %H:%M" if length % 60 == 0 else " %H:%M:%S"
    label = begun.strftime(f"%Y-%m-%d{clock}")
    return begun.isoformat().replace("+00:00", "Z"), label, start


def by_time(
    tables: Iterable[pa.Table], plan: Plan, *, inputs: Sequence[str] = (), limit: int = LIMIT
) -> list[Gathered]:
    """Windows by the rows' times, oldest first; one in which there are no rows is not there.

    Args:
        inputs, limit: columns that are kept for asking the model, and of how many rows in each window.
    """
    import numpy as np
    import pyarrow as pa

    length, found = plan.policy.window, dict[int, Gathered]()
    for table in tables:
        if not table.num_rows:
            continue
        moments = table[TIME].cast(pa.int64()).to_numpy() / 1e6
        numbers = np.floor(moments / length).astype(np.int64)
        for number in np.unique(numbers).tolist():
            own = table.filter(pa.array(numbers == number))
            if number not in found:
                key, label, start = window_key(number * length, length)
                empty = plan.reference.empty()
                found[number] = Gathered(
                    key=key,
                    label=label,
                    start=start,
                    end=start + length,
                    profile=Profile(answers=empty.answers),
                    every=Drawn(limit=limit),
                    known=Drawn(limit=limit),
                )
            found[number].add(own, plan, inputs=inputs)
    return [found[number] for number in sorted(found)]


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
    found = _measured(gathered, plan)
    profile = gathered.profile
    some = gathered.some.table()
    repeated = repeated_share(some, some.column_names)
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
        outcomes=_outcomes(gathered.told),
        **found,
    )


def _drifts(plan: Plan, gathered: Gathered, names: Sequence[str]) -> dict[str, Drift]:
    policy = plan.policy.drift
    chosen = [name for name in policy.columns or names if name in gathered.profile.columns]
    if gathered.profile.rows < policy.min_rows:
        return {}
    found = {}
    for name in chosen:
        sides = plan.reference.columns[name], gathered.profile.columns[name]
        made = _compared(plan, sides, name, alpha=policy.alpha / max(1, len(chosen)))
        if made is not None:
            found[name] = made
    return found


def _compared(plan: Plan, sides: tuple[Column, Column], name: str, *, alpha: float) -> Drift | None:
    policy = plan.policy.drift
    test = policy.tests.get(name, policy.test)
    options = policy.options if test != "auto" else {}
    return compare(*sides, test=test, options=options, alpha=alpha, effect=policy.effect)


def _answer_drifts(plan: Plan, gathered: Gathered) -> dict[str, Drift]:
    """Of predictions and scores, where they are known."""
    if gathered.profile.rows < plan.policy.drift.min_rows:
        return {}
    known, own = plan.reference.answers, gathered.profile.answers
    names = [name for name in own if own[name].known]
    alpha = plan.policy.drift.alpha / max(1, len(names))
    made = {name: _compared(plan, (known[name], own[name]), name, alpha=alpha) for name in names}
    return {name: drift for name, drift in made.items() if drift is not None}


def _answers(table: pa.Table, plan: Plan) -> Answers | None:
    """What was answered and what is known of it; None where there are no predictions, or nobody knows what they are."""
    names = table.column_names
    if plan.reference.performance is None or PREDICTED not in names or not table.num_rows:
        return None
    if table[PREDICTED].null_count == table.num_rows:
        return None
    score = None
    if SCORED in names and not table[SCORED].null_count:
        score = plain(table[SCORED])
    return Answers(
        task=plan.task,
        positive=plan.positive,
        prediction=column_labels(table[PREDICTED], plan.task),
        truth=_truth(table, plan) if TRUTH in names else None,
        score=score,
        groups={name: column_labels(table[name], "classes") for name in plan.groups if name in names},
    )


def _truth(table: pa.Table, plan: Plan) -> Array:
    """What was true of rows; None where it is no class."""
    import numpy as np

    found = column_labels(table[TRUTH], plan.task)
    if plan.classes and plan.task != "values":
        found[~np.isin(found.astype(str), plan.classes)] = None
    return found


def _foreign(told: pa.Table, plan: Plan) -> dict[str, Any]:
    """How many truths are none, and one of them."""
    import numpy as np
    import pyarrow.compute as pc

    if TRUTH not in told.column_names:
        return {}
    known = _truth(told, plan)
    good = np.isfinite(known) if plan.task == "values" else np.array([value is not None for value in known], dtype=bool)
    if good.all():
        return {}
    there = pc.invert(pc.is_null(told[TRUTH], nan_is_null=True)).to_numpy()
    places = np.flatnonzero(there & ~good)
    return {"foreign": len(places), "example": str(told[TRUTH][int(places[0])].as_py())[:40]} if len(places) else {}


def _measured(gathered: Gathered, plan: Plan) -> dict[str, Any]:
    answers, performance = _answers(gathered.every.table(), plan), plan.reference.performance
    if answers is None or performance is None:
        return {}
    strange: Any = _foreign(gathered.told, plan)
    known = answers.known()
    if not gathered.every.whole and (drawn := _answers(gathered.known.table(), plan)) is not None:
        known = drawn.known()
    names = metrics_of(answers.task, plan.metrics)
    metrics: dict[str, Measured] = {}
    if known.rows >= plan.policy.performance.min_rows:
        metrics = {name: made for name in names if (made := measured(name, known)) is not None}
    fair = plan.policy.fairness.metrics or FAIR[answers.task]
    return {
        "labelled": known.rows if gathered.every.whole else gathered.labelled,
        **strange,
        "metrics": metrics,
        "estimates": estimated(names, answers, performance) if answers.rows >= plan.policy.drift.min_rows else {},
        "groups": grouped(answers, known, plan.groups, fair, min_rows=plan.policy.fairness.min_rows),
    }


def _outcomes(told: pa.Table) -> dict[str, Measured]:
    """Business outcomes: the mean of each with its interval, where there are numbers."""
    import numpy as np

    found = {}
    for name in (name for name in told.column_names if name.startswith(OUTCOME)):
        own = [v for v in told[name].to_pylist() if isinstance(v, (int, float, bool)) and math.isfinite(v)]
        if own:
            numbers = np.array(own, dtype=float)
            mean, half = float(numbers.mean()), normal_quantile(0.975) * float(numbers.std()) / math.sqrt(len(own))
            short = name.removeprefix(OUTCOME)
            found[short] = Measured(name=short, value=mean, interval=(mean - half, mean + half), rows=len(own))
    return found
