"""A measure in each group, and how far groups are apart."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.stats.groups import MISSING, RESAMPLES, GroupValue, Spread, by_group, spread
from nbprod.stats.intervals import bootstrap, wilson
from nbprod.stats.measures import measure

RNG = np.random.default_rng(7)
GROUPS = RNG.choice(["a", "b", "c"], 900, p=[0.5, 0.3, 0.2])
TRUTH = RNG.random(900) < 0.4
ANSWER = RNG.random(900) < np.where(GROUPS == "a", 0.5, 0.3)


@pytest.mark.parametrize("kind", ["difference", "ratio"])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("selection_rate", selection_rate),
        ("true_positive_rate", true_positive_rate),
        ("false_positive_rate", false_positive_rate),
        ("accuracy", sk.accuracy_score),
        ("f1", sk.f1_score),
    ],
)
def test_groups_and_their_spread_are_fairlearns(name: str, theirs: Any, kind: Literal["difference", "ratio"]) -> None:
    frame = MetricFrame(metrics=theirs, y_true=TRUTH, y_pred=ANSWER, sensitive_features=GROUPS)
    found = by_group(measure(name), TRUTH, ANSWER, list(GROUPS))
    assert {value.group: value.value for value in found} == pytest.approx(frame.by_group.to_dict())
    made = spread(found, kind=kind)
    assert made is not None
    expected = frame.difference("between_groups") if kind == "difference" else frame.ratio("between_groups")
    assert made.value == pytest.approx(expected)
    assert made.interval[0] <= made.value <= made.interval[1]
    assert (made.highest, made.lowest) == (frame.by_group.idxmax(), frame.by_group.idxmin())


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
    assert [(value.group, value.rows) for value in found] == [("1", 225), ("2", 225), (MISSING, 450)]


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
    assert 0.08 < made.interval[1] < 0.1  # 0.04 / 0.5 and 0.04 / 0.4


def test_a_share_has_wilsons_interval_over_the_rows_that_it_is_a_share_of() -> None:
    for one in by_group(measure("recall"), TRUTH, ANSWER, list(GROUPS)):
        positives = TRUTH & (one.group == GROUPS)
        assert (one.rows, one.among) == (int(np.sum(one.group == GROUPS)), int(positives.sum()))
        assert one.interval == wilson(int((positives & ANSWER).sum()), int(positives.sum()))


def test_another_measure_has_the_bootstraps_interval_of_the_groups_own_rows() -> None:
    for one in by_group(measure("f1"), TRUTH, ANSWER, list(GROUPS), seed=3):
        inside = one.group == GROUPS
        assert one.interval == bootstrap(measure("f1"), TRUTH[inside], ANSWER[inside], resamples=RESAMPLES, seed=3)


def test_a_small_group_has_wilsons_interval_but_no_bootstraps() -> None:
    groups = ["big"] * 890 + ["small"] * 10
    (_, share), (_, other) = (by_group(measure(name), TRUTH, ANSWER, groups) for name in ("accuracy", "f1"))
    assert (share.enough, other.enough) == (False, False)
    assert (share.interval is None, other.interval is None) == (False, True)


def test_whatever_stands_for_missing_is_one_group_and_numbers_come_in_their_order() -> None:
    groups = [10, 9.0, "b", None, float("nan"), pd.NA, pd.NaT, "(missing)", True] * 100
    found = by_group(measure("accuracy"), TRUTH, ANSWER, groups)
    assert [(one.group, one.rows) for one in found] == [
        ("9", 100), ("10", 100), ("True", 100), ("b", 100), (MISSING, 500),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["str", "category", "object"])
def test_groups_may_be_a_column_of_a_table(kind: str) -> None:
    column = pd.Series(GROUPS).astype(kind)  # type: ignore[call-overload]
    column.index = pd.Index(range(5000, 5900))
    assert by_group(measure("f1"), TRUTH, ANSWER, column) == by_group(measure("f1"), TRUTH, ANSWER, list(GROUPS))


def test_a_number_that_is_not_finite_spoils_its_own_group_only() -> None:
    answer = np.where(np.arange(900) == 0, np.nan, 1.0)
    first, second = by_group(measure("mae"), np.zeros(900), answer, ["a"] * 450 + ["b"] * 450)
    assert (first.value, first.interval, second.value, second.interval) == (None, None, 1.0, (1.0, 1.0))


def test_no_rows_have_no_groups_and_rows_without_groups_are_refused() -> None:
    nothing = np.array([], dtype=bool)
    assert by_group(measure("accuracy"), nothing, nothing, []) == ()
    with pytest.raises(UsageError, match="there are 900 rows and 2 groups"):
        by_group(measure("accuracy"), TRUTH, ANSWER, ["a", "b"])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abc")), min_size=1), st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[tuple[bool, bool, str]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    one, other = (
        by_group(
            measure("recall"),
            np.array([t for t, _, _ in some]),
            np.array([a for _, a, _ in some]),
            [g for *_, g in some],
        )
        for some in (rows, shuffled)
    )
    assert one == other


def test_a_group_that_counts_and_has_no_interval_leaves_the_spread_undecided() -> None:
    sure = GroupValue(group="a", rows=100, value=0.5, interval=(0.4, 0.6))
    made = spread([sure, GroupValue(group="b", rows=100, value=0.2)], kind="difference")
    assert made is not None
    assert made.value == pytest.approx(0.3)
    assert np.isnan(made.interval).all()


def test_the_ratio_of_nothing_to_nothing_may_be_anything() -> None:
    none = [GroupValue(group=name, rows=100, value=0.0, interval=(0.0, 0.04), among=100) for name in "ab"]
    made = spread(none, kind="ratio")
    assert made is not None
    assert np.isnan(made.value)
    assert made.interval == (0.0, 1.0)


def test_numbers_below_nothing_have_no_ratio() -> None:
    found = {"a": -0.1, "b": 0.4}
    values = [GroupValue(group=name, rows=100, value=value, interval=(-1.0, 1.0)) for name, value in found.items()]
    with pytest.raises(UsageError, match="use the difference"):
        spread(values, kind="ratio")
    assert spread(values, kind="difference") is not None


@pytest.mark.parametrize("count", [2, 9, 20])
def test_groups_that_are_alike_seldom_seem_apart_however_many_they_are(count: int) -> None:
    generator = np.random.default_rng(11)
    wrong = {"difference": 0, "ratio": 0}
    groups = np.repeat(np.arange(count), 150)
    for _ in range(200):
        answer = generator.random(len(groups)) < 0.3
        found = by_group(measure("selection_rate"), answer, answer, groups)
        difference, ratio = spread(found, kind="difference"), spread(found, kind="ratio")
        assert difference is not None
        assert ratio is not None
        wrong["difference"] += difference.interval[0] > 0
        wrong["ratio"] += ratio.interval[1] < 1
    assert max(wrong.values()) <= 20  # of 10 expected at most


@pytest.mark.parametrize("name", ["selection_rate", "f1"])
def test_the_spread_of_several_groups_is_held_at_least_about_as_often_as_the_interval_says(name: str) -> None:
    generator = np.random.default_rng(13)
    levels = np.array([0.5, 0.48, 0.46, 0.35])
    groups = np.repeat(np.arange(4), 200)
    truth = generator.random((4, 100_000)) < 0.4
    flip = generator.random((4, 100_000)) < levels[:, None]
    whole = [measure(name)(t, t ^ f) for t, f in zip(truth, flip, strict=True)]
    held = {"difference": 0, "ratio": 0}
    for _ in range(100):
        fresh = generator.random(800) < 0.4
        found = by_group(measure(name), fresh, fresh ^ (generator.random(800) < levels[groups]), groups)
        for kind, real in (("difference", max(whole) - min(whole)), ("ratio", min(whole) / max(whole))):
            made = spread(found, kind=kind)  # type: ignore[arg-type]
            assert made is not None
            held[kind] += made.interval[0] <= real <= made.interval[1]
    assert min(held.values()) >= 90  # of 95 expected at least


def test_groups_and_spreads_come_back_from_json() -> None:
    found = by_group(measure("recall"), TRUTH, ANSWER, list(GROUPS))
    made = spread(found, kind="ratio")
    assert made is not None
    assert Spread.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert tuple(GroupValue.from_dict(json.loads(json.dumps(one.to_dict()))) for one in found) == found
