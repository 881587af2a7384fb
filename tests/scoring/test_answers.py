"""A model's answers as columns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from nbprod.errors import DeployError, UsageError
from nbprod.scoring.answers import Form, as_array, form_of
from nbprod.serving.served import Served
from tests.serving import asgi

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@pytest.mark.parametrize(
    ("answer", "kind", "values"),
    [
        (np.array([1, 2], "uint8"), pa.int64(), [1, 2]),
        (np.array([1.5, np.nan, np.inf]), pa.float64(), [1.5, None, None]),
        (np.array([0.5], "float32"), pa.float32(), [0.5]),
        (np.array([True]), pa.bool_(), [True]),
        (["a", None], pa.string(), ["a", None]),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), pa.list_(pa.float64()), [[1.0, 2.0], [3.0, None]]),
        ([1, "a"], pa.string(), ["1", "a"]),
        ([{"a": 1}], pa.string(), ['{"a": 1}']),
        ([pd.Timestamp("2020-01-02")], pa.string(), ["2020-01-02 00:00:00"]),
    ],
)
def test_answers_are_what_the_service_answers(answer: Any, kind: pa.DataType, values: list[Any]) -> None:
    found = as_array(answer)
    assert found.type == kind
    assert found.to_pylist() == values


def test_answers_of_another_type_than_the_examples_are_brought_to_it_or_refused() -> None:
    form = Form(prediction=pa.float64())
    assert form.arrays(np.array([1, 2]), None, "toy/1")[0].type == pa.float64()
    assert Form(prediction=pa.string()).arrays([1, 2], None, "toy/1")[0].to_pylist() == ["1", "2"]
    with pytest.raises(DeployError, match="answers with string here and with double to its example"):
        form.arrays(["a"], None, "toy/1")
    with pytest.raises(DeployError, match="probabilities of 3 classes, and gave 2"):
        Form(prediction=pa.int64(), shares=("a", "b")).arrays(np.array([1]), np.ones((1, 3)), "toy/1")


def with_model(**methods: Any) -> Served:
    return dataclasses.replace(asgi.numbers(), **methods)


def test_the_form_is_found_by_asking_about_the_example() -> None:
    form = form_of(asgi.mixed(), proba=True)
    assert form.schema.names == ["prediction", "probability_old", "probability_young"]
    assert form.prediction == pa.string()
    no_classes = with_model(classes=())
    assert form_of(no_classes, proba=True).shares == ("probability_0", "probability_1")


def test_probabilities_that_there_are_not_are_refused() -> None:
    with pytest.raises(UsageError, match="gives no probabilities: leave --proba out"):
        form_of(with_model(proba=None), proba=True)
    with pytest.raises(UsageError, match="several probabilities for a class"):
        form_of(with_model(proba=lambda rows: np.ones((2, len(rows), 2))), proba=True)

    def fail(rows: Any) -> Any:
        raise TypeError("secret")

    with pytest.raises(DeployError, match=r"toy/1 fails on its example \(TypeError\)\."):
        form_of(with_model(predict=fail), proba=False)
