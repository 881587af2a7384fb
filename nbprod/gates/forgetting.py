"""The gate for what goes on learning: on the hold-outs of earlier versions it is not worse than its parent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.entities import Fact, GateResult, Verdict
from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.answers import Answers, answers, form_of, labelled
from nbprod.gates.comparison import VERDICTS
from nbprod.gates.contender import Contender
from nbprod.gates.where import Where
from nbprod.gates.words import interval_text, number, several
from nbprod.stats.measures import Measure, measure
from nbprod.stats.paired import compare, judge

GATE = "forgetting"
GRAVITY: tuple[Verdict, ...] = ("failed", "undecided", "passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Fact):
    """What became of a hold-out, or of a slice of it.

    Attributes:
        what: the dataset and the version that held it out.
        difference: the candidate's measure less the parent's, more is better.
        reason: a phrase.
    """

    what: str
    verdict: Verdict
    reason: str
    rows: int = 0
    difference: float | None = None
    interval: tuple[float, ...] | None = None


def forgetting(
    candidate: Contender,
    champion: Contender | None,
    *,
    metric: str,
    datasets: Sequence[str] = ("test",),
    slices: Sequence[str] = (),
    tolerance: float = 0.02,
    back: int = 3,
    min_rows: int = 50,
    positive: Any = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> GateResult:
    """On the hold-outs of earlier periods the candidate is not worse than its parent by more than a tolerance.

    The hold-outs are named datasets of the parent's entry, of that one's parent, and so on; both models answer the same
    rows, as in `nbprod.gates.comparison`. A version without a parent passes. What is worse fails; what may be worse and
    what cannot be had any more, is undecided. Observed is the worst difference.

    Args:
        metric: a measure that can be computed from predictions.
        slices: phrases such as ``age > 60`` of rows that are compared by themselves; see `nbprod.gates.where`.
        back: of how many earlier versions hold-outs are asked.
        min_rows: fewer rows of a slice are not compared.

    Raises:
        UsageError: there is no such measure, dataset or column, or an option makes no sense.
    """
    measured = measure(metric)
    if tolerance < 0 or back < 1 or resamples < 1 or not 0 < confidence < 1:
        raise UsageError(
            f"the gate {GATE} needs a tolerance from 0, back and resamples from 1, and a confidence between 0 and 1."
        )
    phrases = [Where.read(phrase) for phrase in slices]
    parent = candidate.parent
    if parent is None:
        if candidate.entry.get("parent"):
            return GateResult(gate=GATE, verdict="undecided", reason="its parent is not in this registry any more.")
        return GateResult(gate=GATE, verdict="passed", reason="no parent")
    asked = _Asked(
        candidate=candidate, parent=parent, measure=measured, tolerance=tolerance, min_rows=min_rows, positive=positive,
        drawn={"resamples": resamples, "seed": seed, "confidence": confidence},
    )  # fmt: skip
    found = [item for older in _older(parent, back) for name in datasets for item in asked.on(older, name, phrases)]
    return _told(metric, parent, found, tolerance=tolerance)


def _older(parent: Contender, back: int) -> Iterator[Contender]:
    """The parent, then its own, and so on."""
    here: Contender | None = parent
    for _ in range(back):
        if here is None:
            return
        yield here
        here = here.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Two models that answer the same rows."""

    candidate: Contender
    parent: Contender
    measure: Measure
    tolerance: float
    min_rows: int
    positive: Any
    drawn: dict[str, Any]

    def on(self, older: Contender, dataset: str, phrases: Sequence[Where]) -> Iterator[Kept]:
        """Compare on a hold-out, then on its slices."""
        import numpy as np

        what = f"{dataset} of {older.ref}"
        try:
            known = labelled(older, dataset)
            form = form_of(self.measure, self.candidate, positive=self.positive)
            mine = answers(self.candidate, known, form, positive=self.positive)
            theirs = answers(self.parent, known, form, positive=self.positive)
        except ArtifactError as error:
            yield Kept(what=what, verdict="undecided", reason=str(error).rstrip("."))
            return
        if problem := mine.problem or theirs.problem:
            yield Kept(what=what, verdict="failed" if mine.problem else "undecided", reason=problem)
            return
        if not known.labels:
            yield Kept(what=what, verdict="undecided", reason="no row has a label")
            return
        yield self._compared(what, mine, theirs, np.ones(len(known.labels), dtype=bool))
        for phrase in phrases:
            rows = np.asarray(phrase.rows(known.rows), dtype=bool)
            if rows.sum() >= max(self.min_rows, 1):
                yield self._compared(f"{what} where {phrase}", mine, theirs, rows)

    def _compared(self, what: str, mine: Answers, theirs: Answers, rows: Any) -> Kept:
        found = compare(self.measure, mine.truth[rows], mine.answer[rows], theirs.answer[rows], **self.drawn)
        judged = judge(found.interval, tolerance=self.tolerance)
        known = not math.isnan(found.interval[0])
        said = f"{number(found.candidate)} against {number(found.champion)}, the difference"
        return Kept(
            what=what,
            verdict=VERDICTS[judged],
            reason=f"{said} {interval_text(found.interval)}" if known else f"{said} has no interval",
            rows=found.rows,
            difference=found.difference,
            interval=found.interval if known else None,
        )


def _told(metric: str, parent: Contender, found: Sequence[Kept], *, tolerance: float) -> GateResult:
    """All of it as one result: the gravest verdict, and of that the largest loss."""
    worst = min(found, key=lambda item: (GRAVITY.index(item.verdict), item.difference or 0.0))
    same = [item.what for item in found if item.verdict == worst.verdict]
    if worst.verdict == "passed":
        reason = f"{metric} is kept on {several(same)}: the worst is {worst.what}, {worst.reason}."
    else:
        word = "is forgotten" if worst.verdict == "failed" else "may be forgotten"
        reason = f"{metric} {word} on {several(same)}: {worst.what}, {worst.reason}."
    known = [item for item in found if item.difference is not None]
    least = min(known, key=lambda item: item.difference or 0.0, default=None)
    return GateResult(
        gate=GATE,
        verdict=worst.verdict,
        reason=reason,
        observed=None if least is None else least.difference,
        required=f"at least {number(0.0 - tolerance)}",
        interval=None if least is None or least.interval is None else (least.interval[0], least.interval[1]),
        details={"parent": parent.ref, "kept": [item.to_dict() for item in found]},
    )
