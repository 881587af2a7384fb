"""Judging: what is said of windows of a world that stays, drifts, changes behind the scores, breaks or ages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nbprod.monitoring.facts import Check, MonitorReport, Status, Window, worst
from nbprod.monitoring.fairness import check_fairness, two_proportions, unequal
from nbprod.monitoring.judge import audited, judged
from nbprod.monitoring.policy import FairnessPolicy, Goal, MonitorPolicy, StalenessPolicy
from nbprod.monitoring.profile import Measured, Performance
from nbprod.monitoring.windows import gaps_between, seen
from nbprod.stats.groups import GroupValue
from tests.monitoring.made import COLUMNS, DAY, NOW, POLICY, REFERENCE, gathered, plan, rows, subject


def found(*tables: pa.Table, policy: MonitorPolicy = POLICY, now: float = NOW, **fields: Any) -> tuple[Check, ...]:
    used = plan(policy)
    windows = [seen(gathered(table, number=n, used=used), used) for n, table in enumerate(tables)]
    return judged(subject(policy, **fields), windows, now=now)[1]


def rows_seen(table: pa.Table) -> Window:
    return seen(gathered(table), plan())


def of(checks: tuple[Check, ...], area: str, name: str = "") -> Check:
    return next(check for check in checks if check.area == area and name in check.name)


def statuses(checks: tuple[Check, ...]) -> set[Status]:
    return {check.status for check in checks}


def test_nothing_is_wrong_with_a_world_that_stays() -> None:
    checks = found(*(rows(1000, seed=seed) for seed in range(3)))
    assert statuses(checks) == {"OK"}, [check for check in checks if check.status != "OK"]
    assert {check.area for check in checks} >= {"traffic", "quality", "drift", "performance", "estimate", "fairness"}


def test_one_window_that_drifted_warns_and_a_second_one_alarms() -> None:
    quiet, loud = rows(1000, seed=1), rows(1000, seed=2, shift=0.5)
    assert of(found(quiet, quiet, loud), "drift", "income").status == "WARN"
    assert of(found(quiet, loud, loud), "drift", "income").status == "ALARM"
    assert of(found(loud, quiet, loud), "drift", "income").status == "ALARM"
    assert of(found(loud, quiet, quiet, quiet), "drift").status == "OK"


def test_predictions_drift_with_what_they_are_made_of() -> None:
    loud = rows(1000, seed=2, shift=0.5)
    assert of(found(loud, loud), "prediction", "score").status == "ALARM"


def test_few_rows_are_insufficient() -> None:
    checks = found(rows(300))
    assert of(checks, "drift").status == "INSUFFICIENT"
    assert "300 rows" in of(checks, "drift").why


def test_a_world_that_changed_behind_the_scores_is_seen_by_labels_only() -> None:
    checks = found(rows(2000, seed=3, flip=0.4))
    assert of(checks, "performance", "roc_auc").status == "ALARM"
    assert "floor" in of(checks, "performance", "roc_auc").why
    estimate = of(checks, "estimate")
    assert estimate.status == "OK"
    assert "an estimate without labels" in estimate.why
    assert estimate.why.endswith("off by 0.284, and to assume no change by 0.279.")


def test_worse_than_on_the_test_rows_alarms_beyond_the_tolerance_and_warns_within() -> None:
    no_floor = MonitorPolicy()
    assert of(found(rows(4000, seed=4, flip=0.2), policy=no_floor), "performance").status == "ALARM"
    tolerant = replace(no_floor, performance=replace(no_floor.performance, tolerance=0.5))
    assert of(found(rows(4000, seed=4, flip=0.2), policy=tolerant), "performance").status == "WARN"


def test_performance_is_that_of_the_last_window_that_has_labels() -> None:
    checks = found(rows(1000, seed=5), rows(1000, seed=6, truth=None))
    assert "day 0" in of(checks, "performance").why
    assert of(found(rows(1000, truth=None)), "performance").status == "INSUFFICIENT"


def test_a_column_that_vanished_alarms() -> None:
    check = of(found(rows(1000, income=None)), "quality", "income")
    assert (check.status, check.why) == ("ALARM", "the column 'income' is in none of the rows.")


def test_values_that_are_all_missing_alarm_and_do_not_break_the_rest() -> None:
    checks = found(rows(1000, income=np.full(1000, np.nan)))
    assert of(checks, "quality", "income").why == "all values of 'income' are missing."
    assert of(checks, "drift").status == "OK"


def test_categories_that_were_never_seen_warn_and_alarm_by_their_share() -> None:
    for share, status in ((0.05, "WARN"), (0.3, "ALARM")):
        sex = np.where(np.arange(1000) < 1000 * share, 7, 1 + np.arange(1000) % 2)
        assert of(found(rows(1000, sex=sex)), "quality", "sex").status == status


def test_values_beyond_the_range_of_another_type_and_constant_ones_are_told() -> None:
    assert "outside the range" in of(found(rows(1000, age=np.arange(1000) + 60)), "quality", "age").why
    text = pa.array(["old"] * 1000)
    assert "of another type" in of(found(rows(1000, age=text)), "quality", "age").why
    assert "only one value" in of(found(rows(1000, sex=np.ones(1000, int))), "quality", "sex").why


def test_rows_that_repeat_others_are_told() -> None:
    same = pa.concat_tables([rows(50, seed=8)] * 20)
    assert of(found(same), "quality", "duplicates").status == "ALARM"


def test_a_window_without_rows_alarms_unless_the_policy_says_otherwise() -> None:
    gaps = gaps_between([0.0, 3 * DAY], DAY, until=5.5 * DAY)
    assert gaps == ("1970-01-02", "1970-01-03", "1970-01-05")
    assert of(found(rows(1000), gaps=gaps), "traffic").status == "ALARM"
    for way, status in (("warn", "WARN"), ("ignore", "OK")):
        assert of(found(rows(1000), policy=replace(POLICY, gaps=way), gaps=gaps), "traffic").status == status  # type: ignore[arg-type]


def test_a_window_with_no_rows_at_all_is_an_alarm() -> None:
    assert of(found(rows(1000).slice(0, 0)), "traffic").status == "ALARM"
    assert of(found(), "traffic").status == "INSUFFICIENT"


def test_where_nothing_was_recorded_in_any_window_and_gaps_are_ignored_nothing_can_be_said() -> None:
    checks = found(policy=replace(POLICY, gaps="ignore"), gaps=("since 2026-05-28",))
    assert of(checks, "traffic").status == "INSUFFICIENT"
    assert of(checks, "traffic").why == "nothing was recorded since 2026-05-28."


def test_an_alarm_of_drift_tells_the_numbers_of_the_window_that_drifted() -> None:
    checks = found(rows(1000, seed=2, shift=0.5), rows(1000, seed=3, shift=0.5), rows(1000, seed=4))
    check = of(checks, "drift", "income")
    assert check.status == "ALARM" and "windows (ks 0.2" in check.why
    assert check.why.endswith(", and not in the last one.")


def test_fairness_that_needs_labels_is_that_of_the_last_window_that_has_them() -> None:
    checks = found(rows(4000, seed=9), rows(4000, seed=10, truth=None))
    assert of(checks, "fairness", "true_positive_rate by sex").why.startswith("in day 0: ")
    assert not of(checks, "fairness", "selection_rate by sex").why.startswith("in ")


def test_fairness_is_that_of_the_last_window_in_which_groups_have_enough_rows() -> None:
    few = rows(600, seed=10)
    few = few.set_column(few.column_names.index("sex"), "sex", pa.array([1] * 590 + [2] * 10))
    check = of(found(rows(4000, seed=9), few), "fairness", "selection_rate by sex")
    assert check.status == "OK" and check.why.startswith("in day 0: ")
    assert of(found(few), "fairness", "selection_rate by sex").status == "INSUFFICIENT"


def test_groups_that_are_surely_farther_apart_than_before_alarm() -> None:
    base = rows(4000, seed=9)
    sex = base["sex"].to_numpy()
    prediction = np.where(sex == 1, 1, base["prediction"].to_numpy())
    check = of(found(rows(4000, seed=9, prediction=prediction)), "fairness", "selection_rate by sex")
    assert check.status == "ALARM"
    assert check.interval is not None and check.limit is not None and check.interval[0] > check.limit
    wide = replace(POLICY, fairness=FairnessPolicy(difference=0.9))
    assert of(found(rows(4000, seed=9, prediction=prediction), policy=wide), "fairness", "selection").status == "OK"


def test_two_proportions_is_the_textbooks_and_corrected_for_pairs() -> None:
    one, other = (GroupValue(group=g, rows=200, value=v, among=200) for g, v in (("a", 0.5), ("b", 0.4)))
    assert two_proportions(one, other) == pytest.approx(0.0444, abs=1e-3)
    assert unequal([one, other])
    third = GroupValue(group="c", rows=200, value=0.45, among=200)
    assert not unequal([one, other, third])
    assert two_proportions(one, replace(one, value=None)) == 1.0


@pytest.mark.parametrize(
    ("goal", "status"),
    [(Goal(floor=20.0), "ALARM"), (Goal(target=12.0, floor=5.0), "WARN"), (Goal(target=5.0), "OK"), (Goal(), "OK"),
     (Goal(floor=2.0, better="lower"), "ALARM")],
)  # fmt: skip
def test_outcomes_are_held_against_a_target_and_a_floor(goal: Goal, status: str) -> None:
    revenue = np.random.default_rng(3).normal(10, 1, 1000)
    policy = replace(POLICY, business={"revenue": goal})
    table = rows(1000).append_column("outcome.revenue", pa.array(revenue))
    assert of(found(table, policy=policy), "business").status == status


def test_an_outcome_that_nobody_recorded_is_insufficient() -> None:
    policy = replace(POLICY, business={"revenue": Goal(target=1.0)})
    assert of(found(rows(1000), policy=policy), "business").status == "INSUFFICIENT"


def test_the_last_window_must_have_rows_whatever_came_before() -> None:
    check = of(found(rows(1000), rows(1000).slice(0, 0)), "traffic")
    assert (check.status, check.why) == ("ALARM", "there are no rows in day 1.")


def test_labels_that_are_none_of_the_classes_do_not_count_and_warn() -> None:
    truth = pa.array(["yes"] * 300 + [str(n % 2) for n in range(700)])
    used = replace(plan(), classes=("0", "1"))
    window = seen(gathered(rows(1000, truth=truth), used=used), used)
    assert (window.labelled, window.foreign, window.example) == (700, 300, "yes")
    checks = judged(subject(classes=used.classes), [window], now=NOW)[1]
    check = of(checks, "performance", "labels")
    assert check.status == "WARN"
    assert check.why == "300 labels are none of its classes (0, 1), such as 'yes': they do not count."


def test_labels_that_are_no_numbers_do_not_count_where_numbers_are_predicted() -> None:
    performance = Performance(dataset="test", task="values", rows=100)
    used = replace(plan(), reference=replace(REFERENCE, performance=performance))
    table = rows(1000, prediction=np.ones(1000), truth=pa.array(["1.5"] * 990 + ["much"] * 10))
    window = seen(gathered(table, used=used), used)
    assert (window.labelled, window.foreign, window.example) == (990, 10, "much")
    checks = judged(replace(subject(), reference=used.reference), [window], now=NOW)[1]
    assert of(checks, "performance", "labels").why == "10 labels are no numbers, such as 'much': they do not count."


def test_age_newer_data_and_strange_rows_are_told() -> None:
    policy = replace(POLICY, staleness=StalenessPolicy(max_age=5 * DAY, max_data_age=400 * DAY))
    checks = found(rows(1000, age=np.full(1000, 500)), policy=policy, data_until=NOW - 500 * DAY, newer=("raw",))
    assert of(checks, "staleness", "age of the model").status == "ALARM"
    assert of(checks, "staleness", "age of the data").status == "ALARM"
    assert of(checks, "staleness", "newer data").status == "WARN"
    assert of(checks, "staleness", "outside").status == "WARN"


def test_ages_are_told_in_units_that_say_something() -> None:
    policy = replace(POLICY, staleness=StalenessPolicy(max_age=120.0))
    age = of(found(rows(1000), policy=policy, now=NOW - 10 * DAY + 4 * 3600), "staleness", "age of the model")
    assert age.why == "the model was registered 4 h ago, more than 2 min."


def test_estimates_are_audited_when_the_truth_comes() -> None:
    known = replace(rows_seen(rows(1000, seed=11)), metrics={"roc_auc": Measured(name="roc_auc", value=0.6)})
    for guess, why in (
        (0.72, "; where the truth came it was off by 0.120, and to assume no change by 0.300"),
        (0.95, "; where the truth came it was off by 0.350, and to assume no change by 0.300, so do not rely on it"),
    ):
        assert audited("roc_auc", [replace(known, estimates={"roc_auc": guess})], 0.9) == why
    assert "not audited yet" in of(found(rows(1000, truth=None)), "estimate").why


def test_the_timeline_remembers_how_each_window_was() -> None:
    used = plan()
    tables = [rows(1000, seed=1), rows(1000, seed=2, shift=0.5), rows(1000, seed=3, shift=0.5)]
    windows = [seen(gathered(table, number=n, used=used), used) for n, table in enumerate(tables)]
    timeline, _ = judged(subject(), windows, now=NOW)
    assert [window.areas["drift"] for window in timeline] == ["OK", "WARN", "ALARM"]
    assert all(set(window.drift) == set(COLUMNS) for window in timeline)


def test_the_worst_status_decides() -> None:
    assert worst(["OK", "INSUFFICIENT"]) == "OK"
    assert worst(["OK", "WARN", "INSUFFICIENT"]) == "WARN"
    assert worst([]) == worst(["INSUFFICIENT"]) == "INSUFFICIENT"


def test_a_report_says_its_worst_in_a_sentence() -> None:
    window = Window(key="k", label="l", start=0.0, end=1.0, rows=3)
    report = MonitorReport(
        name="m", ref="m/1", digest="d", made="2026-01-01T00:00:00Z", status="ALARM", source="log", windows=(window,),
        checks=(Check(area="drift", name="age", status="ALARM", why="it drifted."),),
    )  # fmt: skip
    assert report.sentence == "drift age: it drifted."
    said = tuple(replace(report.checks[0], why=why) for why in ("'age' drifted.", "age is too high."))
    assert replace(report, checks=said).sentence == "drift: 'age' drifted (and 1 more)."
    assert replace(report, checks=said[1:]).sentence == "drift: age is too high."
    assert MonitorReport.from_dict(report.to_dict()) == report


@pytest.mark.parametrize(("now", "status"), [(300.0, "OK"), (304.0, "WARN"), (310.0, "ALARM")])
def test_an_error_in_dollars_may_be_worse_by_a_share_of_itself(now: float, status: str) -> None:
    policy = MonitorPolicy()
    known = Performance(dataset="test", task="values", rows=1000, metrics=(Measured(name="mae", value=300.0),))
    window = replace(
        rows_seen(rows(600)), metrics={"mae": Measured(name="mae", value=now, interval=(now - 1, now + 1))}
    )
    about = replace(subject(policy), main="mae", reference=replace(REFERENCE, performance=known))
    check = of(judged(about, (replace(window, labelled=600),), now=NOW)[1], "performance", "mae")
    assert check.status == status
    assert (check.limit, "more than 6 worse" in check.why) == (306.0, status == "ALARM")


def test_groups_may_be_apart_by_a_share_of_an_error_in_dollars() -> None:
    groups = tuple(GroupValue(group=name, rows=500, value=value, interval=(value - 1, value + 1)) for name, value in
                   (("f", 300.0), ("m", 310.0)))  # fmt: skip
    known = Performance(dataset="test", task="values", rows=1000, metrics=(Measured(name="mae", value=300.0),))
    window = replace(rows_seen(rows(600)), groups={"sex": {"mae": groups}})
    (check,) = check_fairness(replace(REFERENCE, performance=known), [window], FairnessPolicy())
    assert (check.limit, check.status) == (15.0, "OK")
