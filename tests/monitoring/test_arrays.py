"""Values from Arrow to NumPy and back: the same ones, and nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.monitoring.arrays import dictionary, only, parquet, plain

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
    plainly = pa.array(values, pa.string())
    parts = pa.chunked_array([plainly[:2].dictionary_encode(), plainly[2:].dictionary_encode()])
    for column in (pa.chunked_array([plainly]), plainly, parts):
        for form in (column, column.dictionary_encode(), column.dictionary_encode("encode")):
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


def test_parquet_is_read_in_its_order_with_the_codes_of_its_texts(tmp_path: Path) -> None:
    rows = pa.table({"n": range(300_000), "s": ["a", None, "b"] * 100_000, "other": ["x"] * 300_000})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=70_000)
    made = list(parquet(tmp_path / "rows.parquet", lambda name: name != "other", texts={"s", "n"}))
    assert len(made) > 1
    assert [str(kind) for kind in made[0].schema.types] == ["int64", str(pa.dictionary(pa.int32(), pa.string()))]
    for name in ("n", "s"):
        assert [value for part in made for value in part[name].to_pylist()] == rows[name].to_pylist()
    (some,) = parquet(tmp_path / "rows.parquet", lambda name: name == "n", groups=range(1, 2))
    assert some["n"].to_pylist() == list(range(70_000, 140_000))


def test_parquet_that_nobody_reads_to_its_end_is_left_and_a_damaged_one_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": np.random.default_rng(0).normal(size=300_000)}), path, row_group_size=100_000)
    begun: Any = parquet(path, lambda name: True)
    next(begun)
    begun.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:1_000_000] + b"\0" * 400_000 + whole[1_400_000:])
    with pytest.raises(OSError, match=r"\w"):
        list(parquet(path, lambda name: True))


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
