"""Deciding: which trigger fires first, and what must wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbprod.retraining.decide import Alarm, Facts, decide
from nbprod.retraining.policy import DAY, RetrainPolicy

NOW = 1_800_000_000.0
ACCURACY = Alarm(area="performance", name="accuracy", why="0.70 is below 0.75.")
AGE = Alarm(area="drift", name="age", why="it moved.")
FACTS = Facts(now=NOW, champion="churn/1", registered=NOW - 40 * DAY, data="yes", data_why="rows.csv is new")
ALL = RetrainPolicy(when=("alarm", "performance", "drift", "new_data"), age=30 * DAY, schedule="0 3 * * 1")


def test_nothing_fires_where_nothing_is_asked_for() -> None:
    found = decide(RetrainPolicy(when=(), age=None), replace(FACTS, alarms=(ACCURACY, AGE)))
    assert (found.act, found.trigger) == ("fresh", "")


@pytest.mark.parametrize(
    ("policy", "alarms", "trigger"),
    [
        (ALL, (AGE, ACCURACY), "performance"),
        (ALL, (AGE,), "alarm"),
        (replace(ALL, when=("drift", "new_data")), (ACCURACY, AGE), "drift"),
        (replace(ALL, when=("drift", "new_data")), (ACCURACY,), "age"),
        (replace(ALL, when=("new_data",), age=None), (ACCURACY,), "new_data"),
        (replace(ALL, when=(), age=None), (), "schedule"),
    ],
)
def test_the_most_certain_trigger_comes_first(policy: RetrainPolicy, alarms: tuple[Alarm, ...], trigger: str) -> None:
    found = decide(policy, replace(FACTS, alarms=alarms))
    assert (found.act, found.trigger) == ("retrain", trigger)


def test_the_reason_names_the_alarm_and_counts_the_rest() -> None:
    found = decide(RetrainPolicy(when=("alarm",), age=None), replace(FACTS, alarms=(AGE, ACCURACY)))
    assert found.reason == "alarm: performance accuracy: 0.70 is below 0.75 (and 1 more)."


def test_the_reason_says_nothing_twice() -> None:
    whole = replace(ACCURACY, why="accuracy is 0.70, below 0.75.")
    for when, alarm, said in (
        ("performance", whole, "performance: accuracy is 0.70, below 0.75."),
        ("performance", ACCURACY, "performance: accuracy: 0.70 is below 0.75."),
        ("drift", Alarm(area="drift", name="age", why="'age' drifted."), "drift: 'age' drifted."),
        ("alarm", whole, "alarm: performance accuracy: accuracy is 0.70, below 0.75."),
    ):
        assert decide(RetrainPolicy(when=(when,), age=None), replace(FACTS, alarms=(alarm,))).reason == said


def test_a_stale_model_waits_for_the_cool_down_and_not_longer() -> None:
    facts, policy = replace(FACTS, alarms=(ACCURACY,), last=NOW - 6 * DAY), RetrainPolicy(cool_down=7 * DAY)
    found = decide(policy, facts)
    assert (found.act, found.trigger) == ("wait", "performance")
    assert found.reason.endswith("it was retrained 6 days ago, and the cool-down lasts 24 h more.")
    assert decide(policy, replace(facts, last=NOW - 7 * DAY)).act == "retrain"


def test_a_warning_that_rests_on_labels_fires_performance_and_no_alarm() -> None:
    facts = replace(FACTS, alarms=(replace(ACCURACY, status="WARN"),))
    assert decide(RetrainPolicy(), facts).trigger == "performance"
    assert decide(RetrainPolicy(when=("alarm",), age=None), facts).act == "fresh"


def test_the_same_data_and_code_are_not_run_again() -> None:
    same = replace(FACTS, alarms=(ACCURACY,), data="no", data_why="")
    found = decide(RetrainPolicy(), same)
    assert found.act == "wait" and found.reason.endswith("the same would come out: bring new data.")
    lost = decide(RetrainPolicy(), replace(same, data_why="data/x.csv: is not there."))
    assert lost.reason.endswith("there are no new data, because data/x.csv: is not there.")
    assert decide(RetrainPolicy(), replace(same, code="yes")).act == "retrain"
    assert decide(RetrainPolicy(), replace(same, data="unknown")).act == "retrain"


def test_a_schedule_that_came_before_the_last_retraining_does_not_come_again() -> None:
    policy = RetrainPolicy(when=(), age=None, schedule="0 3 * * 1", cool_down=0.0)
    due = decide(policy, FACTS)
    assert due.act == "retrain"
    assert decide(policy, replace(FACTS, last=NOW - 1.0)).act == "fresh"


def test_a_model_that_learned_from_an_erased_subject_is_built_again_whatever_its_policy_says() -> None:
    facts = replace(FACTS, data="no", last=NOW - DAY, erased="churn/1 learned from a subject", erased_at=NOW - 60.0)
    found = decide(RetrainPolicy(when=(), age=None), facts)
    assert (found.act, found.trigger, found.reason) == (
        "retrain", "erasure", "erasure: churn/1 learned from a subject.",
    )  # fmt: skip
    tried = decide(RetrainPolicy(when=(), age=None, cool_down=DAY), replace(facts, last=NOW - 30.0))
    assert (tried.act, tried.trigger) == ("wait", "erasure")
    later = replace(facts, last=NOW - 30.0, now=NOW + 2 * DAY)
    assert decide(RetrainPolicy(when=(), age=None, cool_down=DAY), later).act == "retrain"


def test_data_that_are_unknown_are_no_new_data() -> None:
    assert decide(RetrainPolicy(when=("new_data",), age=None), replace(FACTS, data="unknown")).act == "fresh"


def test_facts_survive_json() -> None:
    facts = replace(FACTS, alarms=(ACCURACY,))
    assert Facts.from_dict(facts.to_dict()) == facts
