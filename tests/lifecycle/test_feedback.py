"""Late ground truth in bulk: what is recorded, and what is told of it."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbprod.errors import ArtifactError, UsageError
from nbprod.lifecycle.feedback import Told, feedback
from nbprod.predictions.feedback import read_feedback
from nbprod.predictions.journal import Record
from nbprod.predictions.places import folder_of, url_of
from nbprod.predictions.roller import roll
from tests.fakes import Lab
from tests.predictions.made import NOON, written


@pytest.fixture
def log(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Record]]:
    """A log with a request of one row and one of two."""
    monkeypatch.chdir(lab.root)
    (lab.root / "pipelines").mkdir(exist_ok=True)
    folder = folder_of(lab.root / ".nbprod", "churn")
    return folder, written(folder, {}, {"rows": [(1, 0.5), (2, 0.5)]})


def said(folder: Path) -> list[tuple[Any, ...]]:
    rows = read_feedback(folder).to_pylist()
    return [(r["request"], r["row"], r["name"], json.loads(r["value"])) for r in rows]


def test_truth_and_outcomes_are_recorded_and_counted(log: tuple[Path, list[Record]]) -> None:
    folder, (one, many) = log
    Path("late.csv").write_text(
        "request,row,truth,revenue,time\n"
        f"{one.request},,1,9.5,2026-06-01T00:00:00Z\n"
        f"{many.request},1,0,,2026-06-01T00:00:00Z\n"
        f"{many.request},,1,,2026-06-01T00:00:00Z\n"
        f"{many.request},2,1,,2026-06-01T00:00:00Z\n"
        "gone,0,1,,2026-06-01T00:00:00Z\n"
        "gone,1,,,2026-06-01T00:00:00Z\n"
    )
    told = feedback("churn", "late.csv", outcomes=["revenue"])
    assert told == Told(
        model="churn", file="late.csv", rows=6, recorded=6, names={"truth": 5, "revenue": 1}, empty=1, unknown=2,
        unclear=2,
    )  # fmt: skip
    facts = {(r["request"], r["row"], r["name"], r["value"]) for r in read_feedback(folder).to_pylist()}
    assert facts == {
        (one.request, None, "", "1"),
        (one.request, None, "revenue", "9.5"),
        (many.request, 1, "", "0"),
        (many.request, None, "", "1"),
        (many.request, 2, "", "1"),
        ("gone", 0, "", "1"),
    }
    table = read_feedback(folder)
    assert set(table["source"].to_pylist()) == {"file:late.csv"}
    assert set(table["time"].to_pylist()) == {datetime(2026, 6, 1, tzinfo=UTC)}


def test_what_is_added_again_or_differs_is_told(log: tuple[Path, list[Record]]) -> None:
    _, (one, many) = log
    Path("late.csv").write_text(f"request,truth\n{one.request},1\n")
    assert feedback("churn", "late.csv").duplicates == 0
    again = feedback("churn", "late.csv")
    assert (again.recorded, again.duplicates, again.conflicts) == (1, 1, 0)
    Path("late.csv").write_text(f"request,truth\n{one.request},0\n")
    differs = feedback("churn", "late.csv")
    assert (differs.duplicates, differs.conflicts) == (0, 1)
    assert [(item.request, item.name, item.values) for item in differs.examples] == [(one.request, "", ("1", "0"))]
    Path("other.csv").write_text(f"request,row,truth\n{many.request},0,1\n")
    other = feedback("churn", "other.csv")
    assert (other.conflicts, other.examples) == (0, ())  # those of other requests were told when they came


def test_predictions_that_were_rolled_elsewhere_are_known(
    log: tuple[Path, list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, (one, _) = log
    monkeypatch.setenv("NBPROD_PREDICTIONS", "far")
    roll(folder, url_of(str(Path("far").resolve()), "churn"))
    assert not list(folder.glob("*.journal"))
    shutil.rmtree(folder)
    Path("late.csv").write_text(f"request,truth\n{one.request},1\nnobody,1\n")
    told = feedback("churn", "late.csv")
    assert (told.recorded, told.unknown) == (2, 1)


@pytest.mark.parametrize("name", ["late.csv", "late.csv.gz", "late.tsv", "late.parquet", "late.jsonl"])
def test_every_form_of_file_says_the_same(log: tuple[Path, list[Record]], name: str) -> None:
    folder, (one, many) = log
    rows = [(one.request, 0, 1.5), (many.request, 1, 0.5)]
    if name.endswith(".parquet"):
        pq.write_table(pa.table(dict(zip(("request", "row", "y"), zip(*rows, strict=True), strict=True))), name)
    elif name.endswith(".jsonl"):
        Path(name).write_text("".join(json.dumps({"request": r, "row": n, "y": y}) + "\n" for r, n, y in rows))
    else:
        separator = "\t" if name.endswith(".tsv") else ","
        text = "".join(separator.join(map(str, row)) + "\n" for row in [("request", "row", "y"), *rows])
        Path(name).write_bytes(gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode())
    assert feedback("churn", name, truth="y").recorded == 2
    assert said(folder) == [(request, row, "", y) for request, row, y in rows]


def test_values_that_json_has_no_word_for_are_text(log: tuple[Path, list[Record]]) -> None:
    folder, (one, _) = log
    day = datetime(2026, 6, 1, tzinfo=UTC)
    values = {"a": day, "b": [day.date()], "c": {"x": b"1"}, "d": float("nan")}
    pq.write_table(pa.table({"request": [one.request], **{k: [v] for k, v in values.items()}, "time": [NOON]}), "l.pq")
    assert feedback("churn", "l.pq", outcomes=["a", "b", "c", "d"]).recorded == 3
    assert [fact[2:] for fact in said(folder)] == [
        ("a", "2026-06-01T00:00:00+00:00"),
        ("b", ["2026-06-01"]),
        ("c", {"x": "b'1'"}),
    ]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("id,truth\na,1\n", {}, "late.csv: has no column 'request'."),
        ("request,y\na,1\n", {}, "late.csv: say which column is what, with --truth or --outcome."),
        ("request,truth\na,1\n", {"truth": "trut"}, "late.csv: has no column 'trut'. Did you mean 'truth'?"),
        ("request,truth\na,1\n", {"outcomes": ["x"]}, "late.csv: has no column 'x'."),
        ("request,truth\n,1\n", {}, "late.csv: row 1 has no request."),
        ("request,row,truth\na,0.5,1\n", {}, "late.csv: `row` of row 1 must be a whole number from 0."),
        ("request,row,truth\na,0,1\na,-1,1\n", {}, "late.csv: `row` of row 2 must be a whole number from 0."),
        ("request,row,truth\na,x,1\n", {}, "late.csv: `row` of row 1 must be a whole number from 0."),
        ("request,time,truth\na,noon,1\n", {}, "late.csv: `time` of row 1 must be like 2026-05-28T20:26:40Z."),
        (
            "request,truth\na,1,2\n",
            {},
            "late.csv: cannot be read as a table: a line has 3 values, where its first line names 2.",
        ),
        ("", {}, "late.csv: is empty: it needs a first line with the names of its columns, and rows."),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_nothing_of_it_recorded(
    log: tuple[Path, list[Record]], text: str, options: dict[str, Any], said: str
) -> None:
    Path("late.csv").write_text(text)
    with pytest.raises((UsageError, ArtifactError)) as caught:
        feedback("churn", "late.csv", **options)
    assert str(caught.value).startswith(said)
    assert read_feedback(log[0]).num_rows == 0


def test_another_kind_of_file_is_refused(log: tuple[Path, list[Record]]) -> None:
    Path("late.xlsx").touch()
    with pytest.raises(UsageError, match=r"late\.xlsx: is no table: use CSV, Parquet or JSON lines\."):
        feedback("churn", "late.xlsx")


@pytest.mark.parametrize(("name", "hint"), [("chrun", "Did you mean 'churn'?"), ("..", "There is: churn.")])
def test_a_model_that_was_never_served_is_refused(log: tuple[Path, list[Record]], name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        feedback(name, "late.csv")
    assert str(caught.value) == f"there is no prediction log of '{name}'. {hint}"
