"""Labels: a column's are those of its values, whatever its type."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbprod.monitoring.performance import column_labels, labels

COLUMNS = st.one_of(
    st.lists(st.none(), max_size=5).map(pa.array),
    st.lists(st.none() | st.integers(-3, 3)).map(lambda values: pa.array(values, pa.int64())),
    st.lists(st.none() | st.floats()).map(lambda values: pa.array(values, pa.float64())),
    st.lists(st.none() | st.booleans()).map(lambda values: pa.array(values, pa.bool_())),
    st.lists(st.none() | st.sampled_from(["1", "1.0", "yes", ""])).map(lambda values: pa.array(values, pa.string())),
    st.lists(st.none() | st.sampled_from("ab")).map(lambda values: pa.array(values, pa.string()).dictionary_encode()),
    st.lists(st.lists(st.integers(0, 2), max_size=2)).map(lambda values: pa.array(values, pa.list_(pa.int64()))),
)


@pytest.mark.parametrize("task", ["classes", "values"])
@given(values=COLUMNS)
@example(values=pa.array([math.nan, None], pa.float64()))
def test_the_labels_of_a_column_are_those_of_its_values(task: str, values: Any) -> None:
    for column in (pa.chunked_array([values]), pa.chunked_array([values, values])):
        found, expected = column_labels(column, task), labels(column.to_pylist(), task)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected, equal_nan=task == "values")
