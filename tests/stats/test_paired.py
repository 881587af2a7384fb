"""Two models on the same rows."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.stats.measures import MEASURES, measure
from nbprod.stats.paired import Comparison, compare, judge

RNG = np.random.default_rng(5)
TRUTH = RNG.random(600) < 0.4
GOOD = np.clip(TRUTH * 0.4 + RNG.random(600) * 0.6, 0, 1)
POOR = np.clip(TRUTH * 0.05 + RNG.random(600) * 0.95, 0, 1)


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "brier_score"])
def test_the_better_model_is_found_whichever_end_is_good(name: str) -> None:
    found = compare(measure(name), TRUTH, GOOD, POOR, resamples=200)
    assert found.difference > 0
    assert found.interval[0] > 0
    assert found.interval[0] <= found.difference <= found.interval[1]
    assert judge(found.interval, tolerance=0) == "better"


def test_changing_places_turns_the_sign() -> None:
    one = compare(measure("roc_auc"), TRUTH, GOOD, POOR, resamples=100)
    other = compare(measure("roc_auc"), TRUTH, POOR, GOOD, resamples=100)
    assert other.difference == -one.difference
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]))


def test_a_model_against_itself_differs_by_nothing() -> None:
    found = compare(measure("accuracy"), TRUTH, GOOD > 0.5, GOOD > 0.5, resamples=50)
    assert (found.difference, found.interval) == (0.0, (0.0, 0.0))
    assert judge(found.interval, tolerance=0.0) == "not worse"


def test_pairing_makes_the_interval_narrower_than_two_separate_ones() -> None:
    near = np.where(RNG.random(600) < 0.02, ~(GOOD > 0.5), GOOD > 0.5)
    found = compare(measure("accuracy"), TRUTH, GOOD > 0.5, near, resamples=500)
    share = float(np.mean((GOOD > 0.5) == TRUTH))
    apart = 2 * 1.96 * (2 * share * (1 - share) / 600) ** 0.5
    assert found.interval[1] - found.interval[0] < 0.6 * apart


@pytest.mark.parametrize(
    ("interval", "tolerance", "said"),
    [
        ((0.01, 0.03), 0.0, "better"),
        ((-0.004, 0.01), 0.005, "not worse"),
        ((-0.005, 0.01), 0.005, "not worse"),
        ((-0.02, -0.01), 0.005, "worse"),
        ((-0.02, 0.01), 0.005, "undecided"),
        ((float("nan"), 0.1), 0.1, "undecided"),
    ],
)
def test_an_interval_says_better_not_worse_worse_or_nothing(interval: Any, tolerance: float, said: str) -> None:
    assert judge(interval, tolerance=tolerance) == said


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), *[st.sampled_from([0.1, 0.4, 0.6, 0.9])] * 2), max_size=25),
    st.sampled_from(sorted(MEASURES)),
)
def test_changing_places_turns_the_sign_of_every_measure(rows: list[tuple[bool, float, float]], name: str) -> None:
    one = measure(name)
    truth = np.array([t for t, _, _ in rows], dtype=bool)
    first, second = (np.array([row[at] for row in rows], dtype=float) for at in (1, 2))
    if one.needs == "labels":
        first, second = first > 0.5, second > 0.5
    there = compare(one, truth, first, second, resamples=20)
    back = compare(one, truth, second, first, resamples=20)
    assert back.difference == pytest.approx(-there.difference, nan_ok=True, rel=1e-9, abs=1e-9)
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]), nan_ok=True, rel=1e-9, abs=1e-9)
    assert there.rows == len(rows)


@pytest.mark.parametrize("name", MEASURES)
def test_more_is_better_whichever_end_is_good(name: str) -> None:
    one = measure(name)
    good, poor = {"labels": (GOOD > 0.5, POOR > 0.5)}.get(one.needs, (GOOD, POOR))
    found = compare(one, TRUTH, good, poor, resamples=20)
    assert (found.candidate, found.champion) == (one(TRUTH, good), one(TRUTH, poor))
    assert found.difference == (found.candidate - found.champion) * (1 if one.better == "higher" else -1)


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "log_loss", "rmse"])
def test_the_interval_of_a_difference_holds_it_about_as_often_as_it_says(name: str) -> None:
    generator = np.random.default_rng(9)
    one = measure(name)

    def draw(rows: int) -> tuple[Any, Any, Any]:
        truth = generator.random(rows) < 0.4
        shared = generator.random(rows) * 0.6
        first, second = (
            np.clip(truth * weight + shared + generator.random(rows) * 0.2, 0.01, 0.99) for weight in (0.15, 0.1)
        )
        return (truth, first > 0.5, second > 0.5) if one.needs == "labels" else (truth, first, second)

    truth, first, second = draw(300_000)
    whole = (one(truth, first) - one(truth, second)) * (1 if one.better == "higher" else -1)
    held = 0
    for seed in range(150):
        low, high = compare(one, *draw(250), resamples=200, seed=seed).interval
        held += low <= whole <= high
    assert 132 <= held <= 150  # of 142 expected


def test_a_seed_gives_the_same_comparison_again_and_another_does_not() -> None:
    one = compare(measure("roc_auc"), TRUTH, GOOD, POOR, resamples=50)
    assert one == compare(measure("roc_auc"), TRUTH, GOOD, POOR, resamples=50)
    assert one != compare(measure("roc_auc"), TRUTH, GOOD, POOR, resamples=50, seed=1)


def test_a_model_that_answers_no_number_is_never_found_better() -> None:
    broken = np.where(np.arange(600) == 5, np.nan, GOOD)
    found = compare(measure("roc_auc"), TRUTH, broken, POOR, resamples=20)
    assert math.isnan(found.candidate)
    assert math.isnan(found.difference)
    assert judge(found.interval, tolerance=1.0) == "undecided"


def test_a_tolerance_below_nothing_is_refused() -> None:
    for tolerance in (-0.01, math.nan):
        with pytest.raises(UsageError, match="a tolerance says how much worse"):
            judge((0.0, 0.1), tolerance=tolerance)


def test_a_comparison_comes_back_from_json() -> None:
    found = compare(measure("accuracy"), TRUTH, GOOD > 0.5, POOR > 0.5, resamples=20)
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found
