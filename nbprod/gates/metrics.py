"""Gates on numbers: what a notebook reported must reach a value, and mistakes must not cost more than one."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import GateResult, Verdict
from nbprod.errors import UsageError, nearest
from nbprod.gates.answers import Answers, answers, labelled
from nbprod.gates.contender import Contender
from nbprod.gates.words import label_name, number, with_notes
from nbprod.stats.intervals import bootstrap
from nbprod.stats.measures import Measure, averaged

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Direction = Literal["at least", "at most"]
CELLS = ("false_positive", "false_negative", "true_positive", "true_negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A number that was found, and how sure it is.

    Attributes:
        what: its name for a reason, such as ``roc_auc on 'test'``.
        notes: what a reason must add.
    """

    what: str
    value: float
    interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def metric_at_least(
    candidate: Contender,
    champion: Contender | None,
    *,
    metric: str,
    value: float,
    dataset: str = "test",
    bound: Literal["value", "lower"] = "value",
) -> GateResult:
    """A metric that a notebook reported is at least a value; any metric, also of business, such as sales.

    A metric that is not a number fails.

    Args:
        bound: what must reach the value: the metric, or the lower end of its interval too; undecided where it has none.

    Raises:
        UsageError: nobody reported that metric.
    """
    found = _reported(candidate, metric, dataset)
    return _judged(found, value, gate="metric_at_least", direction="at least", bound=bound)


def metric_at_most(
    candidate: Contender,
    champion: Contender | None,
    *,
    metric: str,
    value: float,
    dataset: str = "test",
    bound: Literal["value", "upper"] = "value",
) -> GateResult:
    """A metric that a notebook reported is at most a value; see `metric_at_least`.

    Args:
        bound: ``upper``: the upper end of the metric's interval must not exceed the value either.

    Raises:
        UsageError: nobody reported that metric.
    """
    found = _reported(candidate, metric, dataset)
    return _judged(found, value, gate="metric_at_most", direction="at most", bound=bound)


