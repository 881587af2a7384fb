"""Notebooks that use plain MLflow work as in plain MLflow, and what they logged is in the entry."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project, stages

PIPELINE = """
name: plain
stages:
  plain: {notebook: notebooks/mlflow_plain.ipynb}
  autolog: {notebook: notebooks/mlflow_autolog.ipynb}
  own: {notebook: notebooks/mlflow_own_experiment.ipynb}
model: {name: iris, from: plain.iris}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One run, with what MLflow knows after it.

    Attributes:
        before: the files of the notebooks' folder before the run.
        tracked: MLflow's runs that the notebooks began, by the stage they began in.
    """

    project: Project
    report: Any
    before: dict[str, bytes]
    tracked: dict[str, list[Any]]


@pytest.fixture(scope="module")
def story(make_project: Make, beside_tests: Path) -> Story:
    project = make_project("mlflow")
    project.write("pipelines/plain.yaml", PIPELINE)
    (project.root / "notebooks").mkdir()
    for file in sorted((beside_tests / "notebooks").glob("mlflow_*.ipynb")):
        shutil.copy(file, project.root / "notebooks")
    before = project.files("notebooks")
    report = project.document("run")
    client = project.registry()
    tracked: dict[str, list[Any]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        for run in client.search_runs(experiments):
            if "nbprod.record" not in run.data.tags:
                tracked.setdefault(run.data.tags["nbprod.stage"], []).append(run)
    return Story(project=project, report=report, before=before, tracked=tracked)


def metrics(story: Story, stage: str) -> dict[str, float]:
    """What the run's record says that a stage reported on the dataset ``test``."""
    (run,) = story.project.document("runs")
    (found,) = [item for item in run["stages"] if item["stage"] == stage]
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


def test_a_model_that_plain_mlflow_logged_becomes_a_version(story: Story) -> None:
    assert stages(story.report) == dict.fromkeys(("plain", "autolog", "own"), ("run", "succeeded"))
    assert story.report["version"] == {"name": "iris", "version": "1"}
    entry = story.project.document("show", "iris")
    assert "sepal length (cm)" in {column["name"] for column in entry["model"]["signature"]["inputs"]}
    assert entry["model"]["flavor"] == "sklearn"
    assert (story.project.registered("iris", "1") / "MLmodel").is_file()
    assert "train_accuracy" in {metric["name"] for metric in entry["metrics"]}


def test_what_plain_calls_and_autolog_logged_is_extracted(story: Story) -> None:
    assert 0.9 < metrics(story, "plain")["train_accuracy"] <= 1
    assert "training_accuracy_score" in metrics(story, "autolog")
    assert story.tracked["plain"][0].data.params["max_iter"] == "500"
    assert story.tracked["autolog"][0].data.params["C"] == "0.5"


def test_own_runs_in_an_own_experiment_are_extracted_the_later_value_first(story: Story) -> None:
    assert metrics(story, "own")["loss"] == 0.25
    client = story.project.registry()
    own = client.get_experiment_by_name("our-team")
    assert {run.info.run_name for run in story.tracked["own"]} == {"first", "second"}
    assert {run.info.experiment_id for run in story.tracked["own"]} == {own.experiment_id}
    (first,) = [run for run in story.tracked["own"] if run.info.run_name == "first"]
    assert [point.value for point in client.get_metric_history(first.info.run_id, "loss")] == [1, 1 / 2, 1 / 3]


def test_every_run_that_a_notebook_began_is_tagged_with_its_stage(story: Story) -> None:
    assert {stage: len(runs) for stage, runs in story.tracked.items()} == {"plain": 1, "autolog": 1, "own": 2}
    for runs in story.tracked.values():
        assert {run.data.tags["nbprod.run"] for run in runs} == {story.report["run"]}
        assert {run.info.status for run in runs} == {"FINISHED"}


def test_mlflows_files_are_kept_in_the_project_and_none_beside_the_notebooks(story: Story) -> None:
    assert story.project.files("notebooks") == story.before
    kept = (story.project.root / ".nbprod" / "artifacts").as_uri()
    for runs in story.tracked.values():
        assert all(run.info.artifact_uri.removeprefix("file://").startswith(kept[7:]) for run in runs)
    assert any(name.endswith("classes.json") for name in story.project.files(".nbprod/artifacts"))
    assert {path.name for path in story.project.root.iterdir()} == {".nbprod", "notebooks", "pipelines", "runs"}
