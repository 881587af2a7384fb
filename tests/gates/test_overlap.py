"""Rows are equal when their values are, whatever types hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.gates.overlap import standing_in, unlike


def standing(mine: Any, theirs: Any) -> list[bool]:
    """Whether each value of one column stands in another."""
    columns = pd.DataFrame({"a": mine}), pd.DataFrame({"a": theirs})
    assert unlike(*columns, ["a"]) == ""
    found: list[bool] = standing_in(*columns, ["a"]).tolist()
    return found


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ([1, 2], [1.0, np.nan]),
        (pd.array([1, 2], dtype="int8"), pd.array([1, None], dtype="Int64")),
        (pd.array([0.1, 0.2], dtype="float32"), [0.1, 0.3]),
        ([0.0, 1.0], [-0.0]),
        ([2**60, 2**60 + 1], [2**60]),
        ([2**60, 2**60 + 1], pd.array([2**60, None], dtype="Int64")),
        (["x", "y"], pd.Categorical(["x", "z"])),
        (["x", "y"], pd.Series(["x", None], dtype=object)),
        ([None, "y"], ["x", None]),
        ([np.nan, 1.0], [np.nan, 2.0]),
        ([True, False], [True, None]),
        (pd.to_datetime(["2015-01-01", "2016-01-01"]), pd.to_datetime(["2015-01-01"], utc=True)),
        (pd.to_datetime(["2015-01-01", "2016-01-01"]).as_unit("s"), pd.to_datetime(["2015-01-01"]).as_unit("ns")),
        (pd.to_datetime(["2015-01-01", "2016-01-01"]), [pd.Timestamp("2015-01-01").date()]),
        ([(1, 2), (3, 4)], [(1, 2)]),
    ],
)
def test_equal_values_of_different_types_are_found(mine: Any, theirs: Any) -> None:
    assert standing(mine, theirs) == [True, False]


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ([0, 1], [False, True], "'a' holds numbers in one and true or false in the other"),
        (["1"], [1], "'a' holds text in one and numbers in the other"),
        (["2015-01-01"], pd.to_datetime(["2015-01-01"]), "'a' holds text in one and times in the other"),
        ([None], [1], ""),
        ([np.nan], ["x"], ""),
    ],
)
def test_unlike_columns_are_not_compared(mine: Any, theirs: Any, said: str) -> None:
    assert unlike(pd.DataFrame({"a": mine}), pd.DataFrame({"a": theirs}), ["a"]) == said


def test_whole_rows_are_compared_column_by_column() -> None:
    mine = pd.DataFrame({"a": [1, 2, 1], "b": [2, 1, 2], "c": [9, 9, 9]})
    theirs = pd.DataFrame({"b": [2.0], "a": [1.0]})

    assert standing_in(mine, theirs, ["a", "b"]).tolist() == [True, False, True]


CELLS = [
    st.none() | st.integers(-3, 3),
    st.none() | st.booleans(),
    st.none() | st.text(alphabet="ab", max_size=1),
    st.sampled_from([0.0, -0.0, 0.5, None]),
]


@given(st.lists(st.tuples(*CELLS), min_size=1), st.lists(st.tuples(*CELLS), min_size=1))
def test_it_agrees_with_comparing_row_by_row(mine: list[Any], theirs: list[Any]) -> None:
    frames = [pd.DataFrame(rows, columns=list("abcd")) for rows in (mine, theirs)]

    assert standing_in(frames[0], frames[1], list("abcd")).tolist() == [row in theirs for row in mine]
