"""Stopping an execution from another thread."""

from __future__ import annotations

from nbprod.executors import Control


def test_what_runs_is_killed() -> None:
    killed: list[str] = []
    control = Control()
    control.begin(lambda: killed.append("kernel"))
    control.stop("timeout")
    assert (killed, control.reason) == (["kernel"], "timeout")


def test_what_begins_after_a_stop_is_killed_at_once() -> None:
    killed: list[str] = []
    control = Control()
    control.stop("interrupted")
    control.begin(lambda: killed.append("kernel"))
    assert killed == ["kernel"]


def test_what_has_ended_is_not_killed() -> None:
    killed: list[str] = []
    control = Control()
    control.begin(lambda: killed.append("kernel"))
    control.end()
    control.stop("interrupted")
    assert (killed, control.reason) == ([], "interrupted")


def test_nothing_hides_that_a_person_interrupted() -> None:
    control = Control()
    control.stop("interrupted")
    control.stop("timeout")
    assert control.reason == "interrupted"


def test_a_stop_that_was_dealt_with_is_taken_back_and_another_is_not() -> None:
    slow, interrupted = Control(), Control()
    slow.stop("timeout")
    slow.forget("timeout")
    interrupted.stop("interrupted")
    interrupted.forget("timeout")
    assert (slow.reason, interrupted.reason) == ("", "interrupted")
