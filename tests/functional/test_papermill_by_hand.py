"""A notebook that the plain papermill command ran becomes a version: measured only now, unknown where it cannot be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PAPERMILL, Project, parameters

PARAMETERS = """
rows = "../data/rows.csv"  # input: what it learns from
other = "../data/other.csv"
alpha: float = 1.0
"""

TRAIN = """
import pandas as pd
import scrapbook
import skops.io
from sklearn.linear_model import Ridge

import nbprod

X = pd.read_csv(rows)
y = X.pop("y")
model = Ridge(alpha=alpha).fit(X, y)
scrapbook.glue("alpha_used", alpha)
nbprod.log_metric("r2", model.score(X, y), dataset="train")
nbprod.log_model(model, example=X.head())
skops.io.dump(model, "ridge.skops")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One notebook that papermill ran, registered twice.

    Attributes:
        entry: what became of the MLflow model folder that the notebook logged.
        again: what registering it a second time says, without a path: the notebook logged one model.
    """

    project: Project
    entry: Any
    again: Any


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("by-hand")
    project.write("pipelines/README", "")
    lines = [f"{i},{i % 3},{2 * i + 1}" for i in range(20)]
    project.write("data/rows.csv", "\n".join(["a,b,y", *lines]) + "\n")
    project.write("data/other.csv", "x\n1\n")
    project.notebook("notebooks/train.ipynb", parameters(PARAMETERS), TRAIN)
    project.call(
        *PAPERMILL, "--no-progress-bar", "--cwd", "notebooks", "notebooks/train.ipynb", "executed.ipynb", "-p", "alpha",
        "0.5",
    )  # fmt: skip
    first = ("register", "executed.ipynb", "--name", "ridge")
    report = project.document(*first, "--model", "runs/scratch/model")
    assert report == {"version": {"name": "ridge", "version": "1"}, "new": True}
    return Story(project=project, entry=project.document("show", "ridge/1"), again=project.document(*first))


def test_the_entry_holds_what_the_notebook_says(story: Story) -> None:
    values = {(metric["name"], metric["dataset"]): metric["value"] for metric in story.entry["metrics"]}
    assert values[("alpha_used", "test")] == 0.5
    assert values[("r2", "train")] > 0.9
    (stage,) = story.entry["run"]["stages"]
    assert stage["parameters"]["alpha"] == 0.5
    assert stage["seconds"] > 0
    (notebook,) = story.entry["source"]["notebooks"]
    executed = (story.project.root / "executed.ipynb").read_bytes()
    assert notebook["executed_sha256"] == hashlib.sha256(executed).hexdigest()
    kept = story.project.registered("ridge", "1") / notebook["executed"]
    assert kept.read_bytes() == executed


def test_inputs_are_measured_after_the_run_and_said_to_be(story: Story) -> None:
    (rows,) = story.entry["inputs"]
    assert rows["measured"] == "after_run"
    assert rows["uri"] == "data/rows.csv"
    assert rows["sha256"] == hashlib.sha256((story.project.root / "data/rows.csv").read_bytes()).hexdigest()
    assert (rows["rows"], rows["columns"], rows["kept"], rows["card"]) == (20, ["a", "b", "y"], True, "unknown")
    assert story.entry["source"]["measured"] == "after_run"


def test_what_cannot_be_known_is_unknown(story: Story) -> None:
    (stage,) = story.entry["run"]["stages"]
    (notebook,) = story.entry["source"]["notebooks"]
    assert stage["key"] == "unknown"
    assert notebook["sha256"] == "unknown"
    assert story.entry["source"]["git"] == "unknown"
    assert story.entry["run"]["pipeline_sha256"] == "unknown"
    assert story.entry["owner"] == "unknown"


@pytest.mark.slow
def test_a_bare_skops_file_becomes_an_mlflow_model_with_signature_and_example(story: Story) -> None:
    story.project.document(
        "register", "executed.ipynb", "--name", "bare", "--model", "notebooks/ridge.skops", "--input", "other"
    )
    entry = story.project.document("show", "bare/1")
    assert {item["name"] for item in entry["inputs"]} == {"rows", "other"}
    folder = story.project.registered("bare", "1")
    assert (folder / "MLmodel").is_file()
    assert [column["name"] for column in entry["model"]["signature"]["inputs"]] == ["a", "b"]
    assert entry["model"]["example"] is not None
    assert len(entry["model"]["example_predictions"]) == 5


def test_registering_the_same_again_makes_no_version(story: Story) -> None:
    assert story.again == {"version": {"name": "ridge", "version": "1"}, "new": False}
    assert [row["version"] for row in story.project.document("models") if row["name"] == "ridge"] == ["1"]


def test_the_data_of_such_a_version_can_be_fetched(story: Story) -> None:
    (given,) = story.project.document("fetch", "ridge/1", "rows", "--to", "given")
    assert (story.project.root / given["path"]).read_bytes() == (story.project.root / "data/rows.csv").read_bytes()


def test_a_notebook_that_did_not_run_or_has_no_model_is_refused(story: Story) -> None:
    for arguments, says in (
        (("notebooks/train.ipynb", "--model", "runs/scratch/model"), "of its cells never ran"),
        (("executed.ipynb", "--model", "data/rows.csv"), "there is no model at data/rows.csv"),
        (("executed.ipynb", "--model", "notebooks/ridge.skops", "--input", "othr"), "Did you mean 'other'?"),
    ):
        done = story.project.nbprod("register", *arguments, "--name", "refused", code=2)
        assert says in done.stderr
