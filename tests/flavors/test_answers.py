"""Answers as JSON, and whether two are the same."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from nbprod.flavors.answers import plain, rows_of, same


class Tensor:
    """What torch's tensors can do."""

    def detach(self) -> Tensor:
        """Leave the graph."""
        return self

    def cpu(self) -> np.ndarray[Any, Any]:
        """Come to the main memory."""
        return np.array([1.5])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array([[1.0, math.nan], [math.inf, -math.inf]]), [[1.0, "nan"], ["inf", "-inf"]]),
        (np.array(["yes", "no"]), ["yes", "no"]),
        (np.array([True]), [True]),
        (np.float32(0.5), 0.5),
        (pd.Series([1, 2]), [1, 2]),
        (pd.DataFrame({"a": [1], "b": ["x"]}), {"columns": ["a", "b"], "data": [[1, "x"]]}),
        (csr_matrix([[0.0, 1.0]]), [[0.0, 1.0]]),
        ({"a": (1, None)}, {"a": [1, None]}),
        (Tensor(), [1.5]),
        (datetime.date(2015, 1, 2), "2015-01-02"),
        (object(), "<builtins.object>"),
    ],
)
def test_an_answer_becomes_json(answer: Any, expected: Any) -> None:
    found = plain(answer)
    assert found == expected
    json.dumps(found, allow_nan=False)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_an_answer_is_the_same_as_itself_after_a_file(answer: Any) -> None:
    stored = json.loads(json.dumps(plain(answer), allow_nan=False))
    assert same(stored, plain(answer))


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1.0, 1.0 + 1e-9, True),
        (0.0, 1e-12, True),
        (1.0, 1.001, False),
        (1, 1.0, True),
        (True, 1, False),
        ("1", 1, False),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": [1.0]}, {"a": [1.0000001]}, True),
        (None, None, True),
        (None, [], False),
    ],
)
def test_numbers_may_differ_by_rounding_and_nothing_else_may(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is equal


@pytest.mark.parametrize(
    ("answer", "rows"), [([1, 2], 2), ({"columns": ["a"], "data": [[1], [2], [3]]}, 3), ({"a": 1}, 1), (0.5, 1)]
)
def test_the_rows_of_an_answer_are_counted(answer: Any, rows: int) -> None:
    assert rows_of(answer) == rows
