"""Monitoring a version by its log and by files: what is read, joined, passed over, kept and said."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import nbprod
from nbprod.digest import sha256_bytes
from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError, PipelineError, UsageError
from nbprod.lifecycle import monitor as looking
from nbprod.lifecycle.monitor import Looked, Request, look_at
from nbprod.lifecycle.observed import Model, profile_bytes, typed
from nbprod.lifecycle.workspace import Workspace, open_workspace
from nbprod.monitoring.columns import Column
from nbprod.monitoring.facts import Check
from nbprod.monitoring.profile import Profile, write_profile
from nbprod.predictions.feedback import Feedback, FeedbackLog
from nbprod.predictions.journal import Record
from nbprod.predictions.places import folder_of
from nbprod.predictions.segments import segments_in
from tests.fakes import Lab
from tests.monitoring.made import COLUMNS, DAY, REFERENCE, rows
from tests.predictions.made import NOON, journal, record

assert REFERENCE.performance is not None
PROFILE = replace(REFERENCE, performance=replace(REFERENCE.performance, calibration=()))
"""Without what would need scores, so that no model is asked."""


def version(profile: Profile = PROFILE, **sections: Any) -> ModelVersion:
    inputs = [{"name": name, "type": "double"} for name in COLUMNS]
    entry = {
        "name": "churn",
        "model": {
            "signature": {"inputs": inputs, "outputs": None, "params": None}, "target": "truth", "groups": ["sex"],
            "main_metric": "accuracy", "trusted": [],
        },
        "inputs": [], "metrics": [], "owner": "the team", "run": {"started": "2026-05-01T00:00:00Z"},
        "pipeline": {"sections": sections, "path": "pipelines/churn.yaml"},
        "profile": {
            "path": "nbprod/profile.json", "schema": "nbprod/profile/1", "sha256": sha256_bytes(write_profile(profile)),
        },
    }  # fmt: skip
    return ModelVersion(name="churn", version="7", digest="d" * 64, created="2026-05-01T00:00:00Z", entry=entry)


@pytest.fixture
def work(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A project that has seen the version's profile before."""
    monkeypatch.chdir(lab.root)
    with open_workspace(lab.root) as opened:
        folder = opened.project.data / "monitor" / "churn"
        folder.mkdir(parents=True)
        data = write_profile(PROFILE)
        (folder / f"profile-{sha256_bytes(data)}.json").write_bytes(data)
        yield opened


def log(
    work: Workspace, table: pa.Table, *, time: float = NOON, called: Mapping[str, str] | None = None, **fields: Any
) -> list[Record]:
    """Write rows into the prediction log, one request each, and close it; `called` gives inputs another name."""
    names = [name for name in COLUMNS if name in table.column_names]
    made = []
    writer = journal(folder_of(work.project.data, "churn"))
    for number, row in enumerate(table.to_pylist()):
        sent = {"columns": [(called or {}).get(name, name) for name in names], "rows": [[row[name] for name in names]]}
        made.append(
            record(
                writer.next_id(), inputs=json.dumps(sent).encode(), time=time + number / 1000,
                outputs=json.dumps([row["prediction"]]).encode(), rows=((row["prediction"],),), **fields,
            )
        )  # fmt: skip
    made = [replace(item, rows=1) for item in made]
    writer.write(made)
    writer.close()
    return made


def say(work: Workspace, records: Sequence[Record], truths: Sequence[Any], *, late: float = 3600.0) -> None:
    """Record the truth of requests."""
    told = FeedbackLog(folder_of(work.project.data, "churn"), model="churn")
    told.write([Feedback(request=r.request, value=v, time=r.time + late) for r, v in zip(records, truths, strict=True)])
    told.close()


def look(work: Workspace, *, now: float = NOON + DAY, found: ModelVersion | None = None, **request: Any) -> Looked:
    return look_at(work, found or version(), Request(**request), now=now)


def of(looked: Looked, area: str, name: str = "") -> Check:
    return next(check for check in looked.report.checks if check.area == area and name in check.name)


def test_a_log_is_judged_by_windows_with_labels_that_came_late(work: Workspace) -> None:
    table = rows(600, seed=1)
    records = log(work, table)
    say(work, records, table["truth"].to_pylist())
    looked = look(work)
    assert looked.report.status == "OK", looked.report.sentence
    assert [(w.label, w.rows, w.labelled) for w in looked.report.windows] == [("2026-05-28", 600, 600)]
    assert of(looked, "performance", "accuracy").status == "OK"
    assert of(looked, "drift").status == "OK"
    assert of(looked, "fairness", "selection_rate by sex").status == "OK"
    assert looked.report.problems == ()
    assert json.loads(Path(looked.kept).read_text())["ref"] == "churn/7"


