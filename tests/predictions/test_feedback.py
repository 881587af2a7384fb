"""Feedback: what was said twice or differently is told, and predictions get the truth that was known at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import JournalFull
from nbprod.predictions.feedback import SCHEMA, Feedback, FeedbackLog, joined, judge, read_feedback, table_of
from nbprod.predictions.frames import frame, head
from nbprod.predictions.places import FEEDBACK
from nbprod.predictions.roller import roll
from nbprod.predictions.rows import united
from nbprod.predictions.segments import segments_in
from tests.predictions.made import NOON, written


def say(folder: Path, *items: Feedback) -> None:
    log = FeedbackLog(folder, model="churn")
    log.write(items)
    log.close()


def joined_rows(folder: Path, **options: Any) -> list[dict[str, Any]]:
    table = united(pa.Table.from_batches([batch]) for batch in joined(folder, **options))
    return sorted(table.to_pylist(), key=lambda row: (row["request"], row["row"]))


def test_feedback_is_read_as_it_was_given(tmp_path: Path) -> None:
    items = [
        Feedback(request="a", value=1, time=NOON),
        Feedback(request="a", row=2, name="revenue", value=9.5, time=NOON + 1, source="crm"),
        Feedback(request="b", value={"kept": [True, None]}, time=NOON),
    ]
    say(tmp_path, *items)
    for _ in range(2):
        found = read_feedback(tmp_path)
        assert found.equals(table_of(items))
        roll(tmp_path)


def test_a_file_of_the_first_schema_is_read(tmp_path: Path) -> None:
    """Written down once; it must be read for ever."""
    body = b'{"request": "a", "row": null, "name": "", "value": 1, "time": 1780000000.0, "source": "crm"}'
    folder = tmp_path / FEEDBACK
    folder.mkdir()
    (folder / f"{'0' * 16}-0-0.journal").write_bytes(head({"schema": "nbprod/feedback/1"}) + frame(body))
    assert SCHEMA == "nbprod/feedback/1"
    assert read_feedback(tmp_path).equals(table_of([Feedback(request="a", value=1, time=NOON, source="crm")]))


def test_what_is_no_feedback_is_passed_and_told(tmp_path: Path) -> None:
    say(tmp_path, Feedback(request="a", value=1))
    (path,) = segments_in(tmp_path / FEEDBACK)
    path.write_bytes(path.read_bytes() + frame(b"[]") + frame(b'{"row": 1}') + b"to")
    told: list[str] = []
    assert read_feedback(tmp_path, tell=told.append).num_rows == 1
    assert [text.partition(": ")[2].partition(" bytes")[0] for text in told] == ["14", "22"]


def test_a_full_disk_refuses_feedback_too(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path, model="churn", limit_bytes=300)
    with pytest.raises(JournalFull):
        log.write([Feedback(request="a" * 300, value=1)])
    log.write([])
    log.rotate()
    assert log.lag > 0
    log.close()


def test_what_was_said_again_is_a_duplicate_and_what_differs_a_conflict() -> None:
    judged = judge(
        table_of([
            Feedback(request="a", value=1, time=NOON),
            Feedback(request="a", value=1, time=NOON + 1),
            Feedback(request="a", row=0, value=1, time=NOON),
            Feedback(request="b", value=0, time=NOON + 5),
            Feedback(request="b", value=1, time=NOON),
            Feedback(request="b", value=1, time=NOON + 1),
            Feedback(request="b", name="revenue", value=3, time=NOON),
        ])
    )  # fmt: skip
    assert (judged.said, judged.duplicates, judged.conflicts, judged.outcomes) == (7, 2, 1, ("revenue",))
    (conflict,) = judged.examples
    assert (conflict.request, conflict.row, conflict.name, conflict.values) == ("b", None, "", ("1", "0"))
    held = {(r["request"], r["row"], r["name"]): r["value"] for r in judged.table.to_pylist()}
    assert held == {("a", None, ""): "1", ("a", 0, ""): "1", ("b", None, ""): "0", ("b", None, "revenue"): "3"}


SAID = st.builds(
    Feedback,
    request=st.sampled_from("ab"),
    row=st.sampled_from([None, 0, 1]),
    name=st.sampled_from(["", "x"]),
    value=st.integers(0, 2),
    time=st.integers(0, 3).map(lambda n: NOON + n),
)


@given(st.lists(SAID, max_size=8), st.randoms())
def test_what_holds_does_not_depend_on_the_order_of_writing(items: list[Feedback], chance: Any) -> None:
    def facts(of: Sequence[Feedback]) -> tuple[Any, ...]:
        judged = judge(table_of(of))
        table = sorted(map(str, judged.table.to_pylist()))
        return judged.said, judged.duplicates, judged.conflicts, table

    shuffled = list(items)
    chance.shuffle(shuffled)
    assert facts(items) == facts(shuffled)
    groups = {(i.request, i.row, i.name) for i in items}
    values = {(i.request, i.row, i.name, i.value) for i in items}
    assert facts(items)[1] == len(items) - len(values)
    assert facts(items)[2] == sum(len([v for v in values if v[:3] == group]) > 1 for group in groups)


def test_predictions_get_their_truth_and_outcomes(tmp_path: Path) -> None:
    one, many, none, shadow = written(
        tmp_path, {}, {"rows": [(1, 0.5), (2, 0.5)]}, {}, {"role": "shadow"}, worker=0
    )  # fmt: skip
    say(
        tmp_path,
        Feedback(request=one.request, value=1, time=NOON + 60),
        Feedback(request=one.request, row=0, name="revenue", value=9.5),
        Feedback(request=many.request, row=1, value=0, time=NOON + 60),
        Feedback(request=many.request, value=1),  # of which row?
        Feedback(request=shadow.request, value=1),
        Feedback(request="unknown", value=1),
    )
    for _ in range(2):
        found = joined_rows(tmp_path)
        assert [(r["request"], r["row"], r["truth"], r["outcome.revenue"]) for r in found] == [
            (one.request, 0, 1, 9.5),
            (many.request, 0, None, None),
            (many.request, 1, 0, None),
            (none.request, 0, None, None),
        ]
        assert found[0]["truth_time"].timestamp() == NOON + 60
        assert [r["truth"] for r in joined_rows(tmp_path, roles=["shadow"])] == [1]
        roll(tmp_path)


def test_only_what_was_known_at_the_time_is_joined(tmp_path: Path) -> None:
    (one,) = written(tmp_path, {})
    say(tmp_path, *(Feedback(request=one.request, value=n, time=NOON + n) for n in (1, 2)))
    truths = [joined_rows(tmp_path, as_of=moment)[0]["truth"] for moment in (NOON, NOON + 1, NOON + 2, None)]
    assert truths == [None, 1, 2, 2]


def test_only_the_asked_columns_and_the_truth_are_there(tmp_path: Path) -> None:
    (one,) = written(tmp_path, {})
    say(tmp_path, Feedback(request=one.request, value="yes"))
    (batch,) = joined(tmp_path, columns=["prediction"], since=NOON)
    assert batch.schema.names == ["prediction", "truth", "truth_time"]
    assert list(joined(tmp_path, columns=["prediction"], since=NOON + 1)) == []


def test_without_feedback_nothing_is_known(tmp_path: Path) -> None:
    written(tmp_path, {}, {})
    assert [row["truth"] for row in joined_rows(tmp_path)] == [None, None]


def test_joining_goes_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbprod.predictions.feedback.JOIN_ROWS", 2)
    made = list(itertools.chain(*(written(tmp_path, {}, {}) for _ in range(3))))
    say(tmp_path, *(Feedback(request=item.request, value=n) for n, item in enumerate(made)))
    found = {row["request"]: row["truth"] for row in joined_rows(tmp_path)}
    assert found == {item.request: n for n, item in enumerate(made)}
