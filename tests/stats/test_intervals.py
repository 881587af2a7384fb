"""Intervals hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nbprod.errors import UsageError
from nbprod.stats.intervals import CELLS, bootstrap, percentiles, resampled, wilson
from nbprod.stats.measures import MEASURES, Measure, averaged, measure


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


def test_wilsons_interval_of_arrays_is_that_of_each_number() -> None:
    hits, rows = np.array([0, 3, 7, 7, 0]), np.array([5, 7, 7, 900, 0])
    low, high = wilson(hits, rows, confidence=0.9)
    pairs = [wilson(int(hit), int(row), confidence=0.9) for hit, row in zip(hits, rows, strict=True)]
    assert list(zip(low, high, strict=True)) == pairs
    assert (pairs[0][0], pairs[2][1], pairs[4]) == (0.0, 1.0, (0.0, 1.0))


def test_the_mean_of_numbers_has_the_textbooks_interval() -> None:
    generator = np.random.default_rng(2)
    errors = generator.normal(3, 2, 2000)
    mean = Measure(name="mean", needs="values", better="lower", prepare=averaged(lambda _, answer: answer))
    low, high = bootstrap(mean, np.zeros(2000), errors, resamples=4000)
    half = 1.96 * errors.std() / 2000**0.5
    assert (low, high) == pytest.approx((errors.mean() - half, errors.mean() + half), abs=0.01)


@pytest.mark.parametrize("rows", [1, 7, 600, CELLS, CELLS + 1])
def test_every_resample_has_as_many_rows_as_there_are_and_all_answers_get_the_same(rows: int) -> None:
    seen: list[np.ndarray] = []

    def prepare(truth: object, answer: object) -> object:
        def values(weights: np.ndarray) -> np.ndarray:
            seen.append(weights)
            return weights @ np.arange(rows)

        return values

    spy = Measure(name="spy", needs="values", better="lower", prepare=prepare)  # type: ignore[arg-type]
    one, other = resampled(spy, np.zeros(rows), (np.zeros(rows), np.ones(rows)), resamples=30, seed=0)
    assert (one == other).all()
    weights = np.concatenate(seen)
    assert weights.shape == (60, rows)
    assert (weights.sum(axis=1) == rows).all()
    assert ((weights >= 0) & (weights == weights.round())).all()
    assert max(block.size for block in seen) <= max(CELLS, rows)
    assert len(np.unique(one)) > 15 or rows == 1


def test_rows_are_drawn_as_often_as_each_other() -> None:
    ones = Measure(name="first", needs="values", better="lower", prepare=averaged(lambda _, answer: answer))
    first, last = resampled(ones, np.zeros(4), (np.eye(4)[0], np.eye(4)[3]), resamples=20_000, seed=0)
    # of four draws with replacement, binomial: mean 1, variance 3/4
    assert (4 * first.mean(), 4 * last.mean()) == pytest.approx((1, 1), abs=0.03)
    assert (16 * first.var(), 16 * last.var()) == pytest.approx((0.75, 0.75), abs=0.03)


@pytest.mark.parametrize("name", MEASURES)
def test_of_no_rows_and_of_a_number_that_is_not_finite_there_is_no_interval(name: str) -> None:
    one = measure(name)
    kind = bool if one.needs == "labels" else float
    assert np.isnan(bootstrap(one, np.zeros(0, bool), np.zeros(0, kind), resamples=20)).all()
    if one.needs != "labels":
        answer = np.array([0.5, 0.1, np.nan, 0.9])
        assert np.isnan(bootstrap(one, np.array([True, False, True, False]), answer, resamples=20)).all()


def test_a_measure_that_is_undefined_in_many_resamples_has_no_interval_and_in_few_it_has() -> None:
    few, many = np.arange(100.0), np.arange(100.0)
    few[:4], many[:6] = np.nan, np.nan
    assert not np.isnan(percentiles(few, confidence=0.9)).any()
    assert np.isnan(percentiles(many, confidence=0.9)).all()


def test_options_that_make_no_sense_are_refused() -> None:
    truth = np.array([True, False])
    for confidence in (0.0, 1.0, 95.0, float("nan")):
        with pytest.raises(UsageError, match="a confidence is between 0 and 1"):
            bootstrap(measure("accuracy"), truth, truth, confidence=confidence)
        with pytest.raises(UsageError, match="a confidence is between 0 and 1"):
            wilson(1, 2, confidence=confidence)
    with pytest.raises(UsageError, match="at least one resample, not 0"):
        bootstrap(measure("accuracy"), truth, truth, resamples=0)