def test_days_without_rows_are_an_alarm_and_the_open_window_is_not_judged(work: Workspace) -> None:
    log(work, rows(20, seed=1), time=NOON - 3 * DAY)
    log(work, rows(30, seed=2), time=NOON)
    log(work, rows(40, seed=3), time=NOON + DAY)
    looked = look(work, now=NOON + DAY + 60)
    assert [window.rows for window in looked.report.windows] == [20, 30]
    assert of(looked, "traffic").status == "ALARM"
    assert "2026-05-26, 2026-05-27" in of(looked, "traffic").why


def test_nothing_was_recorded_is_insufficient(work: Workspace) -> None:
    assert look(work).report.status == "INSUFFICIENT"
    assert of(look(work), "traffic").why == "nothing was recorded yet."


def test_a_service_that_fell_silent_long_ago_is_an_alarm(work: Workspace) -> None:
    log(work, rows(10, seed=1))
    looked = look(work, now=NOON + 90 * DAY)
    assert (looked.report.status, of(looked, "traffic").why) == ("ALARM", "nothing was recorded since 2026-07-27.")


def test_numbers_of_a_log_get_the_types_that_the_model_takes() -> None:
    table = pa.table({"a": [1, 2], "b": [1, None], "c": ["x", "y"], "d": [1.5, 2.0]})
    kinds = {"a": "double", "b": "integer", "c": "long", "d": "integer"}
    made = typed(table, [{"name": name, "type": kind} for name, kind in kinds.items()])
    assert [str(kind) for kind in made.schema.types] == ["double", "int32", "string", "double"]


def test_only_the_versions_own_answers_count(work: Workspace) -> None:
    log(work, rows(10, seed=1))
    log(work, rows(10, seed=2), version="6")
    log(work, rows(10, seed=3), role="shadow")
    assert [window.rows for window in look(work).report.windows] == [10]


def test_labels_of_unknown_ids_and_ids_that_are_named_twice_are_told(work: Workspace) -> None:
    table = rows(200, seed=1)
    records = log(work, table)
    lines = [f"{r.request},{t}" for r, t in zip(records, table["truth"].to_pylist(), strict=True)]
    again = f"{records[0].request},{1 - table['truth'][0].as_py()}"
    Path("late.csv").write_text("\n".join(["request,truth", *lines, lines[1], again, "nobody,1"]) + "\n")
    looked = look(work, labels=("late.csv",), now=NOON + DAY)
    assert looked.report.windows[0].labelled == 200
    text = " ".join(looked.report.problems)
    assert "1 labels belong to no prediction" in text
    assert "of 1 predictions different things were said" in text
    assert "1 labels say again" in text
    assert not (folder_of(work.project.data, "churn") / "feedback").exists()


