"""Measures, held against scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.stats.measures import MEASURES, OF_PROBABILITIES, Measure, averaged, measure

RNG = np.random.default_rng(3)
TRUTH = RNG.random(400) < 0.3
SCORE = np.clip(np.round(TRUTH * 0.2 + RNG.random(400) * 0.8, 2), 0, 1)
LABEL = SCORE > 0.5
NUMBER = RNG.normal(size=400) + 3
GUESS = NUMBER + RNG.normal(size=400)
WEIGHT = RNG.integers(0, 4, 400).astype(float)

OURS: dict[str, Callable[[Any], float]] = {
    "accuracy": lambda w: sk.accuracy_score(TRUTH, LABEL, sample_weight=w),
    "balanced_accuracy": lambda w: sk.balanced_accuracy_score(TRUTH, LABEL, sample_weight=w),
    "precision": lambda w: sk.precision_score(TRUTH, LABEL, sample_weight=w),
    "recall": lambda w: sk.recall_score(TRUTH, LABEL, sample_weight=w),
    "true_positive_rate": lambda w: sk.recall_score(TRUTH, LABEL, sample_weight=w),
    "true_negative_rate": lambda w: sk.recall_score(~TRUTH, ~LABEL, sample_weight=w),
    "false_positive_rate": lambda w: 1 - sk.recall_score(~TRUTH, ~LABEL, sample_weight=w),
    "false_negative_rate": lambda w: 1 - sk.recall_score(TRUTH, LABEL, sample_weight=w),
    "selection_rate": lambda w: np.average(LABEL, weights=w),
    "base_rate": lambda w: np.average(TRUTH, weights=w),
    "f1": lambda w: sk.f1_score(TRUTH, LABEL, sample_weight=w),
    "roc_auc": lambda w: sk.roc_auc_score(TRUTH, SCORE, sample_weight=w),
    "average_precision": lambda w: sk.average_precision_score(TRUTH, SCORE, sample_weight=w),
    "log_loss": lambda w: sk.log_loss(TRUTH, SCORE, sample_weight=w),
    "brier_score": lambda w: sk.brier_score_loss(TRUTH, SCORE, sample_weight=w),
    "rmse": lambda w: sk.root_mean_squared_error(NUMBER, GUESS, sample_weight=w),
    "mae": lambda w: sk.mean_absolute_error(NUMBER, GUESS, sample_weight=w),
    "mse": lambda w: sk.mean_squared_error(NUMBER, GUESS, sample_weight=w),
    "mape": lambda w: sk.mean_absolute_percentage_error(NUMBER, GUESS, sample_weight=w),
    "r2": lambda w: sk.r2_score(NUMBER, GUESS, sample_weight=w),
    "median_absolute_error": lambda w: (
        sk.median_absolute_error(NUMBER, GUESS) if w is None
        else np.median(np.repeat(abs(NUMBER - GUESS), w.astype(int)))
    ),
}  # fmt: skip


def arrays(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Truth and answers as a measure takes them."""
    return {"labels": (TRUTH, LABEL), "scores": (TRUTH, SCORE), "values": (NUMBER, GUESS)}[MEASURES[name].needs]


def test_every_measure_is_held_against_another_implementation() -> None:
    assert set(OURS) == set(MEASURES)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_scikit_learns(name: str, weight: Any) -> None:
    assert measure(name)(*arrays(name), weight) == pytest.approx(float(OURS[name](weight)), abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_counts_are_rows_written_so_often(name: str) -> None:
    truth, answer = arrays(name)
    counts = WEIGHT.astype(int)
    repeated = measure(name)(np.repeat(truth, counts), np.repeat(answer, counts))
    assert measure(name)(truth, answer, WEIGHT) == pytest.approx(repeated, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.5, 0.9])), max_size=30), st.randoms())
