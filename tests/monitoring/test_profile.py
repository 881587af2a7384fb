"""Profiles: counts that add up, tell nothing about one row, and are read back."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import ArtifactError
from nbprod.monitoring.columns import LEAST, Column, Grid, binned, counted
from nbprod.monitoring.profile import (
    Profile,
    file_profile,
    merge,
    profile_of,
    read_profile,
    reference_of,
    write_profile,
)
from nbprod.monitoring.suppressing import suppressed

CHANCE = np.random.default_rng(7)
REFERENCE = pa.table({
    "age": CHANCE.integers(16, 95, 3000),
    "income": CHANCE.lognormal(10, 2, 3000),
    "sex": CHANCE.integers(1, 3, 3000),
    "state": CHANCE.choice(["MA", "NY", "CA"], 3000, p=[0.7, 0.298, 0.002]),
    "free": [f"text {i}" for i in range(3000)],
})  # fmt: skip
NAMES = REFERENCE.column_names


def reference() -> Profile:
    return reference_of([REFERENCE], NAMES, dataset="train")


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-5, 200)),
        st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=64)),
        st.one_of(st.none(), st.integers(0, 4)),
        st.one_of(st.none(), st.sampled_from(["MA", "NY", "CA", "ZZ", ""])),
    ),
    max_size=40,
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * 4
    types = (pa.int64(), pa.float64(), pa.int64(), pa.string())
    return pa.table({n: pa.array(v, t) for n, v, t in zip(NAMES, columns, types, strict=False)})


KNOWN = reference()


@settings(deadline=None)
@given(one=ROWS, other=ROWS)
def test_the_profile_of_two_parts_is_that_of_the_whole(one: list[Any], other: list[Any]) -> None:
    parts = merge(profile_of(table(one), KNOWN), profile_of(table(other), KNOWN))
    whole = profile_of(table(one + other), KNOWN)
    assert parts == whole
    for column in whole.columns.values():
        assert column.missing + column.strange + column.outside + sum(column.counts) == column.rows


@settings(deadline=None)
@given(parts=st.lists(ROWS, min_size=3, max_size=3))
def test_it_does_not_matter_who_is_added_first(parts: list[list[Any]]) -> None:
    a, b, c = (profile_of(table(rows), KNOWN) for rows in parts)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, b).columns == merge(b, a).columns


def test_no_count_of_few_rows_is_told() -> None:
    text = write_profile(KNOWN).decode()
    assert '"CA"' not in text and "text 1" not in text
    for column in KNOWN.columns.values():
        assert all(count == 0 or count >= LEAST for count in (*column.counts, column.missing, column.other))
    age = KNOWN.columns["age"].grid
    assert age is not None
    beyond = np.sort(REFERENCE["age"].to_numpy())
    assert age.low == beyond[LEAST - 1]


def test_a_profile_holds_no_value_that_a_single_row_has() -> None:
    """Also not as the end of a range: numbers of money or of measurement tell people apart."""
    chance = np.random.default_rng(3)
    table = pa.table({
        "income": chance.lognormal(10, 2, 4000), "weight": chance.normal(70, 10, 4000),
        "account": chance.integers(10**9, 10**10, 4000), "name": [f"person {n}" for n in range(4000)],
        "moment": pa.array(chance.integers(1_500_000_000, 1_600_000_000, 4000), pa.timestamp("s")),
    })  # fmt: skip
    text = write_profile(reference_of([table], table.column_names, dataset="train")).decode()
    told = set(re.findall(r"[-\w.+]+", text))
    for name in ("income", "weight", "account"):
        assert not told & {str(value) for value in table[name].to_pylist()}, name
    assert not told & {str(moment.timestamp()) for moment in table["moment"].to_pylist()}
    assert "person" not in text


@settings(deadline=None)
@given(rows=ROWS)
def test_whatever_is_suppressed_tells_no_small_count_and_adds_up(rows: list[Any]) -> None:
    for column in profile_of(table(rows), KNOWN).columns.values():
        shown = suppressed(column)
        told = (*shown.counts, shown.missing, shown.strange, shown.other)
        assert all(count == 0 or count >= LEAST for count in told)
        if shown.kind != "other":
            assert sum(told) == shown.rows
        assert shown.grid is None or len(shown.counts) == len(shown.grid.starts)


def test_a_last_bin_of_few_rows_joins_the_one_before_it() -> None:
    grid = Grid(low=0.0, high=4.0, cells=4, starts=(0, 1, 2, 3))
    column = Column(kind="number", rows=65, counts=(20, 20, 20, 5), grid=grid)
    shown = suppressed(column)
    assert shown.counts == (20, 20, 25)
    assert shown.grid is not None and shown.grid.starts == (0, 1, 2)
    assert suppressed(
        Column(kind="number", rows=15, counts=(12, 3), grid=Grid(low=0, high=2, cells=2, starts=(0, 1)))
    ).counts == (15,)


def test_kinds_are_those_a_person_would_say() -> None:
    assert {name: column.kind for name, column in KNOWN.columns.items()} == {
        "age": "number", "income": "number", "sex": "category", "state": "category", "free": "other",
    }  # fmt: skip


def test_a_long_tail_is_cut_into_as_many_bins_as_anything_else() -> None:
    income = KNOWN.columns["income"]
    assert income.grid is not None
    assert len(income.counts) > 15
    assert income.quantile(0.5) == pytest.approx(float(np.median(REFERENCE["income"].to_numpy())), rel=0.2)
    assert math.isnan(income.empty().quantile(0.5))


def test_what_is_written_is_read_back() -> None:
    assert read_profile(write_profile(KNOWN), file="profile.json") == KNOWN


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "nbprod/profile/1", "columns": 3}'])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        read_profile(text.encode(), file="profile.json")


def test_a_profile_of_another_schema_asks_for_an_upgrade() -> None:
    data = json.dumps({**KNOWN.to_dict(), "schema": "nbprod/profile/9"}).encode()
    with pytest.raises(ArtifactError, match=r"schema 'nbprod/profile/9'.*upgrade nbprod"):
        read_profile(data, file="profile.json")


OLD = '{"schema":"nbprod/profile/1","dataset":"train","rows":40,"outside":0,"repeated":null,"columns":{"x":{"kind":"number","type":"double","rows":40,"missing":0,"strange":0,"below":0,"above":0,"other":0,"counts":[20,20],"values":[],"grid":{"low":0.0,"high":1.0,"cells":4096,"starts":[0,2048],"scale":"linear","unit":1.0}}},"answers":{},"performance":null}'  # noqa: E501


def test_the_first_schema_stays_readable() -> None:
    assert read_profile(OLD.encode(), file="old").columns["x"].quantile(0.5) == pytest.approx(0.5)


def test_numbers_that_come_as_other_types_are_the_same_numbers() -> None:
    sex = KNOWN.columns["sex"]
    for values in ([1, 2, 2, None], [1.0, 2.0, 2.0, float("nan")], ["1", "2", "2", None]):
        found = counted(pa.chunked_array([pa.array(values)]), sex)
        assert (sum(found.counts), found.missing, found.other) == (3, 1, 0), values


def test_text_among_numbers_is_strange() -> None:
    found = counted(pa.chunked_array([pa.array(["a", None, "b"])]), KNOWN.columns["income"])
    assert (found.strange, found.missing) == (2, 1)


def test_a_column_without_values_has_no_bins_but_is_counted() -> None:
    empty = pa.chunked_array([pa.array([None] * 50, pa.float64())])
    found = suppressed(counted(empty, binned(empty)))
    assert (found.kind, found.rows, found.missing) == ("other", 50, 50)


def test_times_are_numbers() -> None:
    days = pa.chunked_array([pa.array([i * 86_400_000_000 for i in range(100)], pa.timestamp("us"))])
    found = counted(days, binned(days))
    assert found.kind == "number"
    assert found.known == 100


def test_files_count_the_same(tmp_path: Path) -> None:
    pq.write_table(REFERENCE, tmp_path / "rows.parquet", row_group_size=700)
    expected = profile_of(REFERENCE, KNOWN)
    assert file_profile(tmp_path / "rows.parquet", KNOWN).columns == expected.columns
