"""A measure in each group, and how far groups are apart."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, selection_rate

from nbprod.stats.groups import MISSING, GroupValue, by_group, spread
from nbprod.stats.measures import measure

RNG = np.random.default_rng(7)
GROUPS = RNG.choice(["a", "b", "c"], 900, p=[0.5, 0.3, 0.2])
TRUTH = RNG.random(900) < 0.4
ANSWER = RNG.random(900) < np.where(GROUPS == "a", 0.5, 0.3)


def test_groups_and_their_spread_are_fairlearns() -> None:
    frame = MetricFrame(metrics=selection_rate, y_true=TRUTH, y_pred=ANSWER, sensitive_features=GROUPS)
    found = by_group(measure("selection_rate"), TRUTH, ANSWER, list(GROUPS))
    assert {value.group: value.value for value in found} == pytest.approx(frame.by_group.to_dict())
    for kind, expected in (("difference", frame.difference()), ("ratio", frame.ratio())):
        made = spread(found, kind=kind)  # type: ignore[arg-type]
        assert made is not None
        assert made.value == pytest.approx(expected)
        assert made.interval[0] <= made.value <= made.interval[1]
        assert made.highest == "a"


def test_small_groups_are_shown_but_do_not_count() -> None:
    groups = ["big"] * 500 + ["other"] * 390 + ["small"] * 10
    found = by_group(measure("accuracy"), TRUTH, ANSWER, groups, min_rows=50)
    assert [(value.group, value.rows, value.enough) for value in found] == [
        ("big", 500, True), ("other", 390, True), ("small", 10, False),
    ]  # fmt: skip
    made = spread(found, kind="difference")
    assert made is not None
    assert {made.highest, made.lowest} == {"big", "other"}


def test_rows_without_a_group_are_a_group() -> None:
    groups = [1.0, 2.0, float("nan"), None] * 225
    found = by_group(measure("accuracy"), TRUTH, ANSWER, groups)
    assert [(value.group, value.rows) for value in found] == [(MISSING, 450), ("1", 225), ("2", 225)]


def test_one_group_has_no_spread() -> None:
    assert spread(by_group(measure("accuracy"), TRUTH, ANSWER, ["a"] * 900), kind="difference") is None


def test_a_measure_that_is_no_share_has_a_bootstrap_interval() -> None:
    (one,) = by_group(measure("f1"), TRUTH, ANSWER, ["a"] * 900)
    assert one.interval is not None
    assert one.value is not None
    assert one.interval[0] < one.value < one.interval[1]


def test_where_a_measure_is_undefined_there_is_no_value() -> None:
    (one,) = by_group(measure("recall"), np.zeros(60, bool), np.ones(60, bool), ["a"] * 60)
    assert (one.value, one.interval) == (None, None)


def test_the_interval_of_a_difference_holds_it_about_as_often_as_it_says() -> None:
    held = 0
    for _ in range(400):
        answer = RNG.random(600) < np.where(np.arange(600) < 300, 0.5, 0.35)
        found = by_group(measure("selection_rate"), answer, answer, ["a"] * 300 + ["b"] * 300)
        made = spread(found, kind="difference")
        assert made is not None
        held += made.interval[0] <= 0.15 <= made.interval[1]
    assert 366 <= held <= 396  # of 380 expected


def test_a_ratio_to_nothing_is_as_uncertain_as_it_can_be() -> None:
    high = GroupValue(group="a", rows=100, value=0.5, interval=(0.4, 0.6))
    low = GroupValue(group="b", rows=100, value=0.0, interval=(0.0, 0.04))
    made = spread([high, low], kind="ratio")
    assert made is not None
    assert (made.value, made.interval[0]) == (0.0, 0.0)
    assert made.interval[1] == pytest.approx(0.1)
