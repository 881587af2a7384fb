"""`nbprod monitor` on a registered model: files whose answers it asks for, and a log, from the registry alone."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from nbprod.predictions.journal import Journal, Record
from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, parameters

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

import nbprod

rows = pd.read_parquet(train)
model = LogisticRegression().fit(rows[["x", "sex"]], rows["y"])
nbprod.log_metric("accuracy", model.score(rows[["x", "sex"]], rows["y"]))
nbprod.log_model(model, example=rows[["x", "sex"]].head())
"""

PIPELINE = """
name: line
stages:
  train:
    notebook: line.ipynb
    inputs: {train: data/train.parquet, test: data/test.parquet}
model:
  name: line
  from: train.model
  main_metric: accuracy
  data: {train: data/train.parquet, test: data/test.parquet}
  target: y
  groups: [sex]
  owner: the team
monitor:
  window: 1h
  gaps: ignore  # the hour may be over while a test looks
  performance: {floor: {accuracy: 0.6}}
"""


def rows(count: int, *, seed: int, shift: float = 0.0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    x = chance.normal(shift, 1, count)
    y = (chance.uniform(size=count) < 1 / (1 + np.exp(-2 * x))).astype(int)
    return pd.DataFrame({"x": x, "sex": chance.integers(1, 3, count), "y": y})


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with one version, whose author's files are gone."""
    made = make_project("monitor")
    (made.root / "data").mkdir()
    for name, seed in (("train", 1), ("test", 2)):
        rows(2000, seed=seed).to_parquet(made.root / f"data/{name}.parquet")
    made.notebook("line.ipynb", parameters('train = "train.parquet"  # input\ntest = "test.parquet"  # input'), TRAIN)
    made.write("pipelines/line.yaml", PIPELINE)
    made.document("run")
    for name in ("line.ipynb", "runs", "pipelines/line.yaml"):
        path = made.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (made.root / "pipelines").mkdir(exist_ok=True)
    return made


def test_the_registered_profile_tells_data_answers_and_how_good_they_are(project: Project) -> None:
    profile = json.loads((project.registered("line", "1") / "nbprod/profile.json").read_text())
    assert set(profile["columns"]) == {"x", "sex", "y"}
    assert set(profile["answers"]) == {"prediction", "score"}
    assert {metric["name"] for metric in profile["performance"]["metrics"]} >= {"accuracy", "roc_auc"}
    assert set(profile["performance"]["groups"]["sex"]) == {"selection_rate", "true_positive_rate"}


def test_files_are_compared_by_what_the_registered_model_answers(project: Project) -> None:
    for number, shift in ((1, 0.6), (2, 0.6)):
        rows(1000, seed=10 + number, shift=shift).to_parquet(project.root / f"{number}.parquet")
    page = project.root / "monitor.html"
    arguments = ("--input", "1.parquet", "--input", "2.parquet", "--fail-on", "alarm", "--html", str(page))
    report = project.document("monitor", "line", *arguments, code=6)
    found = {(check["area"], check["name"]): check["status"] for check in report["checks"]}
    assert found["drift", "x"] == found["prediction", "score"] == "ALARM"
    assert found["performance", "accuracy"] == "OK"
    assert report["problems"] == []
    assert page.read_text().count("<svg") > 5


def test_the_log_is_enough_and_health_remembers_it(project: Project) -> None:
    log = Journal(project.root / ".nbprod/predictions/line", model="line")
    table = rows(600, seed=20)
    known = {"columns": ["x", "sex"], "rows": table[["x", "sex"]].values.tolist()}
    answers = (table["x"] > 0).astype(int).tolist()
    record = Record(
        request=log.next_id(), time=time.time() - 3600, version="1", role="batch", inputs=json.dumps(known).encode(),
        outputs=json.dumps(answers).encode(), rows=len(table), latency=0.1, key="",
    )  # fmt: skip
    log.write([record])
    log.close()
    late = pd.DataFrame({"request": record.request, "row": range(600), "truth": table["y"]})
    late.to_csv(project.root / "late.csv", index=False)
    project.nbprod("feedback", "line", "late.csv")
    report = project.document("monitor", "line", "--fail-on", "alarm")
    (window,) = report["windows"]
    assert (window["rows"], window["labelled"]) == (600, 600)
    assert window["metrics"]["accuracy"]["value"] > 0.7
    assert "accuracy" in window["estimates"]
    (row,) = project.document("models", "--health")
    assert (row["name"], row["version"], row["owner"]) == ("line", "1", "the team")
    assert row["status"] == report["status"]
    (row,) = project.document("monitor", "--all")
    assert row["status"] == report["status"]


def test_partitions_that_are_counted_on_dask_give_the_same_report(project: Project) -> None:
    folder = project.root / "many"
    folder.mkdir()
    for number in range(2):
        table = pa.Table.from_pandas(rows(1500, seed=30 + number, shift=0.6 * number), preserve_index=False)
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=400)
    asked = ("monitor", "line", "--input", "many")
    cluster: Any = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
    with cluster:
        variables = {"NBPROD_DASK_SCHEDULER": cluster.scheduler_address}
        done = project.call(*PROGRAM, *asked, "--engine", "dask", "--json", **variables)
        tasks = cluster.scheduler.transition_counter
    there, here = json.loads(done.stdout), project.document(*asked)
    assert tasks > 0
    for report in (here, there):
        report["checks"] = [check for check in report["checks"] if not check["name"].startswith("age of")]
    for part in ("status", "checks", "windows", "problems"):
        assert timeless(there[part]) == timeless(here[part])


def timeless(part: Any) -> Any:
    """Without when it was looked at."""
    if isinstance(part, list):
        return [timeless(item) for item in part]
    if isinstance(part, dict):
        return {key: timeless(value) for key, value in part.items() if key not in ("start", "end")}
    return part


def test_dask_without_a_scheduler_says_what_to_set(project: Project) -> None:
    rows(10, seed=1).to_parquet(project.root / "few.parquet")
    said = project.nbprod("monitor", "line", "--input", "few.parquet", "--engine", "dask", code=2).stderr
    assert "set `dask_scheduler` in [tool.nbprod], or NBPROD_DASK_SCHEDULER" in said


def test_a_model_that_is_not_there_is_told(project: Project) -> None:
    assert "there is no model 'lime'" in project.nbprod("monitor", "lime", code=2).stderr
    assert "Did you mean" in project.nbprod("monitor", "lime", code=2).stderr


def test_a_profile_that_was_changed_is_not_used(project: Project, tmp_path: Path) -> None:
    file = project.registered("line", "1") / "nbprod/profile.json"
    content = file.read_bytes()
    for kept in (project.root / ".nbprod/monitor/line").glob("profile-*"):
        kept.unlink()
    file.write_bytes(content.replace(b'"rows":2000', b'"rows":2001', 1))
    try:
        assert "not the one that was registered" in project.nbprod("monitor", "line", code=4).stderr
    finally:
        file.write_bytes(content)
