"""Windows in which nothing was recorded of a version, because another one answered."""

from __future__ import annotations

from nbprod.lifecycle.workspace import Workspace
from tests.lifecycle.test_monitor import log, look, of, work
from tests.monitoring.made import DAY, rows
from tests.predictions.made import NOON

__all__ = ["work"]


def test_a_day_on_which_another_version_answered_is_no_gap(work: Workspace) -> None:
    log(work, rows(20, seed=1), time=NOON - 3 * DAY)
    log(work, rows(20, seed=1), time=NOON - 2 * DAY, version="8")
    log(work, rows(20, seed=1), time=NOON - DAY, version="8", role="shadow")
    log(work, rows(30, seed=2), time=NOON)
    found = of(look(work), "traffic")
    assert (found.status, "2026-05-26" in found.why, "2026-05-27" in found.why) == ("ALARM", False, True), found.why
    log(work, rows(20, seed=1), time=NOON - DAY, version="8", role="canary")
    assert of(look(work), "traffic").status == "OK"
