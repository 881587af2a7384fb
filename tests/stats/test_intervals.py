"""Intervals hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nbprod.stats.intervals import bootstrap, wilson
from nbprod.stats.measures import measure


@given(st.integers(1, 5000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilsons_interval_is_scipys(count: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(0, count))
    expected = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    assert wilson(hits, count, confidence=confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_of_no_rows_everything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["accuracy", "recall", "roc_auc", "f1", "rmse", "log_loss"])
def test_a_bootstrap_interval_holds_the_truth_about_as_often_as_it_says(name: str) -> None:
    generator = np.random.default_rng(1)
    one = measure(name)

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
        truth = generator.random(rows) < 0.4
        score = np.clip(truth * 0.2 + generator.random(rows) * 0.8, 0.01, 0.99)
        return {"labels": (truth, score > 0.5), "scores": (truth, score), "values": (truth * 1.0, score)}[one.needs]

    whole = one(*draw(200_000))
    held = 0
    for seed in range(100):
        low, high = bootstrap(one, *draw(300), resamples=200, seed=seed)
        held += low <= whole <= high
    assert 86 <= held <= 100  # of 95 expected


def test_a_seed_gives_the_same_interval_again_and_another_does_not() -> None:
    truth = np.arange(60) % 3 == 0
    answer = np.arange(60) % 2 == 0
    one = bootstrap(measure("accuracy"), truth, answer, resamples=100)
    assert one == bootstrap(measure("accuracy"), truth, answer, resamples=100)
    assert one != bootstrap(measure("accuracy"), truth, answer, resamples=100, seed=1)


def test_an_undefined_measure_has_no_interval() -> None:
    low, high = bootstrap(measure("recall"), np.zeros(20, bool), np.ones(20, bool), resamples=50)
    assert math.isnan(low)
    assert math.isnan(high)
