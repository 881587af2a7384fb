"""Reading: segments and Parquet give the same rows, and an id leads to its record."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.predictions.journal import Record, encode
from nbprod.predictions.places import Place
from nbprod.predictions.reading import SLACK, exists, find, parse_id, read, read_table
from nbprod.predictions.roller import roll
from nbprod.predictions.rows import array_of, table_of, united
from nbprod.predictions.segments import segments_in
from tests.predictions.made import NOON, journal, record, written

DAY = 86400.0
MANY: tuple[dict[str, Any], ...] = (
    {},
    {"rows": [(2, 0.25), (3, None)], "version": "8"},
    {"role": "shadow", "time": NOON + DAY},
    {"rows": [(4, 1)], "time": NOON + 2 * DAY, "key": ""},
)


def rows(folder: Any, **options: Any) -> list[dict[str, Any]]:
    return sorted(read_table(folder, **options).to_pylist(), key=lambda row: (row["request"], row["row"]))


@pytest.fixture(params=["segments", "parquet", "both"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A log that is not yet rolled, is rolled, or is rolled and whose segment is still there."""
    written(tmp_path, *MANY)
    kept = {path: path.read_bytes() for path in segments_in(tmp_path)}
    if request.param != "segments":
        roll(tmp_path)
    if request.param == "both":
        for path, data in kept.items():
            path.write_bytes(data)
    return tmp_path


def test_there_is_a_row_for_each_scored_row(log: Path) -> None:
    found = read_table(log)
    assert found.schema.names == [
        "request", "row", "rows", "time", "version", "role", "key", "latency", "prediction", "age", "score",
    ]  # fmt: skip
    table = found.to_pylist()
    assert [
        (row["row"], row["rows"], row["version"], row["prediction"], row["age"], row["score"])
        for row in sorted(table, key=lambda row: int(row["age"]))
    ] == [
        (0, 1, "7", 10, 1, 0.5),
        (0, 1, "7", 10, 1, 0.5),
        (0, 2, "8", 20, 2, 0.25),
        (1, 2, "8", 30, 3, None),
        (0, 1, "7", 40, 4, 1.0),
    ]
    assert table[0]["time"] == datetime.fromtimestamp(NOON, UTC)
    assert {row["latency"] for row in table} == {0.002}


@pytest.mark.parametrize(
    ("options", "ages"),
    [
        ({"since": NOON + 1}, [1, 4]),
        ({"until": NOON + DAY}, [1, 2, 3]),
        ({"since": datetime.fromtimestamp(NOON + DAY, UTC), "until": NOON + 2 * DAY}, [1]),
        ({"versions": ["8"]}, [2, 3]),
        ({"roles": ["shadow"]}, [1]),
        ({"roles": ["answer"], "versions": ["7"]}, [1, 4]),
        ({"versions": ["9"]}, []),
    ],
)
def test_rows_are_chosen_by_time_version_and_role(log: Path, options: dict[str, Any], ages: list[int]) -> None:
    assert sorted(row["age"] for row in read_table(log, **options).to_pylist()) == ages


def test_columns_are_chosen_in_their_order_and_what_is_not_there_is_null(log: Path) -> None:
    for batch in read(log, columns=["score", "nothing", "request"]):
        assert batch.schema.names == ["score", "nothing", "request"]
        assert batch["nothing"].null_count == len(batch)
    assert read_table(log, columns=["age"]).num_rows == 5
    assert read_table(log, columns=["version"]).column("version").unique().to_pylist() in (["7", "8"], ["8", "7"])


def test_a_request_is_found_by_its_id(log: Path) -> None:
    wanted = next(row["request"] for row in rows(log) if row["age"] == 2)
    (found,) = find(log, wanted)
    assert replace(found, inputs=b"", outputs=b"") == record(
        wanted, rows=[(2, 0.25), (3, None)], version="8", inputs=b"", outputs=b""
    )
    assert json.loads(found.outputs) == [20, 30]
    assert json.loads(found.inputs) == {"columns": ["age", "score"], "rows": [[2, 0.25], [3, None]]}
    assert exists(log, wanted)


