"""Compare a challenger with the champion on the live rows that both answered, the challenger in the shadow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbprod.entities import ModelVersion
from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle.workspace import Workspace
from nbprod.stats.measures import MEASURES
from nbprod.stats.paired import Comparison, compare

BEGUN = "shadow"
"""The line of the audit log with which a challenger begins to wait."""

ENDS = ("retrain", "promote", "rollback", "challenge", "judge")


def waiting(lines: Sequence[AuditLine]) -> AuditLine | None:
    """The line with which the last challenger began to wait in the shadow, if nothing ended that."""
    for line in reversed(lines):
        if line.action == BEGUN:
            return line
        if line.action in ENDS:
            return None
    return None


def paired(work: Workspace, champion: ModelVersion, challenger: ModelVersion, *, since: float) -> Comparison | None:
    """A measure of both on the rows since a time that both answered and whose truth is known; None if there are none.

    It is the main metric where labels are enough to compute it, else accuracy.
    """
    import numpy as np

    own = _answers(work, champion, since=since, roles=("answer", "canary"))
    other = _answers(work, challenger, since=since, roles=("shadow",))
    both = [key for key in own if key in other]
    if not both:
        return None
    measure = MEASURES.get(str(champion.entry["model"]["main_metric"] or ""))
    if measure is None or measure.name not in ("accuracy", "balanced_accuracy"):
        measure = MEASURES["accuracy"]
    truth = np.array([own[key][1] for key in both])
    mine, theirs = (np.array([side[key][0] for key in both]) for side in (other, own))
    return compare(measure, truth, mine, theirs)


def _answers(
    work: Workspace, version: ModelVersion, *, since: float, roles: Sequence[str]
) -> dict[tuple[str, int], tuple[str, str]]:
    """(Request, row) -> what was answered and what is true, as text, where that is known."""
    from nbprod.predictions.feedback import joined
    from nbprod.predictions.places import urls_of

    found: dict[tuple[str, int], tuple[str, str]] = {}
    urls = urls_of(work.project.data, work.project.rolled_predictions, version.name)
    columns = ["request", "row", "prediction"]
    for batch in joined(urls, since=since, versions=[version.version], roles=roles, columns=columns):
        for request, row, answer, truth in zip(*(batch[name].to_pylist() for name in (*columns, "truth")), strict=True):
            if truth is not None:
                found[request, row] = _text(answer), _text(truth)
    return found


def _text(value: Any) -> str:
    """A label as text: 1, 1.0 and true are one label."""
    return str(int(value)) if isinstance(value, (bool, int, float)) and value == int(value) else str(value)
