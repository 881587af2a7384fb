"""Typed decoding, and that the fast readers read what the slow ones do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import DeployError
from nbprod.serving.decode import Decoder
from nbprod.serving.frames import Shaper
from nbprod.serving.limits import Limits
from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Column, Signature, read_signature
from nbprod.serving.wide import LEAST

NAMES = ["a", "b", "c"]


def decoder(kind: str = "double", *, required: bool = True) -> Decoder:
    return Decoder(
        Signature(columns=tuple(Column(name=name, type=kind, required=required, detail={}) for name in NAMES)), Limits()
    )


def table(rows: Any) -> bytes:
    return json.dumps({"columns": NAMES, "rows": rows}).encode()


def long_rows(cell: str = "0.125", count: int = 1000) -> bytes:
    row = f"[1.5,{cell},-2e3]"
    return ('{"columns":["a","b","c"],"rows":[' + ",".join([row] * count) + "]}").encode()


def test_large_tables_become_arrays_without_objects() -> None:
    body = long_rows()
    assert len(body) > LEAST
    asked = decoder().predict(body)
    assert asked.matrix is not None and asked.matrix.shape == (1000, 3)
    assert asked.matrix[999].tolist() == [1.5, 0.125, -2000]
    assert asked.raw == b""  # the log has the numbers instead


@pytest.mark.parametrize("cell", ['"0.1"', "true", "null", "[1]", "{}", "NaN", "1e999", "0.1,2", "[]", '"]"'])
@pytest.mark.parametrize("at", [0, 500, 999])
def test_large_tables_are_as_strict_as_small_ones(cell: str, at: int) -> None:
    row, wrong = "[1.5,0.125,-2e3]", f"[1.5,{cell},-2e3]"
    rows = [row] * 1000
    rows[at] = wrong
    body = ('{"columns":["a","b","c"],"rows":[' + ",".join(rows) + "]}").encode()
    with pytest.raises(Refused):
        decoder().predict(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a":1.0,"b":2.0,"c":3.0}', "there is no key 'a' at $"),
        (b'[{"a":1.0,"b":2.0,"c":3.0}]', "expected object at $"),
    ],
)
def test_bare_rows_are_refused_with_the_forms_that_are_taken(body: bytes, said: str) -> None:
    with pytest.raises(Refused) as caught:
        decoder().predict(body)
    assert caught.value.message == f'{said}: send {{"records": [{{...}}]}} or {{"columns": [...], "rows": [[...]]}}.'


def test_nested_lists_that_even_out_are_found() -> None:
    rows = ["[1.5,0.125,-2e3]"] * 1000
    rows[3], rows[4] = "[1,[2],3]", "[1,[[2]],3]"
    with pytest.raises(Refused):
        decoder().predict(('{"columns":["a","b","c"],"rows":[' + ",".join(rows) + "]}").encode())


@pytest.mark.parametrize("kind", ["long", "integer"])
def test_large_tables_of_whole_numbers_stay_whole(kind: str) -> None:
    big = 2**53 + 1 if kind == "long" else 2**31 - 1
    asked = decoder(kind).predict(table([[1, 2, big]] * 2000))
    assert asked.matrix is not None and asked.matrix[0].tolist() == [1, 2, big]
    for wrong in (1.5, 2**31 if kind == "integer" else 2**63):
        with pytest.raises(Refused):
            decoder(kind).predict(table([[1, 2, wrong]] * 2000))


def test_numbers_of_32_bits_must_fit() -> None:
    with pytest.raises(Refused):
        decoder("float").predict(table([[1.0, 2.0, 1e39]] * 2000))
    with pytest.raises(Refused):
        decoder("float").predict(table([[1.0, 2.0, 1e39]]))


def test_missing_values_are_none_where_they_may_be() -> None:
    own = decoder(required=False)
    assert own.predict(b'{"records":[{"a":1},{"b":null,"c":2}]}').rows == [(1.0, None, None), (None, None, 2.0)]
    assert own.predict(b'{"columns":["c"],"rows":[[1]]}').rows == [(None, None, 1.0)]
    with pytest.raises(Refused, match="same key twice"):
        own.predict(b'{"records":[{"a":1,"a":2}]}')


def test_dates_are_read_and_others_refused_with_their_place() -> None:
    own = decoder("datetime", required=False)
    (row,) = own.predict(b'{"records":[{"a":"2026-01-31","b":"2026-01-31T12:00:00+02:00"}]}').rows
    assert [str(value) for value in row] == ["2026-01-31 00:00:00", "2026-01-31 10:00:00", "None"]
    with pytest.raises(Refused) as caught:
        own.predict(b'{"records":[{"a":"yesterday"}]}')
    assert caught.value.path == "$.records[0].a"
    assert "yesterday" not in caught.value.message


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "0001-01-01T00:00:00+02:00", "2262-04-11"])
def test_dates_that_a_table_would_turn_into_others_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="from 1677-09-22 to 2262-04-10"):
        decoder("datetime", required=False).predict(f'{{"records":[{{"a":"{text}"}}]}}'.encode())


@pytest.mark.parametrize("text", ["1677-09-22", "2262-04-10T23:59:59.999999"])
def test_dates_at_the_ends_of_the_range_reach_the_model_as_they_are(text: str) -> None:
    own = decoder("datetime", required=False)
    rows = own.predict(f'{{"records":[{{"a":"{text}"}}]}}'.encode()).rows
    assert Shaper(own.signature).frame(rows)["a"][0] == pd.Timestamp(text)


cells = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5))
def test_both_readers_read_the_same_numbers(rows: list[tuple[float, float, float]]) -> None:
    small, large = table(rows), table(rows * 400)
    slow = np.array(decoder().predict(small).rows, dtype=float)
    fast = decoder().predict(large)
    found = fast.matrix if fast.matrix is not None else np.array(fast.rows, dtype=float)
    assert np.array_equal(found[: len(rows)], slow)


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        [{"type": "double", "name": "a"}, {"type": "double"}],
        [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [3, 2]}}],
        [{"type": "tensor", "name": n, "tensor-spec": {"dtype": "float64", "shape": [-1]}} for n in "ab"],
        [{"type": "strange", "name": "a"}],
    ],
)
def test_signatures_that_cannot_be_served_are_refused(inputs: Any) -> None:
    with pytest.raises(DeployError):
        read_signature({"name": "toy", "model": {"signature": {"inputs": inputs}}})
