"""The guard after a promotion: which promotions are watched, and what live windows say together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbprod.entities import ModelVersion
from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle.guarding import Watched, pooled, watched
from nbprod.monitoring.facts import Window
from nbprod.monitoring.profile import Measured

CHAMPION = ModelVersion(name="churn", version="2")
LINE = AuditLine(
    seq=1, time="2026-11-25T00:00:00.000+00:00", key="k", user="u", action="promote", model="churn", version="2",
    alias="champion", before="1", reason="retrained: age: it is old.",
)  # fmt: skip
SINCE = 1795564800.0
DAY = 86400.0


def found(*lines: AuditLine, days: float = 1.0) -> Watched | None:
    return watched("churn", CHAMPION, lines, guard=7 * DAY, now=SINCE + days * DAY)


def test_an_automatic_promotion_is_watched_while_it_is_young() -> None:
    assert found(LINE) == Watched(new="churn/2", old="churn/1", since=SINCE)
    assert found(LINE, days=8.0) is None


def test_what_a_person_promoted_is_left_to_people() -> None:
    assert found(replace(LINE, reason="a year more of data")) is None


def test_a_promotion_that_was_taken_back_or_is_the_first_is_not_watched() -> None:
    assert found(LINE, replace(LINE, seq=2, action="rollback", version="1", before="2")) is None
    assert found(replace(LINE, before="")) is None
    assert found() is None


def test_lines_that_move_no_champion_do_not_end_the_watch() -> None:
    assert found(LINE, replace(LINE, seq=2, action="challenge", alias="challenger", version="3")) is not None
    assert found(LINE, replace(LINE, seq=2, action="retrain", alias="")) is not None


def window(value: float, rows: int) -> Window:
    measured = Measured(name="accuracy", value=value, interval=(value - 0.1, value + 0.2), rows=rows)
    return Window(key="k", label="l", start=0.0, end=1.0, rows=rows, metrics={"accuracy": measured})


def test_windows_are_pooled_by_their_rows() -> None:
    live = pooled("churn/2", "accuracy", [window(0.8, 300), window(0.6, 100)])
    assert live is not None
    assert live.rows == 400 and live.value == pytest.approx(0.75)
    assert live.interval[0] == pytest.approx(0.75 - 0.1 * (300**2 + 100**2) ** 0.5 / 400)
    assert live.interval[1] == pytest.approx(0.75 + 0.2 * (300**2 + 100**2) ** 0.5 / 400)


def test_windows_without_labels_say_nothing() -> None:
    assert pooled("churn/2", "accuracy", [replace(window(0.8, 300), metrics={})]) is None
    assert pooled("churn/2", "accuracy", []) is None
