"""The reservoir: a uniform sample that does not depend on the order of tables."""

from __future__ import annotations

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.retraining.reservoir import sample

A, B = "a" * 64, "b" * 64
TABLES = {A: pd.DataFrame({"x": range(300)}), B: pd.DataFrame({"x": range(1000, 1100)})}


def test_the_order_of_tables_does_not_count() -> None:
    first, second = sample(TABLES, rows=50), sample(dict(reversed(TABLES.items())), rows=50)
    pd.testing.assert_frame_equal(first, second)
    assert len(first) == 50 and not first["x"].duplicated().any()


def test_rows_come_from_tables_as_these_are_large() -> None:
    found = sample(TABLES, rows=200)
    assert 30 <= (found["x"] >= 1000).sum() <= 70


def test_fewer_rows_than_wanted_are_all_taken() -> None:
    assert len(sample(TABLES, rows=1000)) == 400
    assert sample({}, rows=5).empty


def test_a_table_that_is_taken_away_takes_only_its_rows_with_it() -> None:
    both, one = sample(TABLES, rows=60), sample({A: TABLES[A]}, rows=60)
    assert set(both["x"][both["x"] < 1000]) <= set(one["x"])


@given(st.integers(1, 40), st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=25)
def test_as_many_rows_as_there_are_and_no_more_than_wanted(rows: int, first: int, second: int) -> None:
    tables = {A: pd.DataFrame({"x": range(first)}), B: pd.DataFrame({"x": range(second)})}
    assert len(sample(tables, rows=rows)) == min(rows, first + second)