def test_the_order_of_rows_does_not_matter_and_nothing_fails(rows: list[tuple[bool, float]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    for name, one in MEASURES.items():
        values = []
        for some in (rows, shuffled):
            truth, answer = np.array([t for t, _ in some], dtype=bool), np.array([a for _, a in some])
            given_ = (truth, answer > 0.4) if one.needs == "labels" else (truth, answer)
            values.append(one(*(given_ if one.needs != "values" else (truth.astype(float), answer))))
        assert values[0] == pytest.approx(values[1], nan_ok=True), name


def test_accuracy_takes_any_labels() -> None:
    assert measure("accuracy")(np.array(["a", "b", "c"]), np.array(["a", "c", "c"])) == pytest.approx(2 / 3)


def test_a_measure_of_what_is_not_there_is_not_a_number() -> None:
    nothing = np.array([False, False])
    assert math.isnan(measure("recall")(nothing, ~nothing))
    assert math.isnan(measure("roc_auc")(nothing, np.array([0.1, 0.2])))


def test_an_unknown_measure_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"there is no measure 'roc_acu' .* Did you mean 'roc_auc'"):
        measure("roc_acu")


@pytest.mark.parametrize("name", MEASURES)
def test_weights_of_one_are_no_weights_and_only_their_ratios_count(name: str) -> None:
    one, parts = measure(name), arrays(name)
    assert one(*parts, np.ones(400)) == one(*parts)
    assert one(*parts, WEIGHT * 3) == pytest.approx(one(*parts, WEIGHT), abs=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_many_weights_at_once_give_what_each_gives_alone(name: str) -> None:
    weights = np.random.default_rng(4).integers(0, 3, (5, 400)).astype(float)
    one, parts = measure(name), arrays(name)
    alone = [one(*parts, weight) for weight in weights]
    assert one.weighted(*parts)(weights) == pytest.approx(alone, abs=1e-12)
    assert len(set(alone)) > 1


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_of_several_classes_too_measures_are_scikit_learns(weight: Any) -> None:
    codes = RNG.integers(0, 4, 400)
    scores = np.round(RNG.dirichlet(np.ones(4), 400) + np.eye(4)[codes], 1) + 0.01
    scores /= scores.sum(axis=1, keepdims=True)
    named, said = np.array(["a", "b", "c", "d"])[codes], np.array(["a", "b", "c", "e"])[scores.argmax(axis=1)]
    assert measure("log_loss")(codes, scores, weight) == pytest.approx(sk.log_loss(codes, scores, sample_weight=weight))
    assert measure("roc_auc")(codes, scores, weight) == pytest.approx(
        sk.roc_auc_score(codes, scores, multi_class="ovr", sample_weight=weight)
    )
    for name in ("accuracy", "balanced_accuracy"):
        theirs = {"accuracy": sk.accuracy_score, "balanced_accuracy": sk.recall_score}[name]
        options = {} if name == "accuracy" else {"average": "macro", "labels": list("abcd")}
        expected = theirs(named, said, sample_weight=weight, **options)
        for kind in ("U1", object):
            assert measure(name)(named.astype(kind), said.astype(kind), weight) == pytest.approx(expected)


def test_a_class_without_rows_has_no_area() -> None:
    assert math.isnan(measure("roc_auc")(np.array([0, 1, 0]), np.full((3, 3), 1 / 3)))


def test_sure_and_wrong_costs_as_much_as_in_scikit_learn() -> None:
    truth = np.array([True, False, True])
    for kind in (np.float32, np.float64):
        score = np.array([0, 0.5, 1], dtype=kind)
        assert measure("log_loss")(truth, score) == pytest.approx(sk.log_loss(truth, score), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in MEASURES if MEASURES[name].needs != "labels"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_made_of_a_number_that_is_not_finite_is_none(name: str, bad: float) -> None:
    truth, answer = arrays(name)
    spoilt = answer.copy()
    spoilt[17] = bad
    if name in OF_PROBABILITIES and bad == math.inf:
        with pytest.raises(UsageError, match="takes probabilities"):
            measure(name)(truth, spoilt)
    else:
        assert math.isnan(measure(name)(truth, spoilt))


def test_whole_numbers_do_not_overflow_and_booleans_are_numbers() -> None:
    small = np.array([0, 255, 1], dtype=np.uint8)
    assert measure("mae")(small, small[::-1]) == pytest.approx(2 / 3)
    assert measure("mse")(np.array([True, False]), np.array([1, 1])) == 0.5
    assert measure("brier_score")(np.array([True, False]), np.array([True, True])) == 0.5


def test_r2_keeps_its_digits_far_from_zero_and_beside_an_outlier() -> None:
    far = NUMBER + 1e9
    assert measure("r2")(far, GUESS + 1e9) == pytest.approx(sk.r2_score(NUMBER, GUESS), abs=1e-6)
    truth, weight = np.r_[NUMBER, 1e9], np.r_[np.ones(400), 0]
    assert measure("r2")(truth, np.r_[GUESS, 0], weight) == pytest.approx(sk.r2_score(NUMBER, GUESS), abs=1e-6)
    assert math.isnan(measure("r2")(np.full(5, 0.1), np.arange(5.0)))


@pytest.mark.parametrize(
    ("name", "truth", "answer", "said"),
    [
        ("recall", [0, 1], [1, 1], "it takes booleans, not int64"),
        ("roc_auc", ["a", "b"], [0.1, 0.2], "it takes booleans, not <U1"),
        ("f1", [True, False], [0.2, 0.3], "it takes booleans, not float64"),
        ("log_loss", [True, False], [2.0, -1.0], "takes probabilities, but"),
        ("log_loss", [0, 2], [[0.5, 0.5], [0.5, 0.5]], "takes the number of each row's class"),
        ("average_precision", [0, 1], [[0.5, 0.5], [0.5, 0.5]], "takes one answer for each row"),
        ("rmse", [1.0, 2.0], [1.0], r"the truth has shape \(2,\), the answers \(1,\)"),
        ("rmse", [1.0, 2.0], [[1.0], [2.0]], "takes one answer for each row"),
        ("rmse", [1.0, 2.0], ["x", "y"], "takes numbers, and there is something else"),
        ("accuracy", pd.Series(["a", pd.NA], dtype=object), ["a", "b"], "some are missing"),
    ],
)
def test_what_a_measure_cannot_take_is_refused(name: str, truth: Any, answer: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        measure(name)(truth, np.array(answer))


@pytest.mark.parametrize("weight", [[1.0], [1.0, -1.0], [1.0, math.nan]])
def test_weights_that_are_no_counts_are_refused(weight: Any) -> None:
    with pytest.raises(UsageError, match="one weight for each of the 2 rows, and none below 0"):
        measure("accuracy")(np.array([1, 2]), np.array([1, 1]), weight)


def test_no_weight_at_all_is_undefined() -> None:
    for name in MEASURES:
        assert math.isnan(measure(name)(*arrays(name), np.zeros(400))), name


def test_a_measure_of_ones_own_is_a_mean_of_costs() -> None:
    costs = np.array([[0.0, 1.0], [5.0, 0.0]])
    cost = Measure(
        name="cost", needs="labels", better="lower", prepare=averaged(lambda t, a: costs[t.astype(int), a.astype(int)])
    )
    assert cost(TRUTH, LABEL, WEIGHT) == pytest.approx(np.average(costs[TRUTH * 1, LABEL * 1], weights=WEIGHT))
