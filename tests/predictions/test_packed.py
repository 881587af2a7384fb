"""Inputs that are packed numbers are read as the same rows that JSON would give."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.predictions.journal import records
from nbprod.predictions.packed import MARK, head, kind_of, numbers, unpacked
from nbprod.predictions.rows import table_of
from nbprod.predictions.segments import segments_in
from tests.predictions.made import journal, record

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True)


def packed(names: list[str], matrix: np.ndarray[Any, Any]) -> bytes:
    return head(names, kind_of(matrix)) + bytes(numbers(matrix))


@given(NAMES, st.data())
def test_what_was_packed_is_read_as_it_was(names: list[str], data: st.DataObject) -> None:
    cell = data.draw(st.sampled_from([st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)]))
    row = st.lists(cell, min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    matrix = np.array(rows, dtype="float64" if isinstance(rows[0][0], float) else "int64")
    assert unpacked(packed(names, matrix)) == (names, rows)


def test_a_table_of_it_is_that_of_the_json() -> None:
    rows = [[1.5, 2.0], [-0.25, 1e300]]
    said = json.dumps({"columns": ["a", "b"], "rows": rows}).encode()
    plain = replace(record("r", rows=rows), inputs=said, outputs=b"[1,0]")
    dense = replace(plain, inputs=packed(["a", "b"], np.array(rows)))
    assert table_of([dense]).equals(table_of([plain]))
    assert table_of([dense, plain]).column("a").to_pylist() == [1.5, -0.25] * 2


def test_what_is_no_number_is_missing() -> None:
    names, rows = unpacked(packed(["a"], np.array([[math.nan], [1.0]])))
    assert (names, rows) == (["a"], [[None], [1.0]])


@pytest.mark.parametrize(
    "damage", [b"", b"\x01", b"\x01d\xff\xff\xff\xff", b"\x01x\x02\x00\x00\x00[]", b"\x01d\x02\x00\x00\x00[]12345678"]
)
def test_damage_is_no_inputs_and_the_predictions_stay(damage: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(damage or MARK)
    table = table_of([replace(record("r", rows=[[1], [2]]), inputs=damage, outputs=b"[1,0]")])
    assert table.column("prediction").to_pylist() == [1, 0]
    assert "a" not in table.column_names


def test_only_numbers_of_64_bits_in_a_table_are_packed() -> None:
    assert kind_of(np.zeros((1, 2))) == b"d"
    assert kind_of(np.zeros((1, 2), dtype="int64")) == b"q"
    assert kind_of(np.zeros((1, 2), dtype="float32")) == kind_of(np.zeros(2)) == b""


@pytest.mark.parametrize("requests", [1, 3, 600])  # the operating system takes 1,024 parts at once
def test_numbers_that_are_written_from_their_own_memory_are_read_with_the_inputs(tmp_path: Path, requests: int) -> None:
    matrix = np.arange(10_000, dtype="float64").reshape(-1, 2)
    names = head(["a", "b"], b"d")
    log = journal(tmp_path)
    made = [replace(record(log.next_id()), inputs=names, numbers=numbers(matrix)) for _ in range(requests)]
    log.write([record(log.next_id()), *made])
    log.close()
    (path,) = segments_in(tmp_path)
    (_, *found) = records(path.read_bytes())
    assert found == [replace(item, inputs=names + matrix.tobytes(), numbers=b"") for item in made]