def test_an_id_that_was_given_to_nobody_is_not_found(log: Path) -> None:
    own = rows(log)[0]["request"]
    boot, worker, segment, _ = own.split("-")
    for wrong in ("", "x", own + "x", own[:-1] + "९", f"{boot}-{worker}-{segment}-0", f"{boot}-0{worker}-{segment}-1"):
        assert parse_id(wrong) is None
        assert (exists(log, wrong), find(log, wrong)) == (False, ())
    for wrong in (f"{boot}-1-{segment}-1", f"{boot}-{worker}-5-1", f"{'0' * 16}-{worker}-{segment}-1"):
        assert (exists(log, wrong), find(log, wrong)) == (False, ())
    assert find(log, f"{boot}-{worker}-{segment}-99") == ()


def test_an_id_far_beyond_the_last_cannot_exist(tmp_path: Path) -> None:
    made = written(tmp_path, {})
    stem = made[0].request.rpartition("-")[0]
    assert exists(tmp_path, f"{stem}-{SLACK}")
    assert not exists(tmp_path, f"{stem}-{SLACK + 2}")


def test_the_record_may_be_in_a_later_segment_than_its_id_says(tmp_path: Path) -> None:
    log = journal(tmp_path, segment_bytes=600)
    early = [log.next_id() for _ in range(2)]
    for _ in range(9):
        log.write([record(log.next_id())])
    log.write([record(early[0]), record(early[1])])
    log.write([record(early[1], role="shadow", version="8")])
    log.close()
    assert len(segments_in(tmp_path)) > 2
    for state in ("segments", "parquet"):
        assert [found.request for found in find(tmp_path, early[0])] == [early[0]], state
        assert {found.role for found in find(tmp_path, early[1])} == {"answer", "shadow"}
        assert all(exists(tmp_path, id_) for id_ in early)
        roll(tmp_path)


def test_an_id_is_held_against_the_first_of_its_segment_and_of_the_next(tmp_path: Path) -> None:
    log = journal(tmp_path)
    made = [log.next_id() for _ in range(3)]
    log.write([record(item) for item in made])
    log.rotate()
    log.write([record(log.next_id())])
    stem = made[0].rsplit("-", 2)[0]
    assert [exists(tmp_path, f"{stem}-{id_}") for id_ in ("0-3", "0-4", "1-3", "1-4")] == [True, False, False, True]


def test_an_id_within_a_payload_leads_nobody_astray(tmp_path: Path) -> None:
    log = journal(tmp_path)
    first, second = log.next_id(), log.next_id()
    log.write([record(second, rows=[(1, first)]), record(f"{first}0"), record(first, rows=[(5, second)])])
    assert [json.loads(found.inputs)["rows"] for found in find(tmp_path, first)] == [[[5, second]]]
    assert [json.loads(found.inputs)["rows"] for found in find(tmp_path, second)] == [[[1, first]]]


def test_an_id_is_found_where_it_lies_across_two_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = written(tmp_path, *({} for _ in range(5)))
    for block in (32, 33, 40, 64, 100):
        monkeypatch.setattr("nbprod.predictions.reading.BLOCK", block)
        assert [find(tmp_path, item.request) for item in made] == [(item,) for item in made]


def test_an_input_that_is_called_like_a_column_of_ours_gets_a_prefix(tmp_path: Path) -> None:
    inputs = json.dumps({"columns": ["time", "input.time"], "rows": [["noon", "late"]]}).encode()
    (made,) = written(tmp_path, {"inputs": inputs})
    for _ in range(2):
        (row,) = rows(tmp_path)
        assert (row["input.time"], row["input.input.time"]) == ("noon", "late")
        (found,) = find(tmp_path, made.request)
        assert json.loads(found.inputs) == json.loads(inputs)
        roll(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": b""},
        {"inputs": b"{not json"},
        {"inputs": b"[]"},
        {"inputs": b'{"columns": ["age"], "rows": []}'},
        {"inputs": b'{"columns": ["age"], "rows": [[1, 2]]}'},
        {"inputs": b'{"columns": 7, "rows": [[1]]}'},
        {"inputs": b"[" * 100_000},
    ],
)
def test_inputs_that_are_not_kept_or_make_no_sense_are_null(tmp_path: Path, fields: dict[str, Any]) -> None:
    written(tmp_path, {}, fields)
    assert sorted([row["prediction"], row["age"]] for row in rows(tmp_path) if row["age"]) == [[10, 1]]
    assert [row["prediction"] for row in rows(tmp_path) if row["age"] is None] == [10]


