"""Rows drawn from a stream: no more than so many, evenly, and the same ones every time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.monitoring.drawn import Drawn, numbers_of_rows
from nbprod.monitoring.facts import Window
from nbprod.monitoring.windows import Gathered, seen
from tests.monitoring.made import NOW, plan, rows, said


def drawn(numbers: np.ndarray, sizes: list[int], *, limit: int) -> Drawn:
    made, place = Drawn(limit=limit), 0
    for size in [*sizes, len(numbers)]:
        part = pa.table({"n": numbers[place : place + size]})
        made.add(part, numbers_of_rows(place, part.num_rows))
        place += part.num_rows
    return made


@settings(deadline=None)
@given(count=st.integers(0, 500), sizes=st.lists(st.integers(0, 90), max_size=8), limit=st.integers(1, 200))
def test_no_more_than_the_limit_stay_in_their_order_and_whoever_cuts_the_stream(
    count: int, sizes: list[int], limit: int
) -> None:
    numbers = np.arange(count)
    made = drawn(numbers, sizes, limit=limit)
    stayed = made.table()["n"].to_pylist()
    assert made.seen == count
    assert len(stayed) == made.kept == min(count, limit)
    assert stayed == sorted(stayed)
    assert stayed == drawn(numbers, [], limit=limit).table()["n"].to_pylist()


def test_a_regularity_of_the_rows_does_not_decide_who_stays() -> None:
    made = drawn(np.arange(100_000) % 2, [30_000], limit=10_000)
    stayed = made.table()["n"].to_numpy()
    assert len(stayed) == 10_000
    assert stayed.mean() == pytest.approx(0.5, abs=0.02)


@settings(deadline=None)
@given(count=st.integers(0, 300), cuts=st.lists(st.integers(0, 300), max_size=4), limit=st.integers(1, 200))
def test_parts_that_are_joined_are_the_stream_that_was_not_cut(count: int, cuts: list[int], limit: int) -> None:
    numbers = np.arange(count)
    joined, ends = Drawn(limit=limit), sorted(min(cut, count) for cut in cuts)
    for begin, end in zip([0, *ends], [*ends, count], strict=True):
        part = Drawn(limit=limit)
        part.add(pa.table({"n": numbers[begin:end]}), numbers_of_rows(begin, end - begin))
        joined.join(part)
    whole = drawn(numbers, [], limit=limit)
    assert joined.table().equals(whole.table())
    assert (joined.seen, joined.whole) == (whole.seen, whole.whole)


def large(limit: int) -> Window:
    """A window of 8,000 rows, of which one in ten has a label."""
    made = Gathered(key="k", label="k", start=NOW, end=NOW, profile=plan().reference.empty())
    made.every.limit = made.known.limit = limit
    for seed in range(4):
        table = rows(2000, seed=seed)
        truth = pa.array([value if n % 10 == 0 else None for n, value in enumerate(table["truth"].to_pylist())])
        made.add(said(table.set_column(table.column_names.index("truth"), "truth", truth)), plan())
    return seen(made, plan())


def test_a_large_window_is_counted_whole_and_measured_on_rows_drawn_from_it() -> None:
    whole, part = large(100_000), large(1000)
    assert (whole.rows, whole.labelled, part.rows, part.labelled) == (8000, 800, 8000, 800)
    assert part.drift == whole.drift
    assert whole.metrics["roc_auc"].rows == part.metrics["roc_auc"].rows == 800  # few labels all stay
    assert part.estimates["roc_auc"] == pytest.approx(whole.estimates["roc_auc"], abs=0.03)
    every, some = (sum(group.rows for group in w.groups["sex"]["selection_rate"]) for w in (whole, part))
    assert every == 8000
    assert some == 1000
