"""A second run is held against the first, as closely as the tolerance says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.entities import Metric
from nbprod.evidence.compare import (
    Agreement,
    Compared,
    compare_metrics,
    compare_predictions,
    compare_texts,
    verdict_of,
)


def metric(value: Any) -> dict[str, Any]:
    return {"name": "auc", "dataset": "test", "stage": "evaluate", "value": value, "interval": None}


def again(value: float, stage: str = "evaluate") -> list[Metric]:
    return [Metric(name="auc", dataset="test", stage=stage, value=value)]


@pytest.mark.parametrize(
    ("recorded", "found", "agreement"),
    [
        (0.86, 0.86, "identical"),
        (0.86, 0.869, "within tolerance"),
        (0.86, 0.88, "different"),
        (20_000.0, 20_150.0, "within tolerance"),
        (20_000.0, 20_300.0, "different"),
        ("nan", float("nan"), "identical"),
        ("nan", 0.5, "different"),
        (0.5, float("nan"), "different"),
        ("inf", float("inf"), "identical"),
    ],
)
def test_a_metric_may_differ_by_the_tolerance_or_that_share_of_a_large_one(
    recorded: Any, found: float, agreement: str
) -> None:
    (compared,) = compare_metrics([metric(recorded)], again(found), tolerance=0.01)
    assert (compared.what, compared.agreement) == ("test/auc", agreement)


def test_a_metric_that_is_not_reported_any_more_is_different() -> None:
    (compared,) = compare_metrics([metric(0.5)], again(0.5, stage="train"), tolerance=0.01)
    assert (compared.agreement, compared.found) == ("different", "not reported")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(1e-6, 1.0))
def test_equal_predictions_are_identical_at_any_tolerance(values: list[float], tolerance: float) -> None:
    array = np.array(values)
    assert compare_predictions(array, array.copy(), tolerance=tolerance).agreement == "identical"


def test_numbers_are_measured_in_standard_deviations_and_labels_in_rows() -> None:
    numbers = np.linspace(0, 100, 1000)
    assert compare_predictions(numbers, numbers + 0.1, tolerance=0.01).agreement == "within tolerance"
    far = compare_predictions(numbers, numbers + 1.0, tolerance=0.01)
    assert (far.agreement, far.note) == ("different", "root mean square difference 0.035 standard deviations")
    labels = np.array(["a", "b"] * 100)
    other = labels.copy()
    other[0] = "b"
    assert compare_predictions(labels, other, tolerance=0.01).agreement == "within tolerance"
    other[:10] = "c"
    told = compare_predictions(labels, other, tolerance=0.01)
    assert (told.agreement, told.note) == ("different", "5.00% of the rows are answered otherwise")


def test_answers_of_another_shape_or_that_became_nan_are_different() -> None:
    numbers = np.ones(4)
    assert compare_predictions(numbers, np.ones((4, 1)), tolerance=0.5).agreement == "different"
    assert compare_predictions(numbers, numbers * np.nan, tolerance=0.5).agreement == "different"


def test_names_of_columns_must_be_equal() -> None:
    assert compare_texts("signature", ["a"], ["a"]).agreement == "identical"
    other = compare_texts("signature", ["a" * 50], ["b"], note="its inputs differ")
    assert (other.agreement, len(other.recorded), other.note) == ("different", 40, "its inputs differ")


@pytest.mark.parametrize(
    ("agreements", "verdict"),
    [
        ((), "cannot"),
        (("unknown",), "cannot"),
        (("identical", "unknown"), "identical"),
        (("identical", "within tolerance", "unknown"), "within tolerance"),
        (("identical", "different", "within tolerance"), "different"),
    ],
)
def test_the_worst_decides_and_what_is_unknown_does_not(agreements: tuple[Agreement, ...], verdict: str) -> None:
    assert verdict_of([Compared(what="x", agreement=each) for each in agreements]) == verdict
