"""What annotations mean for plain values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.pipeline.types import fits, is_plain, parse_type, type_of

INT, FLOAT = "int", "float"

FITTING: list[tuple[str, Any]] = [
    ("int", 3), ("float", 3), ("float", 0.5), ("float", math.nan), ("str", "a"), ("bool", True), ("None", None),
    ("'int'", 3), ("int | None", None), ("None | str", "a"), ("Optional[int]", None), ("typing.Optional[int]", 3),
    ("Union[int, str]", "a"), ("t.Union[int, str]", 3), ("Literal['a', 'b']", "a"), ("Literal[-1, 1]", -1),
    ("Literal[None, 'a']", None), ("Literal['a'] | None", None), ("list", [1, "a"]), ("list[int]", [1, 2]),
    ("List[list[int]]", [[1], [2, 3]]), ("tuple[int, str]", [1, "a"]), ("tuple[int, ...]", [1, 2]), ("set[str]", ["a"]),
    ("dict", {"a": 1}), ("dict[str, float]", {"a": 1, "b": 0.5}), ("dict[str, list[int]]", {"a": [1]}),
    ("Mapping[str, int | None]", {"a": None}), ("Annotated[int, 'years']", 3), ("Final[int]", 3), ("Path", "a/b"),
    ("pathlib.Path", "a/b"), ("os.PathLike[str]", "a/b"), ("datetime.date", "2015-01-01"), ("Any", [1]), ("",
    {"a": [1]}),
    ("Color", "red"), ("Literal[Color.RED]", "red"), ("not python at all", 3),
]  # fmt: skip

NOT_FITTING: list[tuple[str, Any]] = [
    ("int", True), ("int", 1.0), ("int", "1"), ("int", None), ("float", True), ("float", "1e-3"), ("float", 10**400),
    ("str", 1), ("str", None), ("bool", 1), ("bool", "true"), ("None", 0), ("int | None", "a"), ("Literal['a']", "b"),
    ("Literal[1]", True), ("Literal[True]", 1), ("Literal[1]", 1.0), ("list[int]", ["a"]), ("list[int]", [True]),
    ("list", {"a": 1}), ("list", "ab"), ("dict", []), ("dict[str, float]", {"a": "b"}), ("dict[int, int]", {1: 2}),
    ("", {1: 2}), ("", object()), ("Path", 3), ("Annotated[int, 'years']", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value"), FITTING)
def test_a_value_of_the_type_fits(annotation: str, value: Any) -> None:
    assert fits(value, parse_type(annotation))[0]


@pytest.mark.parametrize(("annotation", "value"), NOT_FITTING)
def test_a_value_of_another_type_does_not_fit(annotation: str, value: Any) -> None:
    assert not fits(value, parse_type(annotation))[0]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [("float", 3, FLOAT), ("int | float", 3, INT), ("float | int", 3, INT), ("float | None", 3, FLOAT), ("", 3, INT)],
)
def test_an_int_becomes_a_float_only_where_a_float_is_asked_for(annotation: str, value: int, expected: str) -> None:
    assert type_of(fits(value, parse_type(annotation))[1]) == expected


def test_numbers_within_lists_and_dicts_become_floats_too() -> None:
    converted = fits({"a": [1, 2]}, parse_type("dict[str, list[float]]"))[1]
    assert [type_of(item) for item in converted["a"]] == ["float", "float"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_without_a_type_every_plain_value_is_taken_as_it_is(value: Any) -> None:
    assert is_plain(value)
    assert fits(value, parse_type("")) == (True, value)


@given(plain, st.sampled_from(["int", "float", "str", "bool", "list[int]", "dict[str, float]", "int | str | None"]))
def test_conversion_never_changes_what_a_value_equals(value: Any, annotation: str) -> None:
    ok, converted = fits(value, parse_type(annotation))
    if ok and abs(value if isinstance(value, int) else 0) < 2**53:
        assert converted == value
    assert fits(converted, parse_type(annotation))[0] == ok
