"""Rows that must be answered right, and slices of a dataset in which a measure must keep its bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import JSON, Fact, Verdict
from nbprod.errors import NbprodError, UsageError, nearest
from nbprod.gates.answers import Answers, Labelled, answers, form_of, labelled, raised
from nbprod.gates.contender import Contender
from nbprod.gates.where import Where
from nbprod.gates.words import number, several
from nbprod.stats.groups import by_group
from nbprod.stats.measures import Measure, measure

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady(Fact):
    """Whether something stayed as it must.

    Attributes:
        what: the slice, or the rows.
        reason: a phrase, and the end of a sentence.
        observed, interval: a slice's measure; the number of right rows.
        required: a slice's bound; the number of rows.
    """

    what: str
    verdict: Verdict
    reason: str
    observed: JSON = None
    required: JSON = None
    interval: tuple[float, float] | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedRow:
    """A row and its answer; ``tolerance`` in the answer's unit."""

    input: Mapping[str, Any]
    expect: Any
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Rows of a dataset in which a measure keeps a bound."""

    where: Where
    measure: Measure
    side: Literal["at_least", "at_most"]
    bound: float

    @property
    def name(self) -> str:
        """How a reason names it."""
        return f"{self.measure.name} where {self.where}"


def read_rows(rows: Sequence[Any], *, tolerance: float) -> list[PinnedRow]:
    """Rows from YAML: ``{input: {column: value}, expect: value, tolerance: number}``.

    Raises:
        UsageError: a key is unknown or missing, or the rows do not have the same columns.
    """
    found = []
    for at, row in enumerate(rows, start=1):
        values = _only(row, f"row {at} of regression", needed=("input", "expect"), known=("tolerance",))
        if not isinstance(values["input"], Mapping) or not values["input"]:
            raise UsageError(f"input of row {at} of regression must be a mapping of column to value.")
        allowed = values.get("tolerance", tolerance)
        if not _is_number(allowed) or allowed < 0:
            raise UsageError(f"tolerance of row {at} of regression must be a number from 0 on.")
        found.append(PinnedRow(input=values["input"], expect=values["expect"], tolerance=float(allowed)))
        if missing := set(found[0].input) ^ set(found[-1].input):
            raise UsageError(f"row {at} of regression has other columns than row 1: {several(sorted(missing))}.")
    return found


def read_slices(slices: Sequence[Any]) -> list[Slice]:
    """Slices from YAML: ``{where: phrase, metric: name, at_least: number}``, or ``at_most``.

    Raises:
        UsageError: a key is unknown or missing, or a phrase or a measure is none.
    """
    found = []
    for at, item in enumerate(slices, start=1):
        place = f"slice {at} of regression"
        values = _only(item, place, needed=("where", "metric"), known=("at_least", "at_most"))
        sides = [side for side in ("at_least", "at_most") if values.get(side) is not None]
        if len(sides) != 1 or not _is_number(values[sides[0]]):
            raise UsageError(f"{place} must have either at_least or at_most, and there a number.")
        side: Literal["at_least", "at_most"] = "at_least" if sides == ["at_least"] else "at_most"
        found.append(
            Slice(
                where=Where.read(str(values["where"])),
                measure=measure(str(values["metric"])),
                side=side,
                bound=float(values[side]),
            )
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _only(value: Any, place: str, *, needed: tuple[str, ...], known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{place} must be a mapping with {', '.join(needed)}.")
    for key in value:
        if key not in needed + known:
            raise UsageError(f"{place} has an unknown key '{key}'.{nearest(str(key), needed + known)}")
    if missing := [key for key in needed if value.get(key) is None]:
        raise UsageError(f"{place} needs {', '.join(missing)}.")
    return value


def pinned_rows(candidate: Contender, rows: Sequence[PinnedRow]) -> Steady:
    """Whether the answers to some rows are those that are expected."""
    import pandas as pd

    table = pd.DataFrame([dict(row.input) for row in rows])
    return _right(
        candidate,
        table,
        [row.expect for row in rows],
        tolerances=[row.tolerance for row in rows],
        numbers=range(1, len(rows) + 1),
        what="the rows",
    )


def pinned_dataset(candidate: Contender, role: str, *, tolerance: float) -> Steady:
    """Whether the answers to a dataset of the entry are its targets; rows without one do not count."""
    import numpy as np

    known = labelled(candidate, role)
    numbers = np.flatnonzero(candidate.rows(role)[candidate.target].notna()) + 1
    if not known.labels:
        return Steady(what=role, verdict="undecided", reason=f"no row of {role} has a target")
    return _right(
        candidate,
        known.rows,
        known.labels,
        tolerances=[tolerance] * len(known.labels),
        numbers=[int(at) for at in numbers],
        what=f"the rows of {role}",
    )


def _right(
    candidate: Contender,
    table: pd.DataFrame,
    expected: Sequence[Any],
    *,
    tolerances: Sequence[float],
    numbers: Sequence[int],
    what: str,
) -> Steady:
    """Ask a model about rows; ``numbers`` is what the user calls them."""
    count = len(expected)
    try:
        found = candidate.predictions(table)
        answered = (found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found).tolist()
    except NbprodError:
        raise
    except Exception as error:  # whatever a model raises is the result
        reason = f"{candidate.ref} fails on {what} ({raised(error)})"
        return Steady(what=what, verdict="failed", reason=reason, observed=0, required=count, rows=count)
    if len(answered) != count:
        reason = f"{candidate.ref} gives {len(answered)} answers to {count} rows"
        return Steady(what=what, verdict="failed", reason=reason, observed=0, required=count, rows=count)
    wrong = [
        f"row {at}"
        for at, answer, expect, tolerance in zip(numbers, answered, expected, tolerances, strict=True)
        if not is_right(answer, expect, tolerance)
    ]
    reason = f"{len(wrong)} of {count} of {what} are answered wrong ({several(wrong)})"
    return Steady(
        what=what,
        verdict="failed" if wrong else "passed",
        reason=reason if wrong else f"all {count} of {what} are answered right",
        observed=count - len(wrong),
        required=count,
        rows=count,
    )


def is_right(answer: Any, expect: Any, tolerance: float) -> bool:
    """Whether an answer is the expected one: numbers within a tolerance, anything else equal; nan never is."""
    if isinstance(answer, (int, float)) and isinstance(expect, (int, float)):
        return abs(float(answer) - float(expect)) <= tolerance
    return bool(answer == expect)


def kept_slices(
    candidate: Contender, slices: Sequence[Slice], *, dataset: str, positive: Any, min_rows: int
) -> list[Steady]:
    """Whether measures keep their bounds in slices; a slice with too few rows to tell is undecided."""
    import numpy as np

    known = labelled(candidate, dataset)
    asked: dict[str, Answers] = {}
    found = []
    for each in slices:
        mask = each.where.rows(known.rows)
        rows = int(np.count_nonzero(mask))
        if rows < max(min_rows, 1):
            reason = f"{dataset} has {rows} rows where {each.where}, fewer than {max(min_rows, 1)}"
            found.append(Steady(what=each.name, verdict="undecided", reason=reason, required=_bound(each), rows=rows))
            continue
        if each.measure.name not in asked:
            asked[each.measure.name] = _answered(candidate, known, each.measure, positive)
        found.append(_held(each, asked[each.measure.name], mask))
    return found


def _answered(candidate: Contender, known: Labelled, wanted: Measure, positive: Any) -> Answers:
    return answers(candidate, known, form_of(wanted, candidate, positive=positive), positive=positive)


def _held(each: Slice, given: Answers, mask: Any) -> Steady:
    """Hold a measure of the rows of a slice against its bound."""
    rows = int(mask.sum())
    if given.problem:
        return Steady(what=each.name, verdict="failed", reason=given.problem, required=_bound(each), rows=rows)
    (value,) = by_group(each.measure, given.truth[mask], given.answer[mask], ["rows"] * rows, min_rows=1)
    if value.value is None or math.isnan(value.value):
        reason = f"{each.name} has no value"
        return Steady(what=each.name, verdict="undecided", reason=reason, required=_bound(each), rows=rows)
    kept = value.value >= each.bound if each.side == "at_least" else value.value <= each.bound
    return Steady(
        what=each.name,
        verdict="passed" if kept else "failed",
        reason=f"{each.name} is {number(value.value)}, and must be {_bound(each)}",
        observed=value.value,
        required=_bound(each),
        interval=value.interval,
        rows=rows,
    )


def _bound(each: Slice) -> str:
    return f"{each.side.replace('_', ' ')} {number(each.bound)}"
