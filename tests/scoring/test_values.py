"""Columns of files are held to the same rules as requests."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbprod.scoring.values import Values, arrow_type, checked, may_hold
from nbprod.serving.cells import cell
from nbprod.serving.signature import NUMBERS, SCALARS, Column
from nbprod.serving.types import column_type

JUNK = st.text(st.sampled_from("0123456789+-.eExX_ naifNItrue\u0661"), max_size=12)
NUMBER = st.one_of(st.integers().map(str), st.floats().map(str), st.sampled_from(["1.", ".5", "+7", "--5", "1e999"]))


def column(kind: str, *, required: bool = True, **detail: Any) -> Column:
    return Column(name="x", type=kind, required=required, detail=detail)


def told(found: Values) -> list[bool]:
    count = len(found.values)
    bad = np.zeros(count, bool) if found.bad is None else found.bad
    missing = np.zeros(count, bool) if found.missing is None else found.missing
    assert not (bad & missing).any()
    return [bool(value) for value in bad | missing]


def plain(values: Any) -> list[Any]:
    return values if isinstance(values, list) else list(values.to_pylist())


@given(st.sampled_from(SCALARS), st.booleans(), st.lists(st.one_of(NUMBER, JUNK, st.just("")), max_size=30))
@example("binary", True, [""])
def test_cells_of_csv_are_what_the_service_reads(kind: str, required: bool, texts: list[str]) -> None:
    own = column(kind, required=required)
    found = checked(own, pa.chunked_array([texts], pa.string()), csv=True)
    expected: list[Any] = []
    for text in texts:
        try:
            expected.append((cell(own, text), False))
        except ValueError:
            expected.append((None, True))
    assert told(found) == [wrong for _, wrong in expected]
    values = [np.float32(value) if kind == "float" and value is not None else value for value, _ in expected]
    assert plain(found.values) == values
    assert found.values.type == arrow_type(kind)


@pytest.mark.parametrize(("required", "expected"), [(False, ["a", None]), (True, ["a", ""])])
def test_an_empty_cell_of_text_is_missing_where_it_may_be(required: bool, expected: list[Any]) -> None:
    own = column("string", required=required)
    found = checked(own, pa.chunked_array([["a", ""]], pa.string()), csv=True)
    assert (plain(found.values), told(found)) == (expected, [False, False])
    assert [cell(own, text) for text in ("a", "")] == expected


NUMPY = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")


@given(st.data())
def test_numbers_of_parquet_are_held_to_the_rules_of_json(data: st.DataObject) -> None:
    kind, dtype = data.draw(st.sampled_from(sorted(NUMBERS))), data.draw(st.sampled_from(NUMPY))
    required = data.draw(st.booleans())
    one: Any = st.floats(width=32 if dtype == "float32" else 64)
    if "int" in dtype:
        info = np.iinfo(dtype)
        one = st.integers(int(info.min), int(info.max))
    values = data.draw(st.lists(st.one_of(st.none(), one), max_size=20))
    array = pa.chunked_array([pa.array(values, pa.type_for_alias(dtype))])
    own = column(kind, required=required)
    if not may_hold(kind, array.type):
        assert "float" in dtype and kind in ("integer", "long")
        return
    found = checked(own, array, csv=False)
    for value, got, wrong in zip(array.to_pylist(), plain(found.values), told(found), strict=True):
        json = None if value is None or math.isnan(value) else value
        try:
            if json is not None and math.isinf(json):
                raise msgspec.ValidationError
            expected = msgspec.convert(json, column_type(own))
        except msgspec.ValidationError:
            assert wrong and got is None
        else:
            assert not wrong
            assert got == (np.float32(expected) if kind == "float" and expected is not None else expected)


@pytest.mark.parametrize(
    ("kind", "array", "values", "wrong"),
    [
        ("boolean", pa.array([True, None]), [True, None], [False, True]),
        ("string", pa.array(["a", ""]).dictionary_encode(), ["a", ""], [False, False]),
        ("string", pa.array(["a", None], pa.large_string()), ["a", None], [False, True]),
        ("string", pa.array(["a"], pa.string_view()), ["a"], [False]),
        ("binary", pa.array([b"a"]), [b"a"], [False]),
        ("binary", pa.array(["YQ==", "?"]), [b"a", None], [False, True]),
        ("datetime", pa.array([datetime(2020, 1, 2)]), [datetime(2020, 1, 2)], [False]),
        ("datetime", pa.array([0], pa.timestamp("ns", "Europe/Paris")), [datetime(1970, 1, 1)], [False]),
        ("datetime", pa.array([1], pa.date32()), [datetime(1970, 1, 2)], [False]),
        ("datetime", pa.array(["2020-01-02T01:00:00+01:00", "x", ""]), [datetime(2020, 1, 2), None, None],
         [False, True, True]),
        ("datetime", pa.array([datetime(9999, 12, 31), datetime(2020, 1, 2), None]), [None, datetime(2020, 1, 2), None],
         [True, False, True]),
        ("datetime", pa.array(["9999-12-31", "2262-04-10"]), [None, datetime(2262, 4, 10)], [True, False]),
        ("long", pa.array([7, 10**20], pa.decimal128(38, 0)), [7, None], [False, True]),
        ("double", pa.array([2**60]), [float(2**60)], [False]),
        ("double", pa.nulls(2), [None, None], [True, True]),
    ],
)  # fmt: skip
def test_each_type_is_read(kind: str, array: Any, values: list[Any], wrong: list[bool]) -> None:
    assert may_hold(kind, array.type)
    found = checked(column(kind), pa.chunked_array([array]), csv=False)
    assert plain(found.values) == values
    assert told(found) == wrong


@pytest.mark.parametrize(
    ("kind", "array"),
    [("double", pa.array(["1"])), ("double", pa.array([True])), ("long", pa.array([1.0])), ("boolean", pa.array([1])),
     ("string", pa.array([1])), ("datetime", pa.array([1])), ("long", pa.array([1], pa.decimal128(5, 2))),
     ("binary", pa.array([1]))],
)  # fmt: skip
def test_nothing_is_converted_silently(kind: str, array: Any) -> None:
    assert not may_hold(kind, array.type)


def test_nested_values_are_checked_one_by_one() -> None:
    own = column("array", items={"type": "double"})
    found = checked(own, pa.chunked_array([pa.array([[1.0, 2.0], None, []])]), csv=False)
    assert (found.values, told(found)) == ([[1.0, 2.0], None, []], [False, True, False])
    own = column("object", properties={"a": {"type": "long"}, "b": {"type": "string", "required": False}})
    found = checked(own, pa.chunked_array([pa.array([{"a": 1, "b": "x"}, {"a": None, "b": "y"}])]), csv=False)
    assert (found.values, told(found)) == ([{"a": 1, "b": "x"}, None], [False, True])
    own = column("map", values={"type": "long"})
    entries = pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))
    assert checked(own, pa.chunked_array([entries]), csv=False).values == [{"k": 1}]