def test_predictions_that_do_not_fit_the_rows_are_null() -> None:
    table = table_of([record("a", outputs=b"[1, 2]"), record("b", outputs=b"7"), record("c", outputs=b"[NaN]")])
    assert str(table["prediction"].to_pylist()) == "[None, None, nan]"


def test_damage_is_passed_and_told(tmp_path: Path) -> None:
    made = written(tmp_path, {}, {}, {})
    (path,) = segments_in(tmp_path)
    data = bytearray(path.read_bytes())
    data[-len(encode(made[2])) - 10] ^= 1
    path.write_bytes(bytes(data) + b"half a reco")
    told: list[str] = []
    assert [row["request"] for row in rows(tmp_path, tell=told.append)] == [made[0].request, made[2].request]
    assert len(told) == 1
    assert "are damaged and were passed; what follows is used." in told[0]


def test_a_damaged_head_costs_no_record(tmp_path: Path) -> None:
    written(tmp_path, {}, {})
    (path,) = segments_in(tmp_path)
    data = bytearray(path.read_bytes())
    data[12] ^= 1
    path.write_bytes(data)
    told: list[str] = []
    assert len(rows(tmp_path, tell=told.append)) == 2
    assert "its head is damaged; its records are used." in told[0]


def test_what_is_rolled_while_it_is_read_is_read_once(tmp_path: Path) -> None:
    written(tmp_path, {}, {"version": "8"})
    written(tmp_path, {})
    batches = read(tmp_path)
    first = next(batches)
    roll(tmp_path)
    assert len(first) + sum(map(len, batches)) == 3


def test_several_places_are_one_log(tmp_path: Path) -> None:
    written(tmp_path / "log", *MANY)
    kept = {path: path.read_bytes() for path in segments_in(tmp_path / "log")}
    roll(tmp_path / "log", "memory://reading/log")
    urls = (tmp_path / "log", "memory://reading/log")
    assert len(rows(urls)) == 5
    for path, data in kept.items():
        path.write_bytes(data)
    assert len(rows(urls)) == 5
    assert len(rows(["memory://reading/log"])) == 5


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_table(tmp_path / "nowhere").num_rows == 0
    assert read_table("memory://nowhere").num_rows == 0
    assert Place.at(tmp_path / "nowhere").parquet() == []


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.lists(
    st.integers() | st.none(), max_size=3
)  # fmt: skip


@given(st.lists(VALUES, max_size=6))
def test_any_json_values_become_an_array(values: list[Any]) -> None:
    found = array_of(values)
    assert len(found) == len(values)
    for value, kept in zip(values, found.to_pylist(), strict=True):
        as_json = value is not None and isinstance(kept, str) and not isinstance(value, str)
        assert (json.loads(kept) if as_json else kept) == (value if as_json or not isinstance(value, int) else kept)
        assert (value is None) == (kept is None)


@given(st.lists(st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=4))
def test_tables_of_any_types_can_be_brought_together(columns: list[list[Any]]) -> None:
    table = united(pa.table({"a": array_of(values), f"only{n}": array_of(values)}) for n, values in enumerate(columns))
    assert table.num_rows == sum(map(len, columns))
    assert table["a"].null_count == sum(value is None for values in columns for value in values)


@given(st.lists(st.builds(lambda request, rows: record(request, rows=rows), st.text(), st.lists(
    st.tuples(st.integers(-9, 9), st.floats(allow_nan=False) | st.none()), max_size=3)), max_size=5))  # fmt: skip
def test_a_table_has_every_row_of_every_record(made: list[Record]) -> None:
    table = table_of(made)
    lines = [line for item in made for line in (json.loads(item.inputs)["rows"] if item.inputs else ())]
    assert table.num_rows == sum(item.rows for item in made) == len(lines)
    if lines:
        assert [[a, s] for a, s in zip(table["age"].to_pylist(), table["score"].to_pylist(), strict=True)] == lines