def test_clocks_that_are_wrong_are_told(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbprod.lifecycle.observed.time.time", lambda: NOON + DAY)
    records = log(work, rows(20, seed=1))
    log(work, rows(5, seed=2), time=NOON + 30 * DAY)
    log(work, rows(7, seed=3), time=NOON - 600)  # written later, of an earlier moment
    say(work, records[:4], [1, 1, 1, 1], late=-3600.0)
    looked = look(work)
    assert [window.rows for window in looked.report.windows] == [27]
    text = " ".join(looked.report.problems)
    assert "5 rows say that they are of the future" in text
    assert "4 labels were learned before their prediction" in text


def test_a_damaged_segment_is_told_and_the_rest_is_used(work: Workspace) -> None:
    log(work, rows(50, seed=1))
    (path,) = segments_in(folder_of(work.project.data, "churn"))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = random.Random(1).randbytes(40)
    path.write_bytes(bytes(data))
    looked = look(work)
    assert 45 <= looked.report.windows[0].rows < 50
    assert any("damaged" in problem for problem in looked.report.problems)


def test_a_column_that_the_log_may_not_keep_has_not_vanished(work: Workspace) -> None:
    log(work, rows(600, seed=1, sex=None))
    assert of(look(work), "quality", "sex").status == "ALARM"
    withheld = version(log={"inputs": ["age", "income"]})
    looked = look(work, found=withheld)
    assert not [check for check in looked.report.checks if check.area == "quality" and check.name == "sex"]


def file(table: pa.Table, name: str = "rows.parquet") -> str:
    pq.write_table(table, name)
    return name


def test_files_are_windows_of_one_history_and_the_same_file_counts_once(work: Workspace) -> None:
    first = look(work, files=(file(rows(600, seed=1, shift=0.6), "one.parquet"),))
    assert of(first, "drift", "income").status == "WARN"
    again = look(work, files=("one.parquet",))
    assert of(again, "drift", "income").status == "WARN"
    second = look(work, files=(file(rows(600, seed=2, shift=0.6), "two.parquet"),), now=NOON + 2 * DAY)
    assert of(second, "drift", "income").status == "ALARM"
    assert [window.label for window in second.report.windows] == ["one.parquet", "two.parquet"]


def test_labels_of_a_file_are_its_target_or_a_file_in_the_same_order_or_by_request(work: Workspace) -> None:
    table = rows(300, seed=3)
    assert look(work, files=(file(table),)).report.windows[-1].labelled == 300
    bare, truth = table.drop_columns(["truth"]), table.select(["truth"])
    pa.csv.write_csv(truth, "truth.csv")
    assert look(work, files=(file(bare, "b.parquet"),), labels=("truth.csv",)).report.windows[-1].labelled == 300
    named = bare.append_column("request", pa.array([f"r{i}" for i in range(300)]))
    known = truth.append_column("request", pa.array([f"r{i}" for i in range(299, -1, -1)])).take([*range(250), 0])
    pa.csv.write_csv(pa.concat_tables([known, pa.table({"truth": [1], "request": ["gone"]})]), "by.csv")
    looked = look(work, files=(file(named, "c.parquet"),), labels=("by.csv",))
    assert looked.report.windows[-1].labelled == 250
    assert any("1 labels belong to no row of c.parquet" in problem for problem in looked.report.problems)
    assert any("name a request that others name too" in problem for problem in looked.report.problems)
    pa.csv.write_csv(truth.slice(0, 5), "few.csv")
    with pytest.raises(ArtifactError, match=r"more rows than there are labels \(5\)"):
        look(work, files=("b.parquet",), labels=("few.csv",))


def test_a_file_without_rows_is_an_alarm(work: Workspace) -> None:
    looked = look(work, files=(file(rows(5).slice(0, 0)),))
    assert of(looked, "traffic").status == "ALARM"


def test_what_makes_no_sense_is_refused(work: Workspace) -> None:
    name = file(rows(10))
    with pytest.raises(UsageError, match="--window must be a time"):
        look(work, window="soon")
    with pytest.raises(UsageError, match="--since must be an age"):
        look(work, since="yesterday")
    with pytest.raises(UsageError, match="--since is about the log, and --input names files"):
        look(work, files=(name,), since="3d")
    with pytest.raises(UsageError, match="--input names 1 and --labels 2 files"):
        look(work, files=(name,), labels=(name, name))
    Path("bad.parquet").write_bytes(b"no")
    with pytest.raises(ArtifactError, match="cannot be read as a table"):
        look(work, files=("bad.parquet",))
    with pytest.raises(PipelineError, match="unknown key"):
        look(work, found=version(monitor={"windw": 1}))


def test_since_and_window_are_those_that_were_asked_for(work: Workspace) -> None:
    log(work, rows(20, seed=1), time=NOON - 3 * DAY)
    log(work, rows(30, seed=2), time=NOON)
    assert [w.rows for w in look(work, since="2026-05-27").report.windows] == [30]
    assert [w.rows for w in look(work, since="40h").report.windows] == [30]
    assert [w.rows for w in look(work, window="28d", now=NOON + 40 * DAY, since="60d").report.windows] == [50]


def test_a_profile_that_is_missing_damaged_or_of_another_schema_is_told(work: Workspace) -> None:
    bare = version()
    bare.entry.pop("profile")
    with pytest.raises(UsageError, match="has no profile to compare with"):
        profile_bytes(work, bare)
    newer = json.dumps({**PROFILE.to_dict(), "schema": "nbprod/profile/2"}).encode()
    other = version()
    other.entry["profile"]["sha256"] = sha256_bytes(newer)
    (work.project.data / "monitor/churn" / f"profile-{sha256_bytes(newer)}.json").write_bytes(newer)
    with pytest.raises(ArtifactError, match="upgrade nbprod"):
        look(work, found=other)


class Asked(Model):
    """A model that answers 0.9, and is asked in this process."""

    def complete(self, rows: pa.Table, *, needs: Sequence[str]) -> pa.Table:
        """The rows with scores."""
        self.asked += rows.num_rows
        return rows.append_column("answer.score", pa.array([0.9] * rows.num_rows))


def test_of_large_windows_the_model_is_asked_about_rows_drawn_at_random(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REFERENCE.performance is not None
    profile = replace(PROFILE, performance=REFERENCE.performance)
    data = write_profile(profile)
    (work.project.data / "monitor/churn" / f"profile-{sha256_bytes(data)}.json").write_bytes(data)
    monkeypatch.setattr(looking, "Model", Asked)
    monkeypatch.setattr("nbprod.lifecycle.observed.ASKED_EACH", 500)
    log(work, rows(900, seed=1), time=NOON - DAY)
    looked = look(work, found=version(profile))
    assert looked.report.problems == ("the model was asked about 500 of the 900 rows of 2026-05-27, drawn at random.",)
    assert looked.report.windows[0].rows == 900
    assert looked.current is not None and looked.current.answers["score"].known == 500
    assert looked.report.windows[0].answers["score"].drifted
    log(work, rows(700, seed=2))
    looked = look(work, found=version(profile))
    assert looked.report.problems == ("the model was asked about 500 rows of each of 2 windows, drawn at random.",)


def test_a_log_may_be_at_any_url(work: Workspace, tmp_path: Path) -> None:
    log(work, rows(600, seed=1))
    folder = folder_of(work.project.data, "churn")
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/elsewhere/churn", recursive=True)
    expected = look(work).report.windows
    shutil.rmtree(folder)
    assert look(work).report.windows == ()
    assert look(work, predictions=("memory://elsewhere",)).report.windows == expected
    memory.rm("/elsewhere", recursive=True)
    with pytest.raises(UsageError, match="nonsense://x/churn cannot be opened: Protocol not known: nonsense"):
        look(work, predictions=("nonsense://x",))
    with pytest.raises(UsageError, match="--predictions memory://elsewhere holds no log of any model: name the folder"):
        look(work, predictions=("memory://elsewhere",))


def test_the_library_gives_the_same_report_and_its_page(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "version_of", lambda *_: version())
    path = Path(file(rows(600, income=None)))
    looked = nbprod.monitor("churn", files=[path])
    assert nbprod.monitor("churn", files=path).report.status == nbprod.monitor("churn", files=str(path)).report.status
    assert looked.report.status == "ALARM"
    assert [window.label for window in looked.report.windows] == [path.name]
    assert looked.page().startswith("<!doctype html>")
    assert nbprod.monitor("churn", since="40h", window="12h").report.source == "log"
    assert nbprod.monitor("churn", since=date(2026, 5, 1)).report.source == "log"
    wrong: Any = 3
    with pytest.raises(UsageError, match="--since must be an age such as 30d, or a day such as 2026-05-28, not '3'"):
        nbprod.monitor("churn", since=wrong)


def test_labels_of_another_type_warn_and_leave_no_performance(work: Workspace) -> None:
    table = rows(300, seed=3)
    pa.csv.write_csv(pa.table({"truth": ["yes"] * 300}), "yes.csv")
    profile = replace(PROFILE, columns={**PROFILE.columns, "truth": truth_column()})
    data = write_profile(profile)
    (work.project.data / "monitor/churn" / f"profile-{sha256_bytes(data)}.json").write_bytes(data)
    name = file(table.drop_columns(["truth"]))
    looked = look(work, found=version(profile), files=(name,), labels=("yes.csv",))
    assert of(looked, "performance", "labels").status == "WARN"
    assert "none of its classes (1, 0), such as 'yes'" in of(looked, "performance", "labels").why
    assert of(looked, "performance", "accuracy").status == "INSUFFICIENT"


def truth_column() -> Column:
    return Column(kind="category", type="int64", rows=6000, values=("1", "0"), counts=(3000, 3000))


def test_since_must_be_past_and_what_is_of_the_log_goes_with_no_file(work: Workspace) -> None:
    with pytest.raises(UsageError, match="--since 2036-01-01 is in the future"):
        look(work, since="2036-01-01")
    name = file(rows(10))
    for option in ({"window": "1d"}, {"predictions": ("x",)}):
        with pytest.raises(UsageError, match="is about the log, and --input names files"):
            look(work, files=(name,), **option)
    with pytest.raises(UsageError, match="--engine dask is about files: name them with --input"):
        look(work, engine="dask")


def test_a_challenger_is_judged_by_what_it_said_in_the_shadow(work: Workspace) -> None:
    table = rows(600, seed=1)
    say(work, log(work, table, role="shadow"), table["truth"].to_pylist())
    looked = look(work)
    assert [(w.rows, w.labelled) for w in looked.report.windows] == [(600, 600)]
    assert of(looked, "performance", "accuracy").status == "OK"
    assert looked.report.problems == ("it answered in the shadow of another version only: nobody got these answers.",)
