"""Metrics must reach a value, and mistakes must not cost more than one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.gates.metrics import cost_at_most, metric_at_least, metric_at_most
from nbprod.gates.spec import check_options
from tests.gates.answering import Broken, Classifier, judged_rows, made
from tests.gates.made import MadeContender, contender, metric

REPORTED = [
    metric("roc_auc", 0.86, interval=(0.84, 0.88)),
    metric("roc_auc", 0.95, dataset="train"),
    metric("sales", 1200.0, dataset="2015"),
    metric("rmse", 3.0, interval=(2.5, 3.5)),
    metric("lift", math.nan, interval=(math.nan, math.nan)),
    metric("loss", math.inf),
]


def reported() -> MadeContender:
    return contender({"metrics": REPORTED})


def test_a_metric_that_reaches_the_value_passes() -> None:
    found = metric_at_least(reported(), None, metric="roc_auc", value=0.86)
    assert (found.verdict, found.observed, found.required) == ("passed", 0.86, "at least 0.86")
    assert found.interval == (0.84, 0.88)
    assert found.reason == "roc_auc on 'test' is 0.86, at least 0.86."


def test_a_metric_below_the_value_fails() -> None:
    found = metric_at_least(reported(), None, metric="roc_auc", value=0.861)
    assert found.verdict == "failed"
    assert found.reason == "roc_auc on 'test' is 0.86, but must be at least 0.861."


def test_a_metric_of_business_on_another_dataset_is_judged_too() -> None:
    assert metric_at_least(reported(), None, metric="sales", value=1000, dataset="2015").verdict == "passed"


def test_at_most_is_the_other_way_round() -> None:
    assert metric_at_most(reported(), None, metric="rmse", value=3).verdict == "passed"
    found = metric_at_most(reported(), None, metric="rmse", value=2.9)
    assert (found.verdict, found.required) == ("failed", "at most 2.9")


@pytest.mark.parametrize(("name", "said"), [("lift", "nan"), ("loss", "inf")])
@pytest.mark.parametrize("gate", [metric_at_least, metric_at_most])
def test_a_metric_that_is_not_a_number_fails(gate: Any, name: str, said: str) -> None:
    found = gate(reported(), None, metric=name, value=0)
    assert found.verdict == "failed"
    assert found.interval is None
    assert found.reason == f"{name} on 'test' is {said}, which is not a number."
    assert found.to_dict()["observed"] == said


def test_the_end_of_the_interval_must_reach_the_value_if_it_is_asked_for() -> None:
    least = metric_at_least(reported(), None, metric="roc_auc", value=0.85, bound="lower")
    assert least.verdict == "failed"
    assert least.reason == (
        "roc_auc on 'test' is 0.86, and the lower end of its interval is 0.84, but must be at least 0.85."
    )
    assert metric_at_least(reported(), None, metric="roc_auc", value=0.84, bound="lower").verdict == "passed"
    assert metric_at_most(reported(), None, metric="rmse", value=3.4, bound="upper").verdict == "failed"
    assert metric_at_most(reported(), None, metric="rmse", value=3.5, bound="upper").verdict == "passed"


def test_without_an_interval_its_end_is_undecided_but_a_bad_value_still_fails() -> None:
    train = {"metric": "roc_auc", "dataset": "train"}
    found = metric_at_least(reported(), None, value=0.9, bound="lower", **train)
    assert found.verdict == "undecided"
    assert "without an interval, whose lower end is asked for" in found.reason
    assert metric_at_least(reported(), None, value=0.99, bound="lower", **train).verdict == "failed"


def test_a_metric_that_nobody_reported_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"churn/1 has no metric 'roc_ac' on 'test'. Did you mean 'roc_auc'\?"):
        metric_at_least(reported(), None, metric="roc_ac", value=0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_limit_that_is_not_a_number_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="must be a number"):
        metric_at_least(reported(), None, metric="roc_auc", value=value)


BINARY = {"false_positive": 1, "false_negative": 5}
ANSWERS = judged_rows(["yes", "yes", "no", "no"], ["yes", "no", "yes", "no"])


def costs(rows: Any = ANSWERS, *classes: Any, **options: Any) -> Any:
    return cost_at_most(made(Classifier(*(classes or ("no", "yes"))), rows), None, **{"value": 1.5, **options})


def test_the_mean_cost_of_a_row_is_held_against_the_value() -> None:
    found = costs(costs=BINARY)
    assert (found.verdict, found.observed, found.required) == ("passed", 1.5, "at most 1.5")
    assert found.interval is not None and found.interval[0] < 1.5 < found.interval[1]
    assert costs(costs=BINARY, value=1.49).verdict == "failed"
    assert costs(costs=BINARY, bound="upper").verdict == "failed"


def test_its_options_are_those_of_the_yaml() -> None:
    check_options("cost_at_most", {"costs": BINARY, "value": 1, "positive": 0, "bound": "upper"})
    with pytest.raises(UsageError, match="bound of the gate cost_at_most must be value or upper"):
        check_options("cost_at_most", {"costs": BINARY, "value": 1, "bound": "lower"})


def test_the_other_class_can_be_positive() -> None:
    rows = judged_rows(["yes", "yes"], ["yes", "no"])
    assert costs(rows, costs=BINARY).observed == 2.5
    assert costs(rows, costs=BINARY, positive="no").observed == 0.5


def test_right_answers_can_be_a_gain() -> None:
    assert costs(costs={**BINARY, "true_positive": -10}).observed == -1.0


def test_a_matrix_says_what_each_answer_to_each_truth_costs() -> None:
    rows = judged_rows([0, 1, 2, 2], [0, 2, 1, 2])
    matrix = {"1": {"0": 7, "2": 4}, "2": {"0": 7, "1": 2, "2": 1}}
    assert costs(rows, 0, 1, 2, costs=matrix).observed == (4 + 2 + 1) / 4


def test_a_mistake_without_a_cost_is_refused() -> None:
    with pytest.raises(UsageError, match="says nothing of the answer 'no' to 'yes'"):
        costs(costs={"no": {"yes": 1}})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"false_positive": 1, "false_negativ": 2}, "knows no 'false_negativ'. Did you mean 'false_negative'?"),
        ({"false_positive": 1}, "needs false_negative."),
        ({}, "needs false_positive, false_negative."),
        ({"false_positive": "1", "false_negative": 2}, "must be numbers, and 'false_positive' is '1'."),
        ({"false_positive": True, "false_negative": 2}, "must be numbers"),
        ({"no": {"yes": math.nan}}, "must be numbers, and 'no: yes' is nan."),
    ],
)
def test_costs_that_make_no_sense_are_refused(wrong: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        costs(costs=wrong)
    assert said in caught.value.message


def test_two_costs_do_not_fit_three_classes() -> None:
    with pytest.raises(UsageError, match="knows 3 classes"):
        costs(judged_rows([0, 1], [0, 1]), 0, 1, 2, costs=BINARY)


def test_a_model_that_raises_fails() -> None:
    found = cost_at_most(made(Broken(0, 1), judged_rows([0, 1], [0, 1])), None, costs={"0": {"1": 1}}, value=1)
    assert found.verdict == "failed"
    assert found.reason == "churn/1 fails on the rows of 'test' (ValueError: Input X contains NaN)."


def test_rows_without_a_label_cost_nothing_and_are_told() -> None:
    found = costs(judged_rows(["yes", None, None], ["no", "no", "no"]), costs=BINARY, value=5)
    assert found.observed == 5
    assert found.reason.endswith("; 2 rows without a label were left out.")
    assert found.details == {"rows": 1, "rows_without_label": 2}


def test_no_labels_at_all_are_undecided() -> None:
    found = costs(judged_rows([None, None], ["no", "no"]), costs=BINARY)
    assert (found.verdict, found.reason) == ("undecided", "no row of 'test' has a label.")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1, max_size=12),
    st.floats(0, 10),
    st.floats(0, 10),
)
def test_both_ways_to_write_costs_agree(pairs: list[tuple[str, str]], first: float, second: float) -> None:
    one = made(Classifier("a", "b"), judged_rows(*zip(*pairs, strict=True)))
    short = cost_at_most(one, None, costs={"false_positive": first, "false_negative": second}, value=5, resamples=50)
    long = cost_at_most(one, None, costs={"a": {"b": first}, "b": {"a": second}}, value=5, resamples=50)
    assert short == long