def cost_at_most(
    candidate: Contender,
    champion: Contender | None,
    *,
    costs: Mapping[str, Any],
    value: float,
    dataset: str = "test",
    bound: Literal["value", "upper"] = "value",
    positive: Any = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> GateResult:
    """The mean cost of a row of a dataset, by what the model answers, is at most a value; with a bootstrap interval.

    Args:
        costs: ``{false_positive: 1, false_negative: 5}`` of a binary classifier, also with ``true_positive`` and
            ``true_negative``, which else cost nothing; or a matrix ``{truth: {answer: cost}}``, in which right answers
            cost nothing unless it says so. A negative cost is a gain.
        bound: ``upper``: the upper end of the interval must not exceed the value either.
        positive: the positive class; by default the last of two.

    Raises:
        UsageError: the costs do not fit the classes, or the entry lacks the target or the dataset.
        ArtifactError: the dataset or the model is not to be had.
    """
    table = _cost_table(costs)
    known = labelled(candidate, dataset)
    required = f"at most {number(value)}"
    if not known.labels:
        reason = f"no row of '{dataset}' has a label."
        return GateResult(gate="cost_at_most", verdict="undecided", reason=reason, required=required)
    found = answers(candidate, known, "labels" if isinstance(table, Matrix) else "positives", positive=positive)
    if found.problem:
        return GateResult(gate="cost_at_most", verdict="failed", reason=f"{found.problem}.", required=required)
    paid = table.of(found)
    interval = bootstrap(_mean_cost(), paid, paid, resamples=resamples, seed=seed, confidence=confidence)
    what = f"the mean cost of a row of '{dataset}'"
    cost = Found(what=what, value=float(paid.mean()), interval=interval, notes=found.notes)
    judged = _judged(cost, value, gate="cost_at_most", direction="at most", bound=bound)
    return replace(judged, details=known.details)


def _reported(candidate: Contender, metric: str, dataset: str) -> Found:
    """A metric of the entry, where numbers that are not finite are text."""
    entry = candidate.metric(metric, dataset)
    interval = None if entry["interval"] is None else tuple(map(float, entry["interval"]))
    pair = (interval[0], interval[-1]) if interval and all(map(math.isfinite, interval)) else None
    return Found(what=f"{metric} on '{dataset}'", value=float(entry["value"]), interval=pair)


def _judged(found: Found, required: float, *, gate: str, direction: Direction, bound: str) -> GateResult:
    verdict, reason = _verdict(found, required, direction=direction, bound=bound)
    return GateResult(
        gate=gate,
        verdict=verdict,
        reason=with_notes(reason, found.notes),
        observed=found.value,
        required=f"{direction} {number(required)}",
        interval=found.interval,
    )


def _verdict(found: Found, required: float, *, direction: Direction, bound: str) -> tuple[Verdict, str]:
    if not math.isfinite(required):
        raise UsageError(f"the value that {found.what} is held against must be a number, not {required}.")
    reaches = operator.ge if direction == "at least" else operator.le
    if not math.isfinite(found.value):
        return "failed", f"{found.what} is {found.value}, which is not a number"
    said, held = f"{found.what} is {number(found.value)}", found.value
    if bound != "value" and reaches(held, required):
        if found.interval is None:
            return "undecided", f"{said} without an interval, whose {bound} end is asked for: report it with one"
        held = found.interval[0 if direction == "at least" else 1]
        said = f"{said}, and the {bound} end of its interval is {number(held)}"
    if reaches(held, required):
        return "passed", f"{said}, {direction} {number(required)}"
    return "failed", f"{said}, but must be {direction} {number(required)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """What each kind of answer of a binary classifier costs."""

    costs: Mapping[str, float]

    def of(self, found: Answers) -> Array:
        """The cost of each row, shape (n,)."""
        import numpy as np

        kinds = [found.truth & found.answer, ~found.truth & found.answer, found.truth & ~found.answer]
        names = ("true_positive", "false_positive", "false_negative", "true_negative")
        *first, last = (self.costs.get(name, 0.0) for name in names)
        return np.select(kinds, first, default=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What each answer to each truth costs, by the names of the labels."""

    costs: Mapping[tuple[str, str], float]

    def of(self, found: Answers) -> Array:
        """The cost of each row, shape (n,).

        Raises:
            UsageError: a mistake that was made has no cost.
        """
        import numpy as np

        pairs = [
            (label_name(truth), label_name(answer))
            for truth, answer in zip(found.truth.tolist(), found.answer.tolist(), strict=True)
        ]
        for truth, answer in sorted(set(pairs)):
            if truth != answer and (truth, answer) not in self.costs:
                raise UsageError(f"costs of the gate cost_at_most says nothing of the answer '{answer}' to '{truth}'.")
        return np.array([self.costs.get(pair, 0.0) for pair in pairs], dtype=float)


def _cost_table(costs: Mapping[str, Any]) -> Cells | Matrix:
    if costs and all(isinstance(row, Mapping) for row in costs.values()):
        pairs = ((str(truth), str(answer), cost) for truth, row in costs.items() for answer, cost in row.items())
        return Matrix(costs={(truth, answer): _cost(f"{truth}: {answer}", cost) for truth, answer, cost in pairs})
    for name in costs:
        if name not in CELLS:
            raise UsageError(f"costs of the gate cost_at_most knows no '{name}'.{nearest(str(name), CELLS)}")
    missing = [name for name in ("false_positive", "false_negative") if name not in costs]
    if missing:
        raise UsageError(f"costs of the gate cost_at_most needs {', '.join(missing)}.")
    return Cells(costs={name: _cost(name, cost) for name, cost in costs.items()})


def _cost(name: str, cost: Any) -> float:
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not math.isfinite(cost):
        raise UsageError(f"costs of the gate cost_at_most must be numbers, and '{name}' is {cost!r}.")
    return float(cost)


def _mean_cost() -> Measure:
    """The mean of what each row cost."""
    return Measure(name="cost", needs="values", better="lower", prepare=averaged(lambda truth, paid: paid))
