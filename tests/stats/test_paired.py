"""Two models on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nbprod.stats.measures import measure
from nbprod.stats.paired import compare, judge

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
