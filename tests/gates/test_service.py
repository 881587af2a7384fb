"""How long an answer may take, and how large a model may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import UsageError
from nbprod.gates.service import WARM, example_rows, judge_latency, latency, size, size_in_bytes, timed
from tests.gates.answering import Broken, Says
from tests.gates.made import contender


class Counts(Says):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    def predict(self, rows: pd.DataFrame) -> Any:
        """Nothing of interest."""
        self.asked.append(rows)
        return np.zeros(len(rows))


def clock(*milliseconds: float) -> Iterator[float]:
    """What a clock shows before and after each call."""
    now = 0.0
    for took in milliseconds:
        yield now
        now += took / 1000
        yield now


def test_calls_are_timed_by_the_clock_after_some_that_are_not() -> None:
    calls: list[int] = []
    shows = clock(3, 1, 2)
    took = timed(lambda: calls.append(1), calls=3, clock=lambda: next(shows))
    assert took == pytest.approx([0.003, 0.001, 0.002])
    assert len(calls) == WARM + 3


def test_99_in_100_calls_must_be_fast_enough() -> None:
    seconds = [0.001] * 198 + [0.002, 0.5]
    found = judge_latency(seconds, p99_ms=1, rows=1)
    assert (found.verdict, found.observed, found.required) == ("passed", 1, "at most 1 ms")
    assert found.details == {"p50_ms": 1, "p90_ms": 1, "slowest_ms": 500, "rows": 1, "calls": 200}
    assert found.reason == "99 in 100 of 200 calls with 1 row take 1 ms, at most 1 ms."
    slow = judge_latency([*seconds[2:], 0.003, 0.004], p99_ms=1.5, rows=10)
    assert slow.verdict == "failed"
    assert slow.reason == "99 in 100 of 200 calls with 10 rows take 3 ms, but must take at most 1.5 ms."


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300))
def test_the_p99_is_the_time_of_a_call_that_99_in_100_do_not_exceed(seconds: list[float]) -> None:
    found: Any = judge_latency(seconds, p99_ms=5, rows=1).observed
    within = [value for value in seconds if 1000 * value <= found]
    below = [value for value in seconds if 1000 * value < found]
    assert len(within) >= 0.99 * len(seconds) > len(below)
    assert found in [1000 * value for value in seconds]


def test_the_model_is_asked_about_its_example() -> None:
    model = Counts()
    found = latency(contender(model=model), None, p99_ms=60_000, rows=6, calls=5)
    assert found.verdict == "passed"
    assert len(model.asked) == WARM + 5
    assert model.asked[0]["age"].tolist() == [25, 35, 45, 55, 25, 35]
    assert model.asked[0]["sex"].tolist() == ["f", "m", "f", "m", "f", "m"]


def test_a_model_that_raises_fails() -> None:
    found = latency(contender(model=Broken(0, 1)), None, p99_ms=60_000)
    assert found.verdict == "failed"
    assert found.reason == "churn/1 fails on its own example (ValueError: Input X contains NaN)."


@pytest.mark.parametrize("options", [{"rows": 0}, {"calls": 0}], ids=str)
def test_counts_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(UsageError, match="of the gate latency must be 1 or more, not 0"):
        latency(contender(model=Counts()), None, p99_ms=1, **options)


def with_example(example: Any, *inputs: Any) -> Any:
    columns = [{"name": name, "type": kind, "required": True} for name, kind in inputs]
    one = contender({"model": {"signature": {"inputs": columns or None}}}, model=Counts())
    one.entry["model"]["example"] = example
    return one


def test_an_example_has_the_types_of_the_signature() -> None:
    example: dict[str, list[Any]] = {
        "columns": ["n", "x", "day", "yes", "name", "gap"],
        "data": [[1, 2, "2015-01-31T00:00:00", True, "a", None], [2, None, "2016-01-31T00:00:00", False, "b", 3]],
    }
    kinds = zip(example["columns"], ["integer", "double", "datetime", "boolean", "string", "long"], strict=True)
    rows = example_rows(with_example(example, *kinds), 2)
    assert [dtype.kind for dtype in rows.dtypes] == ["i", "f", "M", "b", rows["name"].dtype.kind, "f"]
    assert rows["name"].tolist() == ["a", "b"]
    assert rows.isna().sum().tolist() == [0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("example", [[[1, 2], [3, 4]], {"inputs": [[1, 2], [3, 4]]}], ids=["list", "inputs"])
def test_an_example_can_be_an_array(example: Any) -> None:
    assert example_rows(with_example(example), 3).tolist() == [[1, 2], [3, 4], [1, 2]]


@pytest.mark.parametrize("example", [None, [], {"columns": ["a"], "data": []}, "text", {"a": 1}], ids=repr)
def test_without_an_example_nothing_can_be_timed(example: Any) -> None:
    with pytest.raises(UsageError, match=r"churn/1 has no example that is a table or an array"):
        latency(with_example(example), None, p99_ms=1)


def test_a_model_that_is_small_enough_passes() -> None:
    one = contender(files={"MLmodel": b"x" * 600_000, "model.skops": b"x" * 600_000})
    found = size(one, None, at_most="1.2MB")
    assert (found.verdict, found.observed, found.required) == ("passed", 1_200_000, "at most 1,200,000")
    assert found.reason == "the model has 1,200,000 bytes, at most 1,200,000."
    assert size(one, None).required == "at most 50,000,000"
    large = size(one, None, at_most=1_199_999)
    assert large.verdict == "failed"
    assert large.reason == "the model has 1,200,000 bytes, but must have at most 1,199,999."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("50MB", 50_000_000),
        ("1.5 GB", 1_500_000_000),
        ("1.5GiB", 1_610_612_736),
        ("300 kb", 300_000),
        (" 7 ", 7),
        ("7 B", 7),
        (".5MB", 500_000),
        (7, 7),
        (0, 0),
    ],
    ids=repr,
)
def test_sizes_are_read(text: Any, found: int) -> None:
    assert size_in_bytes(text) == found


@pytest.mark.parametrize("text", ["", "MB", "-1", -1, "1,5GB", "1e3", "50 M B", "50MX", "nan", "٣MB"], ids=repr)
def test_what_is_no_size_is_refused(text: Any) -> None:
    with pytest.raises(UsageError, match=r"is no size|no unit of size"):
        size_in_bytes(text)


@given(st.integers(0, 10**18), st.sampled_from(["", "B"]), st.sampled_from(["", " "]))
def test_bytes_are_taken_as_they_are(count: int, unit: str, space: str) -> None:
    assert size_in_bytes(f"{count}{space}{unit}") == count


@given(st.text())
def test_any_text_is_a_size_or_is_refused_in_one_sentence(text: str) -> None:
    try:
        assert size_in_bytes(text) >= 0
    except UsageError as error:
        assert text in error.message
