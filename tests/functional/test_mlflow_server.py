"""Any MLflow server by MLFLOW_TRACKING_URI: the same job, the registry elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project, parameters
from tests.functional.servers import free_port, mlflow_server

pytestmark = pytest.mark.slow

TRAIN = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

X = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
nbprod.log_metric("mae", 0.25)
nbprod.log_model(LinearRegression().fit(X, [1, 2, 3]), example=X)
"""


@pytest.fixture
def server(make_project: Make, tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server on this machine."""
    with mlflow_server(tmp_path, make_project("unused").environment, port=free_port()) as address:
        yield address


def test_the_same_job_with_an_mlflow_server(make_project: Make, server: str) -> None:
    made = make_project("served")
    project = Project(made.root, {**made.environment, "MLFLOW_TRACKING_URI": server})
    project.notebook("train.ipynb", TRAIN)
    report = project.document("run", "train.ipynb", "--name", "served")
    assert report["version"] == {"name": "served", "version": "1"}
    assert not (project.root / ".nbprod" / "mlflow.db").exists()
    entry = project.document("show", "served/1")
    assert [metric["name"] for metric in entry["metrics"]] == ["mae"]
    again = project.document("run", "train.ipynb", "--name", "served")
    assert again["version"] == {"name": "served", "version": "1"}
    (project.root / ".nbprod" / "index.db").unlink()
    assert project.document("show", "served") == entry
    assert [row["name"] for row in project.document("models")] == ["served"]
    _promoted_and_seen_by_others(project, make_project("colleague"), server)


def _promoted_and_seen_by_others(project: Project, colleague: Project, server: str) -> None:
    """A promotion, seen from a project that shares nothing with the first but the server and the user's keys."""
    moved = project.document("promote", "served/1", "--override", "gates", "--reason", "the first one")
    assert (moved["alias"], moved["before"]) == ("champion", "")
    other = Project(colleague.root, {**colleague.environment, "MLFLOW_TRACKING_URI": server})
    other.write("pipelines/README", "")
    history = other.document("history", "served")
    assert [(line["action"], line["version"], line["reason"]) for line in history["lines"]] == [
        ("promote", "1", "the first one")
    ]
    assert (history["problems"], history["moved"]) == ([], [])
    found = other.document("verify", "served@champion")
    assert {check["name"]: check["state"] for check in found["checks"]}["signature"] == "ok"
    assert found["failed"] is False
    refused = other.nbprod("promote", "served/1", "--override", "gates", "--reason", "again", code=2).stderr
    assert "champion points at served/1 already" in refused


PEOPLE = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

rows = pd.read_csv(raw)
nbprod.log_model(LinearRegression().fit(rows[["age"]], rows["spent"]), example=rows[["age"]])
"""

CHURN = """
name: people
stages:
  train: {notebook: train.ipynb, inputs: {raw: people.csv}}
model: {name: people, from: train.model, data: {train: people.csv}, target: spent}
"""


def test_an_erasure_lies_with_the_server_and_binds_whoever_shares_it(make_project: Make, server: str) -> None:
    made, colleague = make_project("people"), make_project("others")
    project = Project(made.root, {**made.environment, "MLFLOW_TRACKING_URI": server})
    project.write("pipelines/people.yaml", CHURN)
    project.write("people.csv", "who,age,spent\n" + "".join(f"C-{n},{20 + n},{n}.5\n" for n in range(40)))
    project.write("people.csv.card.yaml", "license: internal\npersonal: [age]\nsubject: who\n")
    project.notebook("train.ipynb", parameters("raw = ''"), PEOPLE)
    project.nbprod("run")
    project.write("asked.txt", "C-7\n")
    project.nbprod("subject", "erase", "--file", "asked.txt", "--reason", "asked in March")
    assert "still holds a subject who is erased" in project.nbprod("run", code=2).stderr
    other = Project(colleague.root, {**colleague.environment, "MLFLOW_TRACKING_URI": server})
    other.write("pipelines/README", "")
    refused = other.nbprod("promote", "people/1", "--override", "gates", "--reason", "mine", code=6).stderr
    assert "no alias moves to people/1" in refused


def test_a_server_that_does_not_answer_is_an_error_after_which_nothing_is_lost(make_project: Make) -> None:
    made = make_project("unserved")
    away = f"http://127.0.0.1:{free_port()}"
    project = Project(made.root, {**made.environment, "MLFLOW_TRACKING_URI": away})
    project.notebook("train.ipynb", TRAIN)
    done = project.nbprod("run", "train.ipynb", "--name", "later", code=5)
    assert f"the MLflow server at {away} does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    report = made.document("run", "train.ipynb", "--name", "later")
    assert report["version"] == {"name": "later", "version": "1"}
    assert [stage["action"] for stage in report["stages"]] == ["reuse"]
