"""Values from Arrow to NumPy and back: the same ones, and nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.monitoring.arrays import dictionary, only, plain

KINDS = [pa.int8(), pa.uint16(), pa.int64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(parts=st.lists(st.lists(st.none() | st.integers(0, 1), max_size=6), max_size=3), skip=st.integers(0, 3))
def test_values_are_those_of_arrow_in_parts_cut_and_with_missing_ones(kind: Any, parts: Any, skip: int) -> None:
    values = pa.chunked_array([pa.array(part, pa.int64()).cast(kind) for part in parts], kind).slice(skip)
    found, expected = plain(values), values.to_pylist()
    assert len(found) == len(expected)
    for one, other in zip(found.tolist(), expected, strict=True):
        assert one == other or (other is None and (one is None or one != one))


@given(st.lists(st.none() | st.sampled_from("abc")))
def test_codes_have_one_for_what_is_missing(values: list[str | None]) -> None:
    for column in (pa.chunked_array([pa.array(values, pa.string())]), pa.array(values, pa.string())):
        for form in (column, column.dictionary_encode()):
            made = dictionary(form)
            assert made.indices.null_count == 0
            assert made.to_pylist() == values


@pytest.mark.parametrize("count", [0, 3])
def test_codes_of_a_column_without_a_type_are_all_of_what_is_missing(count: int) -> None:
    for column in (
        pa.chunked_array([pa.nulls(count)]),
        pa.chunked_array([], pa.null()),
        pa.chunked_array([], pa.int64()),
    ):
        assert dictionary(column).to_pylist() == [None] * len(column)


@given(st.lists(st.booleans()))
def test_only_those_stay(stay: list[bool]) -> None:
    rows = pa.table({"n": list(range(len(stay)))})
    assert only(rows, np.array(stay, bool))["n"].to_pylist() == [n for n, one in enumerate(stay) if one]


def test_counting_a_column_does_not_import_pandas() -> None:
    code = """
import sys
import numpy, pyarrow as pa
from nbprod.monitoring.columns import Column, Grid, counted
numbers = pa.Array.from_buffers(pa.float64(), 3, [None, pa.py_buffer(numpy.array([0.1, 0.2, 0.9]))])
grid = Grid(low=0.0, high=1.0, cells=2, starts=(0, 1))
assert counted(pa.chunked_array([numbers]), Column(kind="number", grid=grid, counts=(0, 0))).counts == (2, 1)
codes = pa.Array.from_buffers(pa.int64(), 3, [None, pa.py_buffer(numpy.array([1, 2, 1]))])
assert counted(pa.chunked_array([codes]), Column(kind="category", values=("1", "2"), counts=(0, 0))).counts == (2, 1)
print(*{"pandas", "scipy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
