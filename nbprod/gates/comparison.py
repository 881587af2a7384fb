"""The gate against another version: both answer the same rows, and a paired bootstrap says how sure one is better."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import variance
from typing import Any

from nbprod.entities import Fact, GateResult, Verdict
from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.answers import (
    Answers,
    Form,
    Labelled,
    answers,
    classes_of,
    failing,
    form_of,
    labelled,
    positive_class,
)
from nbprod.gates.contender import Contender
from nbprod.gates.words import interval_text, label_name, number, several, with_notes
from nbprod.stats.intervals import normal_quantile
from nbprod.stats.measures import Measure, measure
from nbprod.stats.paired import Comparison, Judgement, compare, judge

GATE = "not_worse_than"
VERDICTS: dict[Judgement, Verdict] = {
    "better": "passed",
    "not worse": "passed",
    "worse": "failed",
    "undecided": "undecided",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats(Fact):
    """The values of a metric with other seeds.

    Attributes:
        deviation: the root of the sum of both sample variances; a version that was not repeated adds nothing.
    """

    candidate: tuple[float, ...]
    champion: tuple[float, ...]
    deviation: float


def not_worse_than(
    candidate: Contender,
    champion: Contender | None,
    *,
    metric: str,
    alias: str = "champion",
    tolerance: float = 0.0,
    dataset: str = "test",
    positive: Any = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> GateResult:
    """The candidate is not worse than the version that an alias points at, on the candidate's own rows.

    Observed is the difference, turned so that more is better. Better, or not worse within the tolerance, passes; worse
    fails; an interval that holds both is undecided. A version passes against none and against itself. Where the metric
    was repeated with other seeds, their spread widens the interval: see `widened`.

    Args:
        metric: a measure that can be computed from predictions, see `nbprod.stats.measures`; not one of business.
        tolerance: in the metric's unit.
        positive: the positive class; by default the last of two.

    Raises:
        UsageError: there is no such measure, or the candidate has no answers for it, no target or no such dataset.
        ArtifactError: the candidate's rows or model are not to be had.
    """
    measured = _checked(metric, tolerance=tolerance, resamples=resamples, confidence=confidence)
    if champion is None:
        return _result("passed", "no champion")
    if candidate.version.digest and candidate.version.digest == champion.version.digest:
        return _result("passed", f"{candidate.ref} is the {alias} itself.")
    known = labelled(candidate, dataset)
    if not known.labels:
        return _result("undecided", f"no row of '{dataset}' has a label.")
    form = form_of(measured, candidate, positive=positive)
    mine = answers(candidate, known, form, positive=positive)
    if mine.problem:
        return _result("failed", f"{mine.problem}.")
    theirs = _answers_of_other(candidate, champion, known, form=form, positive=positive)
    if theirs.problem:
        return _result("undecided", f"the {alias} cannot be compared with: {theirs.problem}.")
    sides = (mine.truth, mine.answer, theirs.answer)
    found = compare(measured, *sides, resamples=resamples, seed=seed, confidence=confidence)
    repeats = _repeats(candidate, champion, metric, dataset)
    interval = widened(found, repeats, confidence=confidence)
    judged = _judged(metric, found, interval, tolerance=tolerance, other=champion.ref)
    details = {**known.details, **found.to_dict(), **judged.details, **_told(repeats)}
    return replace(judged, reason=with_notes(judged.reason, (*mine.notes, *_seeds(repeats))), details=details)


def widened(found: Comparison, repeats: Repeats, *, confidence: float) -> tuple[float, float]:
    """The interval of a difference, with what other rows and other seeds would change.

    The interval of the rows, ``d - a`` to ``d + b`` around the difference d, becomes ``d - sqrt(a² + (z s)²)`` to
    ``d + sqrt(b² + (z s)²)``: z is the normal distribution's quantile for the confidence (1.96 for 0.95), and s² is the
    sum of the sample variances of both versions' metric over the seeds. A few repeats tell a variance badly.
    """
    low, high = found.interval
    half = repeats.deviation * normal_quantile((1 + confidence) / 2)
    middle = min(max(found.difference, low), high)  # a percentile interval need not hold the value itself
    return middle - math.hypot(middle - low, half), middle + math.hypot(high - middle, half)


def _judged(
    metric: str, found: Comparison, interval: tuple[float, float], *, tolerance: float, other: str
) -> GateResult:
    judged = judge(interval, tolerance=tolerance)
    return GateResult(
        gate=GATE,
        verdict=VERDICTS[judged],
        reason=_reason(metric, found, interval, judged, other=other),
        observed=found.difference,
        required=f"at least {number(0.0 - tolerance)}",
        interval=None if math.isnan(interval[0]) else interval,
        details={"judged": judged},
    )


def _result(verdict: Verdict, reason: str) -> GateResult:
    return GateResult(gate=GATE, verdict=verdict, reason=reason)


def _checked(metric: str, *, tolerance: float, resamples: int, confidence: float) -> Measure:
    measured = measure(metric)
    if not tolerance >= 0:
        raise UsageError(f"tolerance of the gate {GATE} must be 0 or more, not {tolerance}.")
    if resamples < 1:
        raise UsageError(f"resamples of the gate {GATE} must be 1 or more, not {resamples}.")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence of the gate {GATE} must be between 0 and 1, not {confidence}.")
    return measured


def _answers_of_other(
    candidate: Contender, champion: Contender, known: Labelled, *, form: Form, positive: Any
) -> Answers:
    """What the champion answers to the candidate's rows; whatever keeps it from answering is the `problem`."""
    try:
        if problem := _unlike(candidate, champion, known, form=form):
            return failing(problem)
        if form in ("positives", "scores"):  # of both the same class, whatever the order of theirs
            positive = positive_class(candidate, positive, labels=known.labels)
        return answers(champion, known, form, positive=positive)
    except (ArtifactError, UsageError) as error:
        return failing(str(error).rstrip("."))


