"""The gate that compares groups of rows, such as groups of people: how far a measure of the model is apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.entities import GateResult, Verdict
from nbprod.errors import UsageError, nearest
from nbprod.gates.answers import Labelled, answers, form_of, labelled
from nbprod.gates.contender import Contender
from nbprod.gates.words import interval_text, number, several, with_notes
from nbprod.stats.groups import GroupValue, Kind, by_group, spread
from nbprod.stats.measures import measure

GATE = "fair"
WORST: tuple[Verdict, ...] = ("failed", "undecided", "passed")
"""Verdicts, the one that decides first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in the groups of one column, by one limit."""

    verdict: Verdict
    reason: str
    required: str
    observed: float | None = None
    interval: tuple[float, float] | None = None


def fair(
    candidate: Contender,
    champion: Contender | None,
    *,
    by: str | list[str],
    metric: str = "selection_rate",
    difference: float | None = None,
    ratio: float | None = None,
    min_rows: int = 50,
    dataset: str = "test",
    positive: Any = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> GateResult:
    """A measure is alike in all groups of rows: fairlearn's difference or ratio between groups keeps a limit.

    Passed if its whole interval keeps the limit, failed if none of it does, else undecided. Groups of few rows do not
    count, and are named; with fewer than two others, or where the measure has no value in one of them, it is undecided.

    Args:
        by: a column of the dataset, or several, each by itself; they need not be features. The worst decides.
        metric: a measure that can be computed from predictions, see `nbprod.stats.measures`.
        difference, ratio: the most that the highest less the lowest may be, the least that the lowest by the highest.
        positive: the positive class; by default the last of two.

    Raises:
        UsageError: there is no such measure, column, target or dataset, or no limit.
        ArtifactError: the dataset or the model is not to be had.
    """
    measured = measure(metric)
    limits = _limits(difference, ratio)
    columns = [by] if isinstance(by, str) else by
    known = labelled(candidate, dataset)
    _check_columns(candidate, known, columns)
    if not known.labels:
        return GateResult(gate=GATE, verdict="undecided", reason=f"no row of '{dataset}' has a label.")
    found = answers(candidate, known, form_of(measured, candidate, positive=positive), positive=positive)
    if found.problem:
        return GateResult(gate=GATE, verdict="failed", reason=f"{found.problem}.")
    findings, groups = [], dict[str, Any]()
    for column in columns:
        sides = (found.truth, found.answer, known.rows[column].tolist())
        values = by_group(measured, *sides, min_rows=min_rows, confidence=confidence, seed=seed)
        groups[column] = [value.to_dict() for value in values]
        what = f"{metric} by {column}"
        findings += [_judged(values, *limit, what=what, min_rows=min_rows, confidence=confidence) for limit in limits]
    return _result(findings, found.notes, details={**known.details, "groups": groups})


def _result(findings: Sequence[Finding], notes: Sequence[str], *, details: dict[str, Any]) -> GateResult:
    """The worst finding decides."""
    worst = min(findings, key=lambda finding: WORST.index(finding.verdict))
    return GateResult(
        gate=GATE,
        verdict=worst.verdict,
        reason=with_notes(worst.reason, notes),
        observed=worst.observed,
        required=worst.required,
        interval=worst.interval,
        details=details,
    )


def _limits(difference: float | None, ratio: float | None) -> Sequence[tuple[Kind, float]]:
    if difference is None and ratio is None:
        raise UsageError(f"the gate {GATE} needs `difference` or `ratio`: how far the groups may be apart.")
    if difference is not None and not difference >= 0:
        raise UsageError(f"difference of the gate {GATE} must be 0 or more, not {difference}.")
    if ratio is not None and not 0 <= ratio <= 1:
        raise UsageError(f"ratio of the gate {GATE} must be between 0 and 1, the lowest by the highest, not {ratio}.")
    limits: tuple[tuple[Kind, float | None], ...] = (("difference", difference), ("ratio", ratio))
    return [(kind, limit) for kind, limit in limits if limit is not None]


def _check_columns(candidate: Contender, known: Labelled, columns: list[str]) -> None:
    if not columns:
        raise UsageError(f"the gate {GATE} needs a column to group by: name one with `by`.")
    for column in columns:
        if column not in known.rows.columns:
            hint = nearest(column, map(str, known.rows.columns))
            raise UsageError(
                f"the dataset '{known.dataset}' of {candidate.ref} has no column '{column}' to group by.{hint}"
            )


def _judged(
    values: tuple[GroupValue, ...], kind: Kind, limit: float, *, what: str, min_rows: int, confidence: float
) -> Finding:
    required = f"{kind} {'at most' if kind == 'difference' else 'at least'} {number(limit)}"
    small = [value.group for value in values if not value.enough]
    notes = [f"groups of fewer than {min_rows} rows do not count: {several(small)}"] if small else []
    made = spread(values, kind=kind, confidence=confidence)
    if made is None or math.isnan(made.value) or math.isnan(made.interval[0]):
        reason = _nothing(values, what=what, min_rows=min_rows)
        return Finding(verdict="undecided", reason="; ".join([reason, *notes]), required=required)
    low, high = made.interval
    if kind == "difference":
        verdict: Verdict = "passed" if max(made.value, high) <= limit else "failed" if low > limit else "undecided"
    else:
        verdict = "passed" if min(made.value, low) >= limit else "failed" if high < limit else "undecided"
    unknown = [value.group for value in values if value.enough and value.value is None]
    if unknown:
        verdict = "failed" if verdict == "failed" else "undecided"
        notes.insert(0, f"it has no value in {several(unknown)}, which cannot be compared then")
    said = f"the {kind} of {what} is {number(made.value)} ({interval_text(made.interval)})"
    said += f" between {made.lowest} and {made.highest}, {_ending(verdict, kind, limit)}"
    return Finding(
        verdict=verdict,
        reason="; ".join([said, *notes]),
        required=required,
        observed=made.value,
        interval=made.interval,
    )


def _ending(verdict: Verdict, kind: Kind, limit: float) -> str:
    bound = f"{'at most' if kind == 'difference' else 'at least'} {number(limit)}"
    if verdict == "undecided":
        return f"which is not surely {bound}: judge it on more rows"
    return bound if verdict == "passed" else f"but must be {bound}"


def _nothing(values: tuple[GroupValue, ...], *, what: str, min_rows: int) -> str:
    """Why there is nothing to compare."""
    large = [value for value in values if value.enough]
    if len(large) < 2:
        return f"{what} needs two groups of {min_rows} rows or more, and there are {len(large)}"
    unknown = [value.group for value in large if value.value is None]
    if len(large) - len(unknown) < 2:
        return f"{what} has no value in {several(unknown)}"
    vague = [value.group for value in large if value.value is not None and value.interval is None]
    if vague:
        return f"{what} has no interval in {several(vague)}"
    return f"{what} has no ratio, since it is 0 in every group"
