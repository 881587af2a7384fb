"""Phrases that name rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.gates.where import Comparison, Where

TABLE = pd.DataFrame(
    {
        "age": [20, 65, 80, None],
        "sex": ["f", "m", "f", None],
        "day": pd.to_datetime(pd.Series(["2015-01-01", "2016-01-01", "2017-01-01", None])),
        "kind": pd.Categorical(["x", "y", "x", None]),
        "ok": [True, False, True, True],
        "my column": [1, 2, 3, 4],
        "and": [1, 2, 3, 4],
    }
)


def rows(text: str) -> list[int]:
    """The rows that a phrase names, from 1."""
    return [row for row, held in enumerate(Where.read(text).rows(TABLE), start=1) if held]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("age >= 65", [2, 3]),
        ("age>65", [3]),
        ("age < 65.0", [1]),
        ("age <= 6.5e1", [1, 2]),
        ("age == 20", [1]),
        ("age != 20", [2, 3]),
        ("sex == 'f'", [1, 3]),
        ('sex == "f" and age > +20', [3]),
        ("sex in ['f', 'm'] and age in [20,65 , -1]", [1, 2]),
        ("sex == 1", []),
        ("sex > 'f'", [2]),
        ("ok == true and ok != false", [1, 3, 4]),
        ("kind == 'x'", [1, 3]),
        ("kind < 'y'", [1, 3]),
        ("day >= '2016-01-01'", [2, 3]),
        ("day in ['2015-01-01T00:00Z']", [1]),
        ("day >= 2016", [2, 3]),
        ("`my column` == 2", [2]),
        ("`and` == 3 and `and` == 3", [3]),
    ],
)
def test_rows_are_named(text: str, found: list[int]) -> None:
    assert rows(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at its end there must be the name of a column"),
        ("age", "at its end there must be one of =="),
        ("age = 1", "at '=' there must be one of =="),
        ("age == old", "at 'old' there must be a number, true, false, or text in quotes"),
        ("age == ", "at its end there must be a number"),
        ("age == 1 or age == 2", "at 'or' there must be `and`, or nothing more"),
        ("age == 1 and", "at its end there must be the name of a column"),
        ("and == 1", "at 'and' there must be the name of a column"),
        ("1 == age", "at '1' there must be the name of a column"),
        ("age in 1", "at '1' there must be values in brackets"),
        ("age in []", "at ']' there must be a number"),
        ("age in [1", "at its end there must be a comma or the closing bracket"),
        ("age in [1 2]", "at '2' there must be a comma or the closing bracket"),
        ("age == 1x", "at '1' there must be a number"),
        ("age == 'x", "at ''' there must be a number"),
        ("__import__('os')", "at '(' there must be one of =="),
        ("age == 1; x == 2", "at ';' there must be `and`"),
    ],
)
def test_what_is_no_phrase_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Where.read(text)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ages == 1", "there is no column 'ages', which `ages == 1` names. Did you mean 'age'?"),
        ("age > 'x'", "`age > 'x'` compares 'age' with a value of another kind: quote text, and only text."),
        ("day > 'then'", "`day > 'then'` compares the times of 'day' with what is no time."),
    ],
)
def test_a_phrase_that_does_not_suit_the_table_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        rows(text)
    assert caught.value.message == said


SCALARS: st.SearchStrategy[Any] = (
    st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
)
COMPARISONS = st.builds(
    Comparison, column=st.text(min_size=1), operator=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), value=SCALARS
) | st.builds(
    Comparison,
    column=st.text(min_size=1),
    operator=st.just("in"),
    value=st.lists(SCALARS, min_size=1, max_size=3).map(tuple),
)


@given(st.lists(COMPARISONS, min_size=1, max_size=3).map(tuple))
def test_what_is_written_is_read_back(comparisons: tuple[Comparison, ...]) -> None:
    where = Where(comparisons=comparisons)

    assert Where.read(str(where)) == where


WORDS = [
    "age",
    "`a b`",
    "==",
    "<=",
    "in",
    "and",
    "[",
    "]",
    ",",
    "1",
    "-2.5",
    "'x'",
    "true",
    "=",
    "(",
    "import os",
    "\n",
]


@given(st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        where = Where.read(text)
    except UsageError as error:
        assert error.message.endswith(".")
    else:
        assert Where.read(str(where)) == where


@given(st.lists(st.none() | st.integers(0, 9), min_size=1), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
def test_rows_are_those_for_which_python_says_so(values: list[int | None], sign: str) -> None:
    found = Where.read(f"a {sign} 5").rows(pd.DataFrame({"a": values}, dtype="Int64"))

    by_hand = {
        "==": lambda v: v == 5, "!=": lambda v: v != 5, "<": lambda v: v < 5,
        "<=": lambda v: v <= 5, ">": lambda v: v > 5, ">=": lambda v: v >= 5,
    }  # fmt: skip
    assert found.tolist() == [value is not None and by_hand[sign](value) for value in values]
