"""A synthetic example has the columns and types of the model's rows, and nobody's values."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from nbprod.evidence.synthetic import FREQUENT, NOTHING, synthetic_rows

COLUMNS = [{"name": "age", "type": "long"}, {"name": "name", "type": "string"}, {"name": "sex", "type": "long"}]


def people(count: int = 200) -> pd.DataFrame:
    return pd.DataFrame({
        "age": [17 + (i * 37) % 83 for i in range(count)],
        "name": ["common"] * (count - 1) + ["Ana Souza"],
        "sex": [1 + i % 2 for i in range(count)],
    })  # fmt: skip


def test_texts_and_codes_are_frequent_and_measurements_lie_between() -> None:
    rows = synthetic_rows(COLUMNS, people(), count=4)
    ages, names, sexes = zip(*rows, strict=True)
    assert set(names) == {"common"}
    assert set(sexes) == {1, 2}
    assert list(ages) == sorted(ages)
    assert 17 < ages[0] < ages[-1] < 100


def test_what_nobody_shares_and_what_is_not_known_is_left_blank() -> None:
    few = people(FREQUENT - 1)
    assert synthetic_rows(COLUMNS, few, count=2) == [[0, "", 0], [0, "", 0]]
    assert synthetic_rows(COLUMNS, None, count=1) == [[0, "", 0]]
    odd = [{"name": "when", "type": "datetime"}, {"name": "raw", "type": "binary"}]
    assert synthetic_rows(odd, people(), count=1) == [["2000-01-01", None]]
    assert synthetic_rows([], None, count=3) == []


@given(
    st.sampled_from(sorted(NOTHING)),
    st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31), st.floats(-1e9, 1e9)), min_size=1, max_size=60),
    st.integers(1, 5),
)
def test_every_column_gets_a_value_of_its_type(kind: str, values: list[Any], count: int) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype="object" if kind == "string" else "float64")})
    rows = synthetic_rows([{"name": "x", "type": kind}], frame, count=count)
    assert len(rows) == count
    assert {type(row[0]) for row in rows} == {type(NOTHING[kind])}


def test_a_text_that_fewer_than_five_rows_have_is_never_shown() -> None:
    frame = pd.DataFrame({"name": [f"person {i // (FREQUENT - 1)}" for i in range(100)]})
    assert synthetic_rows([{"name": "name", "type": "string"}], frame, count=3) == [[""], [""], [""]]
