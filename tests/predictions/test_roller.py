"""The roller: killed anywhere, run twice, or side by side, it gives each row once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from nbprod.predictions.feedback import Feedback, FeedbackLog, read_feedback
from nbprod.predictions.frames import frame, head
from nbprod.predictions.journal import encode
from nbprod.predictions.places import FEEDBACK, Place
from nbprod.predictions.reading import read_table
from nbprod.predictions.roller import LOCK, Rolled, keep_rolling, roll
from nbprod.predictions.segments import segments_in
from tests.predictions.made import NOON, journal, record, written

DAY = 86400.0


@pytest.fixture(params=["beside", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where the Parquet goes."""
    if request.param == "memory":
        memory = fsspec.filesystem("memory")
        memory.rm("/rolled", recursive=True) if memory.exists("/rolled") else None
        return "memory://rolled"
    return tmp_path / "log" if request.param == "beside" else f"file://{tmp_path}/rolled"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log's folder."""
    return tmp_path / "log"


def requests(*urls: str | Path) -> list[str]:
    return sorted(read_table(urls, columns=["request"])["request"].to_pylist())


def test_each_version_and_day_is_a_partition(folder: Path, url: str | Path) -> None:
    made = written(folder, {}, {"version": "8"}, {"time": NOON + DAY}, {"version": "a/b c"})
    done = roll(folder, url)
    assert (len(done.segments), done.files, done.rows, done.live, done.problems) == (1, 4, 4, 0, ())
    place = Place.at(url)
    paths = place.files.find(f"{place.root}/rows")
    assert [path.removeprefix(f"{place.root}/rows/").rpartition("/")[0] for path in paths] == [
        "version=7/day=2026-05-28",
        "version=7/day=2026-05-29",
        "version=8/day=2026-05-28",
        "version=a%2Fb%20c/day=2026-05-28",
    ]  # fmt: skip
    assert segments_in(folder) == []
    assert requests(url) == sorted(item.request for item in made)
    assert {source.version for source in place.parquet()} == {"7", "8", "a/b c"}
    assert [source.day for source in place.parquet("2026-05-29")] == ["2026-05-29"]


def test_pandas_reads_what_was_rolled(folder: Path) -> None:
    written(folder, {}, {"version": "8", "rows": [(2, 0.5), (3, 1.0)]})
    roll(folder)
    found = pd.read_parquet(folder / "rows")
    assert sorted(found["age"]) == [1, 2, 3]
    assert sorted(found["version"].astype(int)) == [7, 8, 8]


def test_a_file_says_what_it_is(folder: Path) -> None:
    written(folder, {})
    name = segments_in(folder)[0].stem
    roll(folder)
    (source,) = Place.at(folder).parquet()
    about = pq.read_metadata(source.path).metadata
    assert about[b"nbprod.schema"] == b"nbprod/prediction-rows/1"
    assert about[b"nbprod.segment"] == name.encode()
    assert about[b"nbprod.sha256"].startswith(source.digest.encode())


def test_a_file_of_the_first_schema_is_read(folder: Path) -> None:
    """Its columns, written down once; it must be read for ever."""
    place = folder / "rows" / "version=7" / "day=2026-05-28"
    place.mkdir(parents=True)
    table = pa.table(
        {
            "request": ["r"], "row": pa.array([0], pa.int32()), "rows": pa.array([1], pa.int32()),
            "time": pa.array([int(NOON * 1e6)], pa.timestamp("us", "UTC")), "role": ["answer"], "key": ["k1"],
            "latency": [0.5], "prediction": [1], "age": [30],
        },
        metadata={"nbprod.schema": "nbprod/prediction-rows/1"},
    )  # fmt: skip
    pq.write_table(table, place / f"{'0' * 16}-0-0.0123456789abcdef.parquet")
    (row,) = read_table(folder).to_pylist()
    assert (row["request"], row["version"], row["prediction"], row["age"]) == ("r", "7", 1, 30)


def test_the_segment_that_is_written_is_left_alone(folder: Path, url: str | Path) -> None:
    log = journal(folder)
    made = [record(log.next_id()) for _ in range(3)]
    log.write(made[:1])
    assert roll(folder, url) == Rolled(live=1)
    log.rotate()
    log.write(made[1:])
    assert (len(roll(folder, url).segments), log.lag > 0) == (1, True)
    assert requests(folder, url) == sorted(item.request for item in made)
    log.close()
    roll(folder, url)
    assert requests(folder, url) == sorted(item.request for item in made)
    assert log.lag == 0


def test_rolling_the_same_again_writes_nothing(folder: Path, url: str | Path) -> None:
    written(folder, {}, {"version": "8"})
    (path,) = segments_in(folder)
    data = path.read_bytes()
    roll(folder, url)
    before = {source.path: source.files.cat_file(source.path) for source in Place.at(url).parquet()}
    path.write_bytes(data)
    assert roll(folder, url).files == 0
    assert {source.path: source.files.cat_file(source.path) for source in Place.at(url).parquet()} == before


class Killed(BaseException):
    """The process is gone."""


