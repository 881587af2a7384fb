"""Erasing: no row about a subject is left, in no file, whatever is rolled and whenever it is killed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.predictions import erase as erasing
from nbprod.predictions.erase import Erased, erase, holding
from nbprod.predictions.feedback import Feedback, FeedbackLog, read_feedback
from nbprod.predictions.orders import FOLDER, Order, normal, orders_in
from nbprod.predictions.reading import read_table
from nbprod.predictions.roller import roll
from tests.predictions.made import NOON, journal, record, written

LINES = ((1, 0.5), (2, 0.5), (1, 0.25))


def ages(*urls: Any) -> list[int]:
    return sorted(read_table(urls, columns=["age"])["age"].to_pylist())


def told(folder: Path, *items: tuple[str, int | None]) -> None:
    log = FeedbackLog(folder, model="churn")
    log.write([Feedback(request=request, row=row, value=1, time=NOON) for request, row in items])
    log.close()


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize("url", [None, "memory://erased"])
def test_rows_and_their_feedback_are_erased(tmp_path: Path, rolled: bool, url: str | None) -> None:
    memory = fsspec.filesystem("memory")
    memory.rm("/erased", recursive=True) if memory.exists("/erased") else None
    urls = (tmp_path, url) if url else (tmp_path,)
    one, many, other = written(tmp_path, {}, {"rows": LINES, "version": "8"}, {"rows": [(3, 1)]})
    told(tmp_path, (one.request, None), (many.request, 1), (many.request, 2), (other.request, 0))
    if rolled:
        roll(tmp_path, url)
    assert sum(item.rows for item in holding(urls, "age", 1)) == 3
    assert sum(item.rows for item in holding(urls, "age", "1.5")) == 0
    done = erase(tmp_path, "age", "1", url=url)
    assert (done.rows, done.feedback, done.waiting) == (3, 2, ())
    assert ages(*urls) == [2, 3]
    assert holding(urls, "age", 1) == ()
    left = read_feedback(urls).to_pylist()
    assert sorted((row["request"], row["row"]) for row in left) == sorted([(many.request, 1), (other.request, 0)])
    assert [(r["request"], r["row"]) for r in read_table(urls).to_pylist() if r["age"] == 2] == [(many.request, 1)]
    assert erase(tmp_path, "age", "1", url=url) == Erased()


def test_what_a_service_still_writes_is_left_out_by_the_roller(tmp_path: Path) -> None:
    log = journal(tmp_path)
    first = [record(log.next_id()), record(log.next_id(), rows=[(2, 0.5)])]
    log.write(first)
    feedback = FeedbackLog(tmp_path, model="churn")
    feedback.write([Feedback(request=first[0].request, value=1, time=NOON)])
    done = erase(tmp_path, "age", 1)
    assert done.rows == 1
    assert len(done.waiting) == 2
    later = record(log.next_id(), time=4e9)
    log.write([later])  # the same person comes again
    (order,) = orders_in(tmp_path)
    assert "age" in order.column
    assert '"1"' not in json.dumps(order.to_dict())
    log.close()
    feedback.close()
    roll(tmp_path)
    assert sorted(read_table(tmp_path)["request"].to_pylist()) == sorted([first[1].request, later.request])
    assert read_feedback(tmp_path).num_rows == 0
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_an_order_of_the_first_schema_is_followed(tmp_path: Path) -> None:
    """Written down once; it must be followed for ever."""
    written(tmp_path, {"rows": LINES})
    (path,) = tmp_path.glob("*.journal")
    (tmp_path / FOLDER).mkdir()
    order = {
        "name": "a", "segments": [path.stem], "column": "age", "salt": "s", "requests": [],
        "digest": "e8bc163c82eee18733288c7d4ac636db3a6deb013ef2d37b68322be20edc45cc", "before": 4000000000000000,
        "schema": "nbprod/erasure/1",
    }  # fmt: skip
    (tmp_path / FOLDER / "a.json").write_text(json.dumps(order))
    roll(tmp_path)
    assert ages(tmp_path) == [2]


def test_a_draft_of_before_the_order_is_replaced(tmp_path: Path) -> None:
    written(tmp_path, {"rows": LINES})
    (path,) = tmp_path.glob("*.journal")
    data = path.read_bytes()
    roll(tmp_path)
    path.write_bytes(data)  # as if the roller had been killed before the last step
    erase(tmp_path, "age", 1)
    assert ages(tmp_path) == [2]
    assert not list(tmp_path.glob("*.journal"))


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("step", range(1, 7))
def test_erasing_that_was_killed_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    one, many = written(tmp_path, {}, {"rows": LINES, "version": "8"})
    told(tmp_path, (one.request, None), (many.request, 0), (many.request, 1))
    roll(tmp_path)
    closed, late = written(tmp_path, {}, {"rows": [(3, 1)]})
    told(tmp_path, (closed.request, 0), (late.request, 0))
    calls = []

    def dies(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(real)
            if len(calls) == step:
                raise Killed
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("give", "write_parquet", "delete"):
            patch.setattr(erasing, name, dies(getattr(erasing, name)))
        with suppress(Killed):
            erase(tmp_path, "age", 1)
    erase(tmp_path, "age", 1)
    roll(tmp_path)
    assert ages(tmp_path) == [2, 3]
    left = [(row["request"], row["row"]) for row in read_feedback(tmp_path).to_pylist()]
    assert sorted(left) == sorted([(many.request, 1), (late.request, 0)])


def test_a_column_that_is_not_in_the_log_has_no_rows(tmp_path: Path) -> None:
    written(tmp_path, {}, {"inputs": b""})
    assert holding(tmp_path, "name", "ana") == ()
    assert erase(tmp_path, "name", "ana") == Erased()
    roll(tmp_path)
    assert holding(tmp_path, "name", "ana") == ()


def test_a_subject_column_that_is_called_like_one_of_ours_is_found(tmp_path: Path) -> None:
    inputs = json.dumps({"columns": ["key"], "rows": [["ana"]]}).encode()
    written(tmp_path, {"inputs": inputs}, {"key": "ana"})
    assert erase(tmp_path, "key", "ana").rows == 1
    assert read_table(tmp_path)["key"].to_pylist() == ["ana"]  # the caller's, not the subject's


@pytest.mark.parametrize(("one", "other"), [(7, "7"), (7.0, "7"), (7, 7.0), (True, "true"), ("ana", "ana")])
def test_values_are_the_same_when_they_are_written_the_same(one: Any, other: Any) -> None:
    assert normal(one) == normal(other)


@given(st.text(), st.text())
def test_an_order_means_its_value_only(value: str, other: str) -> None:
    order = Order.of_value("who", value, name="x", segments=())
    table = pa.table({"who": [value, other, None], "time": [0, 0, 0]})
    assert order.mask(table).to_pylist() == [True, value == other, False]