def _unlike(candidate: Contender, champion: Contender, known: Labelled, *, form: Form) -> str:
    """What makes the champion another kind of model; empty if it is alike, or does not say."""
    target = champion.entry["model"]["target"]
    if target and target != candidate.target:
        return f"{champion.ref} predicts '{target}', and {candidate.ref} predicts '{candidate.target}'"
    champion.features(known.rows)  # says which columns are missing
    if form == "values":
        return ""
    ours, theirs = (sorted(map(label_name, classes_of(one))) for one in (candidate, champion))
    if ours and theirs and ours != theirs:
        return f"the classes of {champion.ref} are {several(theirs)}, and those of {candidate.ref} {several(ours)}"
    return ""


def _repeats(candidate: Contender, champion: Contender, metric: str, dataset: str) -> Repeats:
    ours, theirs = (_repeated(one, metric, dataset) for one in (candidate, champion))
    spread = sum(variance(values) for values in (ours, theirs) if len(values) > 1)
    return Repeats(candidate=ours, champion=theirs, deviation=math.sqrt(spread))


def _repeated(contender: Contender, metric: str, dataset: str) -> tuple[float, ...]:
    """The finite values of a metric with other seeds, none where it was not reported or not repeated."""
    for reported in contender.entry["metrics"]:
        if (reported["name"], reported["dataset"]) == (metric, dataset):
            return tuple(value for value in map(float, reported.get("repeats") or ()) if math.isfinite(value))
    return ()


def _seeds(repeats: Repeats) -> tuple[str, ...]:
    """How the spread over seeds is told."""
    if not repeats.deviation:
        return ()
    counts = [str(len(values)) for values in (repeats.candidate, repeats.champion) if len(values) > 1]
    return (f"the spread over {' and '.join(counts)} seeds, {number(repeats.deviation)}, is counted in",)


def _told(repeats: Repeats) -> dict[str, Any]:
    return {"repeats": repeats.to_dict()} if repeats.candidate or repeats.champion else {}


def _reason(metric: str, found: Comparison, interval: tuple[float, float], judged: Judgement, *, other: str) -> str:
    both = f"{metric} is {number(found.candidate)}, that of {other} {number(found.champion)}"
    if math.isnan(found.candidate) or math.isnan(found.champion):
        return f"{metric} is not a number on these rows, as where they hold one class only"
    if math.isnan(interval[0]):
        return f"{both}, and resamples of the {found.rows:,} rows give no interval: judge it on more rows"
    said = f"{both}, the difference on the same {found.rows:,} rows {interval_text(interval)}"
    if judged == "undecided":
        return f"{said}, which holds both worse and not worse: judge it on more rows, or allow a larger tolerance"
    return f"{said}: {judged}"