STEPS: list[tuple[Any, str]] = [
    (Place, "put"), (Place, "remove_parts"), (os, "replace"), (os, "ftruncate"), (Path, "unlink"),
]  # fmt: skip


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("step", STEPS, ids=[name for _, name in STEPS])
def test_a_roller_that_is_killed_anywhere_loses_and_doubles_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str], *, count: int, after: bool
) -> None:
    made = [*written(folder, {}, {"version": "8"}), *written(folder, {}, {"time": NOON + DAY})]
    with segments_in(folder)[0].open("ab") as file:
        file.write(b"torn")
    calls = []
    owner, name = step
    real: Callable[..., Any] = getattr(owner, name)

    def dies(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == count and not after:
            raise Killed
        done = real(*arguments, **options)
        if len(calls) == count:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        with suppress(Killed):
            roll(folder)
    expected = sorted(item.request for item in made)
    assert requests(folder) == expected
    roll(folder)
    assert requests(folder) == expected
    assert segments_in(folder) == []
    assert not [path for path in folder.rglob("*") if path.name.endswith(".new")]


def test_drafts_of_a_segment_that_was_repaired_afterwards_are_removed(folder: Path) -> None:
    written(folder, {}, {"version": "8"})
    (path,) = segments_in(folder)
    data = path.read_bytes()
    roll(folder)
    path.write_bytes(data[:-1])  # as if a draft had been made of bytes that the disk did not keep
    done = roll(folder)
    assert "were never written whole" in done.problems[0]
    assert len(requests(folder)) == 1


def test_rollers_side_by_side_wait_for_each_other(folder: Path) -> None:
    made = [item for _ in range(6) for item in written(folder, {}, {})]
    found: list[Rolled] = []
    threads = [threading.Thread(target=lambda: found.append(roll(folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for done in found for name in done.segments) == sorted(
        {r.request.rpartition("-")[0] for r in made}
    )
    assert sum(done.rows for done in found) == 12
    assert requests(folder) == sorted(item.request for item in made)


def test_a_roller_that_may_not_wait_does_nothing(folder: Path) -> None:
    written(folder, {})
    with FileLock(folder / LOCK):
        assert roll(folder, wait=0) == Rolled()
    assert len(roll(folder, wait=0).segments) == 1


def test_what_is_older_than_may_be_kept_is_deleted(folder: Path, url: str | Path) -> None:
    now = datetime.now(UTC).timestamp()
    old = written(folder, {"time": now - 10 * DAY}, {"time": now - 10 * DAY, "version": "8"}, {"time": now - DAY})
    log = FeedbackLog(folder, model="churn")
    log.write([Feedback(request=old[0].request, value=1, time=now - 9 * DAY)])
    log.write([Feedback(request=old[2].request, value=1, time=now)])
    log.close()
    assert roll(folder, url, retain=12 * DAY).deleted == 0
    assert roll(folder, url, retain=3 * DAY).deleted == 3
    assert requests(url) == [old[2].request]
    assert read_feedback(url)["request"].to_pylist() == [old[2].request]
    place = Place.at(url)
    if place.local:
        assert len(list(Path(place.root, "rows").glob("*"))) == 1  # empty folders are gone too


def test_a_segment_of_a_later_schema_is_left_to_a_later_nbprod(folder: Path) -> None:
    folder.mkdir()
    path = folder / f"{'0' * 16}-0-0.journal"
    path.write_bytes(head({"schema": "nbprod/predictions/9"}) + frame(b"?"))
    (told,) = roll(folder).problems
    assert told == f"{path}: its schema is 'nbprod/predictions/9', which this nbprod cannot roll: upgrade nbprod."
    assert path.exists()


def test_an_empty_segment_is_removed(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{'0' * 16}-0-0.journal").touch()
    assert roll(folder).files == 0
    assert segments_in(folder) == []


def test_damaged_records_are_told_and_the_rest_is_rolled(folder: Path) -> None:
    made = written(folder, {}, {}, {})
    (path,) = segments_in(folder)
    data = bytearray(path.read_bytes())
    data[-len(encode(made[2])) - 10] ^= 1
    path.write_bytes(data)
    done = roll(folder)
    assert done.rows == 2
    assert "are damaged and were passed" in done.problems[0]


def test_columns_whose_types_differ_are_one_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbprod.predictions.roller.BATCH", 1)
    written(folder, {"rows": [(1, 2)]}, {"rows": [(1, 0.5)]}, {"rows": [("x", None)], "outputs": b"[[0.5, 1]]"}, {})
    roll(folder)
    found = read_table(folder).sort_by("request")
    assert found["score"].to_pylist() == [2.0, 0.5, None, 0.5]
    assert found["age"].to_pylist() == ["1", "1", "x", "1"]
    assert found["prediction"].to_pylist() == ["10", "10", "[0.5, 1.0]", "10"]


def test_rolling_goes_on_until_it_is_stopped_and_after_failures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder, {})
    stop = threading.Event()
    told: list[Rolled | Exception] = []
    real = roll

    def shaky(*arguments: Any, **options: Any) -> Rolled:
        if not told:
            raise OSError("the network is down")
        stop.set()
        return real(*arguments, **options)

    monkeypatch.setattr("nbprod.predictions.roller.roll", shaky)
    keep_rolling(folder, stop=stop, every=0.01, tell=told.append)
    assert [str(item) for item in told[:1]] == ["the network is down"]
    assert isinstance(told[1], Rolled)
    assert told[1].rows == 1


def test_feedback_is_rolled_beside_it(folder: Path, url: str | Path) -> None:
    log = FeedbackLog(folder, model="churn")
    log.write([Feedback(request="a", value={"b": 1}, time=NOON)])
    log.close()
    assert roll(folder, url).rows == 1
    assert segments_in(folder / FEEDBACK) == []
    assert [source.day for source in Place.at(url).below(FEEDBACK).parquet()] == ["2026-05-28"]
    assert read_feedback(url)["value"].to_pylist() == ['{"b": 1}']
    assert read_table(url).num_rows == 0
