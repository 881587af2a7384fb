"""Whole runs: the output, the log and what is set aside, and that the service would have answered the same."""

from __future__ import annotations

import asyncio
import json
import math
import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.errors import ArtifactError, DeployError, JournalFull, UsageError
from nbprod.predictions.reading import exists, find
from nbprod.scoring import reading
from nbprod.scoring.batch import Progress
from nbprod.serving.served import Served
from tests.scoring.made import LOG, left, logged, read, score, write
from tests.serving import asgi

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@cache
def numbers() -> Served:
    return asgi.numbers()


@cache
def mixed() -> Served:
    return asgi.mixed()


@cache
def every_type() -> Served:
    """A model that answers with texts made of all that it is asked, whatever that is."""

    class Echo:
        def predict(self, rows: Any) -> Any:
            frame = pd.DataFrame(rows)
            return [f"{frame.dtypes.to_dict()}: {row}" for row in frame.to_dict(orient="records")]

    kinds = ("boolean", "integer", "long", "float", "double", "string", "datetime")
    columns = [asgi.column(f"c_{kind}", kind, required=False) for kind in kinds]
    example = {"columns": [item["name"] for item in columns], "data": [[True, 1, 2, 0.5, 1.5, "x", "2020-01-01"]]}
    return asgi.served(Echo(), asgi.entry(columns, example))


def table(rows: int = 10) -> pa.Table:
    dice = np.random.default_rng(1)
    columns = {name: dice.normal(size=rows) for name in "cab"}
    return pa.table({"id": [f"n{n}" for n in range(rows)], **columns})


def asked(served: Served, folder: Path, rows: list[dict[str, Any]], path: str = "/predict") -> Any:
    """What the service answers."""

    async def story(client: asgi.Client) -> Any:
        return await client.post(path, {"records": rows})

    return asgi.run(folder, served, story)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def test_the_output_has_what_was_kept_the_answers_and_the_rows_of_the_log(tmp_path: Path) -> None:
    given_ = write(tmp_path / "in.parquet", table())
    seen: list[Progress] = []
    totals = score(
        numbers(), given_, str(tmp_path / "out.parquet"), tmp_path, keep=("id",), proba=True, watch=seen.append
    )
    found = read(tmp_path / "out.parquet")
    assert found.column_names == ["id", "prediction", "probability_0", "probability_1", "request", "row"]
    assert found["id"].to_pylist() == table()["id"].to_pylist()
    assert (totals.scored, totals.rejected) == (10, 0)
    assert seen == [Progress(done=10, total=10, part=seen[0].part)]
    log = logged(tmp_path).sort_by("row")
    assert log.select(["request", "row", "prediction"]).to_pylist() == found.select(
        ["request", "row", "prediction"]
    ).to_pylist()  # fmt: skip
    assert set(log["role"].to_pylist()) == {"batch"} and set(log["key"].to_pylist()) == {"score"}
    assert log["a"].to_pylist() == table()["a"].to_pylist()
    (request,) = set(found["request"].to_pylist())
    assert exists(tmp_path / LOG, request)
    (record,) = find(tmp_path / LOG, request)
    assert (record.rows, record.version, record.role) == (10, "1", "batch")
    (parquet,) = [name for name in left(tmp_path) if name not in ("in.parquet", "out.parquet")]
    assert parquet.startswith("log/rows/version=1/day=")


VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({"age": st.integers(18, 80), "city": st.sampled_from(["Lyon", "Oslo"]), "w": VALUES}),
        min_size=1, max_size=30,
    ),
    form=st.sampled_from([".parquet", ".csv"]),
    proba=st.booleans(),
)  # fmt: skip
def test_mixed_rows_get_the_answers_of_the_service(
    tmp_path: Path, rows: list[dict[str, Any]], form: str, proba: bool
) -> None:
    schema = pa.schema([("w", pa.float64()), ("age", pa.int64()), ("city", pa.string())])
    given_ = write(tmp_path / f"in{form}", pa.Table.from_pylist(rows, schema=schema))
    score(mixed(), given_, str(tmp_path / "out.parquet"), tmp_path, proba=proba, overwrite=True)
    answer = asked(mixed(), tmp_path / "service", rows, f"/predict?proba={str(proba).lower()}").json
    found = read(tmp_path / "out.parquet")
    assert found["prediction"].to_pylist() == answer["predictions"]
    if proba:
        shares = zip(*(found[f"probability_{name}"].to_pylist() for name in answer["classes"]), strict=True)
        pairs = zip(shares, answer["probabilities"], strict=True)
        assert all(same(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({
            "c_boolean": st.one_of(st.none(), st.booleans()),
            "c_integer": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
            "c_long": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "c_float": VALUES,
            "c_double": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            "c_string": st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=4)),
            "c_datetime": st.one_of(st.none(), st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),
        }),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_a_model_is_asked_with_exactly_the_table_that_the_service_makes(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    kinds = [pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.timestamp("us")]
    schema = pa.schema(list(zip(every_type().signature.names, kinds, strict=True)))
    given_ = write(tmp_path / "in.parquet", pa.Table.from_pylist(rows, schema=schema))
    score(every_type(), given_, str(tmp_path / "out.parquet"), tmp_path, overwrite=True)
    records = [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows
    ]
    answer = asked(every_type(), tmp_path / "service", records)
    assert read(tmp_path / "out.parquet")["prediction"].to_pylist() == answer.json["predictions"]
    own = logged(tmp_path)
    last = own.filter(pa.compute.equal(own["request"], read(tmp_path / "out.parquet")["request"][0].as_py()))
    theirs = find(tmp_path / "service", answer.json["request_id"])[0]
    names, lines = json.loads(theirs.inputs)["columns"], json.loads(theirs.inputs)["rows"]
    found = last.sort_by("row").select(names).to_pylist()
    assert all(same(row[name], value) for row, line in zip(found, lines, strict=True)
               for name, value in zip(names, line, strict=True) if name != "c_float")  # fmt: skip


def test_small_pieces_keep_the_order_across_row_groups_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST", 7)
    monkeypatch.setattr(reading, "LEAST", 1)
    whole = table(100)
    for number in range(4):
        write(tmp_path / f"in/{number}.parquet", whole.slice(25 * number, 25), row_group_size=10)
    score(numbers(), str(tmp_path / "in"), str(tmp_path / "out.parquet"), tmp_path, keep=("id",))
    found = read(tmp_path / "out.parquet")
    assert found["id"].to_pylist() == whole["id"].to_pylist()
    expected = numbers().predict(whole.select(["a", "b", "c"]).to_pandas()).tolist()
    assert found["prediction"].to_pylist() == expected
    assert len(set(found["request"].to_pylist())) == 16
    log = {(row["request"], row["row"]): row["a"] for row in logged(tmp_path).to_pylist()}
    keys = zip(found["request"].to_pylist(), found["row"].to_pylist(), strict=True)
    assert [log[key] for key in keys] == whole["a"].to_pylist()


def test_a_folder_gets_a_file_for_each_file_with_the_columns_of_its_folders(tmp_path: Path) -> None:
    write(tmp_path / "in/day=1/a.parquet", table(3))
    write(tmp_path / "in/day=2/a.csv", table(4))
    write(tmp_path / "in/day=2/none.parquet", table(0))
    (tmp_path / "in/_SUCCESS").touch()
    totals = score(numbers(), str(tmp_path / "in"), str(tmp_path / "out"), tmp_path, keep=("id", "day"))
    assert totals.scored == 7
    out = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.parquet"))
    assert out == ["day=1/a.parquet", "day=2/a.parquet", "day=2/none.parquet"]
    assert read(tmp_path / "out/day=2/a.parquet")["day"].to_pylist() == ["2"] * 4
    empty = read(tmp_path / "out/day=2/none.parquet")
    assert empty.num_rows == 0 and empty.column_names == ["id", "day", "prediction", "request", "row"]


def bad_table() -> pa.Table:
    whole = table(6)
    a = whole["a"].to_pylist()
    a[1], a[4] = math.inf, None
    return whole.set_column(2, "a", pa.array(a))


@pytest.mark.parametrize("form", [".parquet", ".csv"])
def test_the_first_bad_row_ends_it_with_its_place_and_nothing_is_left(tmp_path: Path, form: str) -> None:
    given_ = write(tmp_path / f"in{form}", bad_table())
    with pytest.raises(ArtifactError) as caught:
        score(numbers(), given_, str(tmp_path / "out.csv"), tmp_path)
    said = str(caught.value)
    assert "expected number in the column 'a' of row 2" in said and "inf" not in said.replace("in.", "")
    assert caught.value.line == (3 if form == ".csv" else None)
    assert left(tmp_path) == [f"in{form}"]
    assert logged(tmp_path).num_rows == 0


@pytest.mark.parametrize("form", [".parquet", ".csv"])
def test_bad_rows_are_set_aside_with_the_reason_and_the_others_scored(tmp_path: Path, form: str) -> None:
    given_ = write(tmp_path / f"in{form}", bad_table())
    totals = score(numbers(), given_, str(tmp_path / f"out{form}"), tmp_path, on_error="quarantine", keep=("id",))
    assert (totals.scored, totals.rejected) == (4, 2)
    assert dict(totals.reasons) == {("a", "expected number"): 1, ("a", "expected number, found nothing"): 1}
    assert read(tmp_path / f"out{form}")["id"].to_pylist() == ["n0", "n2", "n3", "n5"]
    rejected = read(tmp_path / f"out.rejected{form}").to_pylist()
    assert [(row["id"], row["rejected_column"], int(row["rejected_row"])) for row in rejected] == [
        ("n1", "a", 2), ("n4", "a", 5),
    ]  # fmt: skip
    assert rejected[1]["rejected_reason"] == "expected number, found nothing"
    assert logged(tmp_path).num_rows == 4


def test_rejected_rows_can_be_corrected_and_scored(tmp_path: Path) -> None:
    given_ = write(tmp_path / "in.parquet", bad_table())
    score(numbers(), given_, str(tmp_path / "out.parquet"), tmp_path, on_error="quarantine")
    rejected = read(tmp_path / "out.rejected.parquet")
    at = rejected.schema.get_field_index("a")
    corrected = write(tmp_path / "again.parquet", rejected.set_column(at, "a", pa.array([1.0, 2.0])))
    assert score(numbers(), corrected, str(tmp_path / "more.parquet"), tmp_path, keep=("id",)).scored == 2


def test_rows_that_the_model_refuses_are_found_among_the_others(tmp_path: Path) -> None:
    cities = ["Lyon", "Oslo", "Rome", "Oslo", "Rome", "Lyon", "Lyon"]
    rows = pa.table({"age": range(20, 27), "city": cities, "w": [0.5] * 7})
    given_ = write(tmp_path / "in.parquet", rows)
    with pytest.raises(ArtifactError, match=r"row 3: the model cannot take this row \(ValueError\)"):
        score(mixed(), given_, str(tmp_path / "out.parquet"), tmp_path)
    totals = score(mixed(), given_, str(tmp_path / "out.parquet"), tmp_path, on_error="quarantine", keep=("age",))
    assert (totals.scored, totals.rejected) == (5, 2)
    assert read(tmp_path / "out.parquet")["age"].to_pylist() == [20, 21, 23, 25, 26]
    assert read(tmp_path / "out.rejected.parquet")["city"].to_pylist() == ["Rome", "Rome"]


def test_a_model_that_refuses_everything_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbprod.scoring.scorer.MOST_REFUSED", 5)
    rows = pa.table({"age": [30] * 20, "city": ["Rome"] * 20, "w": [0.5] * 20})
    given_ = write(tmp_path / "in.parquet", rows)
    with pytest.raises(DeployError, match="refuses more than 5 rows"):
        score(mixed(), given_, str(tmp_path / "out.parquet"), tmp_path, on_error="quarantine")
    assert left(tmp_path) == ["in.parquet"]


def test_rows_of_another_length_are_set_aside_without_cells(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a,b,c\n1,2,3\n1,2\n\n4,5,6,7\n1,x,3\n7,8,9\n", encoding="utf-8")
    totals = score(numbers(), str(path), str(tmp_path / "out.csv"), tmp_path, on_error="quarantine")
    assert (totals.scored, totals.rejected) == (2, 3)
    rejected = read(tmp_path / "out.rejected.csv").to_pylist()
    assert [row["rejected_row"] for row in rejected] == ["2", "3", "4"]
    assert [row["b"] for row in rejected] == ["", "", "x"]
    assert logged(tmp_path)["a"].to_pylist() == [1, 7]


def test_what_the_policy_keeps_out_of_the_log_is_not_in_it(tmp_path: Path) -> None:
    given_ = write(tmp_path / "in.parquet", table())
    score(numbers(), given_, str(tmp_path / "out.parquet"), tmp_path, kept=("b",))
    log = logged(tmp_path)
    assert "b" in log.column_names and not {"a", "c", "id"} & set(log.column_names)
    score(numbers(), given_, str(tmp_path / "none.parquet"), tmp_path, kept=())
    assert logged(tmp_path).num_rows == 20


def test_no_rows_give_an_output_without_rows(tmp_path: Path) -> None:
    for form in (".parquet", ".csv"):
        given_ = write(tmp_path / f"in{form}", table(0))
        totals = score(numbers(), given_, str(tmp_path / f"out{form}"), tmp_path, proba=True)
        assert totals.scored == 0
        names = read(tmp_path / f"out{form}").column_names
        assert names == ["prediction", "probability_0", "probability_1", "request", "row"]
    assert logged(tmp_path).num_rows == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.parquet", b"", "is not valid Parquet"),
        ("in.parquet", b"PAR1" + bytes(100), "is not valid Parquet"),
        ("in.csv", b"", "is empty"),
        ("in.csv", b"a,b,c\n1,2,\xff\n", "is not valid CSV in UTF-8"),
        ("in.csv.gz", b"a,b,c\n1,2,3\n", "cannot be read|is not valid"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=says) as caught:
        score(numbers(), str(tmp_path / name), str(tmp_path / "out.parquet"), tmp_path)
    assert caught.value.file is not None and caught.value.file.endswith(name)
    assert left(tmp_path) == [name]


def test_a_file_that_is_cut_off_in_its_middle_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "in/a.parquet", table(10))
    given_ = write(tmp_path / "in/b.parquet", table(3000), row_group_size=1000, compression="none")
    data = bytearray(Path(given_).read_bytes())
    data[20_000:60_000] = bytes(40_000)
    Path(given_).write_bytes(data)
    with pytest.raises(ArtifactError, match="is not valid Parquet, or is damaged"):
        score(numbers(), str(tmp_path / "in"), str(tmp_path / "out"), tmp_path)
    assert left(tmp_path) == ["in/a.parquet", "in/b.parquet"]


def test_a_folder_of_different_columns_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    write(tmp_path / "in/a.parquet", table(3))
    write(tmp_path / "in/b.parquet", table(3).drop_columns(["b"]))
    with pytest.raises(UsageError, match="the column 'b' is missing"):
        score(numbers(), str(tmp_path / "in"), str(tmp_path / "out"), tmp_path)
    assert not (tmp_path / LOG).exists()


@pytest.mark.parametrize("form", [".parquet", ".csv"])
def test_a_full_disk_under_the_output_leaves_nothing(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_ = write(tmp_path / "in.parquet", table())
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(ArtifactError, match=r"No space left on device"):
        score(numbers(), given_, str(tmp_path / f"out{form}"), tmp_path)
    assert left(tmp_path) == ["in.parquet"]


def _full(file: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_under_the_log_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = write(tmp_path / "in.parquet", table())
    real = pq.ParquetWriter

    def broken(where: Any, *args: Any, **options: Any) -> Any:
        if LOG in str(where):
            _full(0)
        return real(where, *args, **options)

    monkeypatch.setattr(pq, "ParquetWriter", broken)
    with pytest.raises(JournalFull, match="No space left on device"):
        score(numbers(), given_, str(tmp_path / "out.parquet"), tmp_path)
    assert left(tmp_path) == ["in.parquet"]


def test_an_output_in_memory_is_written_as_one_on_disk(tmp_path: Path) -> None:
    import fsspec

    given_ = write(tmp_path / "in.parquet", table())
    files = fsspec.filesystem("memory")
    for to in ("memory://scored/out.parquet", "memory://scored/folder"):
        score(numbers(), given_, to, tmp_path)
        with pytest.raises(UsageError, match="is there already"):
            score(numbers(), given_, to, tmp_path)
        score(numbers(), given_, to, tmp_path, overwrite=True)
    assert sorted(files.find("/scored")) == ["/scored/folder/in.parquet", "/scored/out.parquet"]
    with files.open("/scored/out.parquet") as file:
        assert pq.read_table(file).num_rows == 10
    files.rm("/scored", recursive=True)


def test_what_interrupts_a_run_leaves_nothing(tmp_path: Path) -> None:
    given_ = write(tmp_path / "in.parquet", table())

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(numbers(), given_, str(tmp_path / "out"), tmp_path, watch=stop)
    assert left(tmp_path) == ["in.parquet"]
    assert logged(tmp_path).num_rows == 0


def test_the_service_is_not_disturbed_by_a_run_in_its_log(tmp_path: Path) -> None:
    given_ = write(tmp_path / "in.parquet", table(3))

    async def story(client: asgi.Client) -> None:
        await client.post("/predict", {"records": [{"a": 1.0, "b": 2.0, "c": 3.0}]})
        await asyncio.to_thread(score, numbers(), given_, str(tmp_path / "out.parquet"), tmp_path)
        await client.post("/predict", {"records": [{"a": 1.0, "b": 2.0, "c": 3.0}]})

    asgi.run(tmp_path / LOG, numbers(), story)
    assert sorted(logged(tmp_path)["role"].to_pylist()) == ["answer"] * 2 + ["batch"] * 3
