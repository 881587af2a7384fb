"""Groups of rows must not be too far apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.entities import GateResult
from nbprod.errors import UsageError
from nbprod.gates.fairness import fair
from nbprod.gates.spec import check_options
from tests.gates.answering import Broken, Classifier, Says, judged_rows, made
from tests.gates.made import contender


def table(**groups: tuple[int, int]) -> pd.DataFrame:
    """Rows of groups, given as how many of how many the model selects; the truth is what the model says."""
    names = [name for name, (_, rows) in groups.items() for _ in range(rows)]
    said = [int(position < selected) for selected, rows in groups.values() for position in range(rows)]
    return judged_rows(said, said, sex=names)


def judged(rows: pd.DataFrame, **options: Any) -> GateResult:
    return fair(made(Classifier(0, 1), rows), None, **{"by": "sex", **options})


def test_groups_that_are_alike_pass() -> None:
    found = judged(table(f=(500, 1000), m=(510, 1000)), difference=0.1)
    assert found.verdict == "passed"
    assert found.observed == pytest.approx(0.01)
    assert found.interval is not None and found.interval[1] < 0.1
    assert found.required == "difference at most 0.1"
    assert found.reason.startswith("the difference of selection_rate by sex is 0.01 (0 to 0.05")
    assert found.reason.endswith("between f and m, at most 0.1.")


def test_groups_that_are_surely_apart_fail() -> None:
    found = judged(table(f=(200, 1000), m=(500, 1000)), difference=0.1)
    assert found.verdict == "failed"
    assert found.reason.endswith("between f and m, but must be at most 0.1.")


@pytest.mark.parametrize("selected", [[30, 34], [30, 45]], ids=["within", "beyond"])
def test_a_limit_inside_the_interval_is_undecided(selected: list[int]) -> None:
    found = judged(table(f=(selected[0], 100), m=(selected[1], 100)), difference=0.1)
    assert found.verdict == "undecided"
    assert found.reason.endswith("which is not surely at most 0.1: judge it on more rows.")


def test_a_ratio_is_the_lowest_by_the_highest() -> None:
    rows = table(f=(400, 1000), m=(500, 1000))
    assert judged(rows, ratio=0.7).verdict == "passed"
    assert judged(rows, ratio=0.7).observed == pytest.approx(0.8)
    assert judged(rows, ratio=0.8).verdict == "undecided"
    found = judged(rows, ratio=0.95)
    assert (found.verdict, found.required) == ("failed", "ratio at least 0.95")


def test_with_both_limits_both_must_hold() -> None:
    rows = table(f=(30, 1000), m=(80, 1000))
    assert judged(rows, difference=0.1).verdict == "passed"
    found = judged(rows, difference=0.1, ratio=0.9)
    assert (found.verdict, found.required) == ("failed", "ratio at least 0.9")


def test_every_group_is_shown() -> None:
    found = judged(table(f=(20, 100), m=(25, 100), x=(1, 3)), difference=0.5)
    shown = found.details["groups"]["sex"]
    assert [(group["group"], group["rows"], group["enough"]) for group in shown] == [
        ("f", 100, True),
        ("m", 100, True),
        ("x", 3, False),
    ]
    assert shown[0]["value"] == 0.2 and shown[0]["interval"][0] < 0.2 < shown[0]["interval"][1]


def test_small_groups_do_not_count_and_are_named() -> None:
    found = judged(table(f=(500, 1000), m=(510, 1000), x=(0, 49)), difference=0.1)
    assert found.verdict == "passed"
    assert found.reason.endswith("at most 0.1; groups of fewer than 50 rows do not count: x.")
    assert judged(table(f=(500, 1000), m=(510, 1000), x=(0, 49)), difference=0.1, min_rows=20).verdict == "failed"


def test_of_many_small_groups_only_some_are_named() -> None:
    small = {f"g{number}": (1, 2) for number in range(9)}
    found = judged(table(f=(50, 100), m=(50, 100), **small), difference=0.5)
    assert found.reason.endswith("g0, g1, g2, g3, g4 and 4 more.")


@pytest.mark.parametrize("groups", [{"f": (50, 100)}, {"f": (50, 100), "m": (1, 49)}], ids=len)
def test_fewer_than_two_large_groups_are_undecided(groups: Any) -> None:
    found = judged(table(**groups), difference=0.5)
    assert (found.verdict, found.observed, found.interval) == ("undecided", None, None)
    assert "selection_rate by sex needs two groups of 50 rows or more, and there are 1" in found.reason


def test_a_group_in_which_the_measure_has_no_value_is_undecided_unless_others_fail() -> None:
    alike = table(f=(500, 1000), m=(500, 1000), x=(0, 100))
    found = judged(alike, difference=0.1, metric="recall")
    assert found.verdict == "undecided"
    assert found.reason.endswith("; it has no value in x, which cannot be compared then.")
    apart = alike.assign(said=np.where((alike["sex"] == "f") & (alike.index % 2 == 0), 0, alike["said"]))
    assert judged(apart, difference=0.1, metric="recall").verdict == "failed"


def test_a_measure_that_has_a_value_in_one_group_only_is_undecided() -> None:
    found = judged(table(f=(500, 1000), m=(0, 1000)), difference=0.1, metric="recall")
    assert (found.verdict, found.observed) == ("undecided", None)
    assert found.reason == "recall by sex has no value in m."


def test_constant_predictions_have_no_ratio_if_nobody_is_selected() -> None:
    rows = table(f=(0, 1000), m=(0, 1000))
    assert judged(rows, difference=0.1).verdict == "passed"
    found = judged(rows, ratio=0.8)
    assert found.verdict == "undecided"
    assert found.reason == "selection_rate by sex has no ratio, since it is 0 in every group."


def test_of_several_columns_the_worst_decides() -> None:
    rows = table(f=(500, 1000), m=(500, 1000))
    rows["age"] = np.where(rows["said"] == 1, "old", "young")
    found = judged(rows, by=["sex", "age"], difference=0.1)
    assert found.verdict == "failed"
    assert found.reason.startswith("the difference of selection_rate by age is 1")
    assert {"sex", "age"} == set(found.details["groups"])


def test_the_column_need_not_be_a_feature() -> None:
    rows = table(f=(500, 1000), m=(510, 1000))
    one = contender(
        {"model": {"signature": {"inputs": [{"type": "long", "name": "said", "required": True}]}}},
        rows={"test": rows},
        model=Classifier(0, 1),
    )
    assert fair(one, None, by="sex", difference=0.1).verdict == "passed"


def test_missing_groups_are_a_group() -> None:
    rows = table(f=(500, 1000), m=(0, 100))
    rows["sex"] = rows["sex"].where(rows["sex"] == "f")
    found = judged(rows, difference=0.1)
    assert found.verdict == "failed"
    assert "between (missing) and f" in found.reason


def test_rows_without_a_label_are_left_out_and_told() -> None:
    rows = table(f=(500, 1000), m=(510, 1000))
    rows["left"] = rows["left"].where(rows.index > 0)
    assert judged(rows, difference=0.1).reason.endswith("; 1 row without a label was left out.")


def test_errors_of_a_regression_are_compared_too() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=400) * np.repeat([1.0, 3.0], 200)
    rows = judged_rows(np.zeros(400), noise, sex=["f"] * 200 + ["m"] * 200)
    assert fair(made(Says(), rows), None, by="sex", metric="mae", difference=0.5).verdict == "failed"
    assert fair(made(Says(), rows), None, by="sex", metric="mae", difference=5).verdict == "passed"


def test_text_labels_and_another_positive_class() -> None:
    rows = table(f=(200, 1000), m=(500, 1000)).replace({"left": {0: "no", 1: "yes"}, "said": {0: "no", 1: "yes"}})
    one = made(Classifier("no", "yes"), rows)
    assert fair(one, None, by="sex", difference=0.4).observed == pytest.approx(0.3)
    assert [
        group["value"] for group in fair(one, None, by="sex", difference=1, positive="no").details["groups"]["sex"]
    ] == [
        0.8,
        0.5,
    ]


def test_a_model_that_raises_fails() -> None:
    found = fair(made(Broken(0, 1), table(f=(1, 2))), None, by="sex", difference=0.1)
    assert found.verdict == "failed"
    assert "ValueError" in found.reason


def test_no_labels_at_all_are_undecided() -> None:
    found = judged(table(f=(1, 2)).assign(left=math.nan), difference=0.1)
    assert (found.verdict, found.reason) == ("undecided", "no row of 'test' has a label.")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs `difference` or `ratio`"),
        ({"difference": -0.1}, "difference of the gate fair must be 0 or more, not -0.1"),
        ({"difference": math.nan}, "difference of the gate fair must be 0 or more, not nan"),
        ({"ratio": 1.25}, "ratio of the gate fair must be between 0 and 1"),
        ({"difference": 0.1, "by": []}, "needs a column to group by"),
        ({"difference": 0.1, "by": "sax"}, r"has no column 'sax' to group by. Did you mean 'sex'\?"),
        ({"difference": 0.1, "by": ["sex", "sax"]}, "has no column 'sax'"),
        ({"difference": 0.1, "metric": "selection"}, "Did you mean 'selection_rate'"),
        ({"difference": 0.1, "confidence": 2}, "confidence"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        judged(table(f=(50, 100), m=(50, 100)), **options)


@pytest.mark.parametrize("by", ["sex", ["sex", "age"]], ids=repr)
def test_its_options_are_those_of_the_yaml(by: Any) -> None:
    check_options("fair", {"by": by, "difference": 0, "ratio": 0.8, "positive": True, "min_rows": 30})
    with pytest.raises(UsageError, match="by of the gate fair must be text or a list"):
        check_options("fair", {"by": 3, "difference": 0.1})


COUNTS = st.integers(50, 120).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))


@settings(max_examples=40, deadline=None)
@given(st.lists(COUNTS, min_size=2, max_size=4), st.floats(0, 1))
def test_a_verdict_is_never_softer_than_the_value(groups: Sequence[tuple[int, int]], limit: float) -> None:
    rates = [selected / rows for selected, rows in groups]
    found = judged(table(**{f"g{number}": group for number, group in enumerate(groups)}), difference=limit)
    value = max(rates) - min(rates)
    assert found.observed == pytest.approx(value)
    assert found.verdict != "passed" or value <= limit + 1e-12
    assert found.verdict != "failed" or value > limit - 1e-12
