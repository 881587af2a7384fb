"""A challenger in the shadow: it waits, is promoted or refused by what both answered to the same rows."""

from __future__ import annotations

import pytest

from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle.shadowing import waiting
from nbprod.retraining.shadow import judge
from nbprod.stats.paired import Comparison


def found(low: float, high: float, rows: int = 1000) -> Comparison:
    return Comparison(
        candidate=0.8, champion=0.8, difference=(low + high) / 2, interval=(low, high), rows=rows, resamples=1000
    )


@pytest.mark.parametrize(
    ("low", "high", "early", "late"),
    [
        (0.01, 0.03, "promote", "promote"),
        (-0.01, 0.03, "promote", "promote"),
        (-0.04, 0.01, "wait", "promote"),
        (-0.04, -0.01, "wait", "refuse"),
        (-0.09, -0.03, "refuse", "refuse"),
    ],
)
def test_it_is_decided_when_it_is_clear_and_at_the_latest_when_its_time_is_over(
    low: float, high: float, early: str, late: str
) -> None:
    assert judge(found(low, high), over=False)[0] == early
    assert judge(found(low, high), over=True)[0] == late


def test_without_enough_rows_it_waits_and_then_its_gates_decide() -> None:
    assert judge(None, over=False) == (
        "wait", "it answers in the champion's shadow: 0 rows are known, and 500 are needed.",
    )  # fmt: skip
    act, why = judge(found(-0.5, -0.4, rows=499), over=True)
    assert (act, why.endswith("499 rows became known: its gates decide.")) == ("promote", True)


def test_who_waits_is_read_from_the_audit_log_until_something_ends_it() -> None:
    def lines(*actions: str) -> tuple[AuditLine, ...]:
        return tuple(
            AuditLine(seq=at, time="t", key="k", user="u", action=action, model="m", version="1")
            for at, action in enumerate(actions, 1)
        )

    begun = waiting(lines("retrain", "challenge", "judge", "shadow", "alarm"))
    assert begun is not None and begun.seq == 4
    assert waiting(lines("judge", "shadow", "promote")) is None
    assert waiting(lines("shadow", "retrain")) is None
    assert waiting(()) is None
