"""Measures, held against scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.stats.measures import MEASURES, measure

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
