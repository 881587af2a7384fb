"""`nbprod run NOTEBOOK.ipynb` on notebooks that nobody prepared for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PAPERMILL, PROGRAM, Project, parameters, printed, stages

TYPED = """
b: list[int] = []
text: str = ""
rate: float = 0.5
limit: None | int = 3
quick: bool = False
kind: Literal["a = 1", "b"] = "a = 1"
"""

FOREST = """
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

import nbprod

X, y = load_iris(return_X_y=True, as_frame=True)
forest = RandomForestClassifier(n_trees, random_state=0).fit(X, y)
nbprod.log_metric("trees", len(forest.estimators_))
nbprod.log_model(forest, example=X.head())
"""


def test_a_notebook_of_an_old_format_without_kernel_parameters_or_nbprod_runs_as_it_is(
    make_project: Make, beside_tests: Path
) -> None:
    project = make_project("old")
    before = (beside_tests / "notebooks" / "format3.ipynb").read_bytes()
    (project.root / "format3.ipynb").write_bytes(before)
    done = project.nbprod("run", "format3.ipynb", "--json")
    assert stages(done.document) == {"format3": ("run", "succeeded")}
    assert done.document["version"] is None
    assert (project.root / "format3.ipynb").read_bytes() == before
    executed = project.read("runs/latest/format3.ipynb")
    assert executed["nbformat"] == 4
    assert executed["metadata"]["kernelspec"]["name"] == "python3"
    assert "0.96" in "".join(executed["cells"][-1]["outputs"][-1]["data"]["text/plain"])
    again = project.nbprod("run", "format3.ipynb")
    assert "format3: reuse" in again.stderr


def test_values_from_the_command_line_have_the_types_of_the_parameters_cell(make_project: Make) -> None:
    project = make_project("typed")
    project.notebook("typed.ipynb", parameters(f"from typing import Literal\n{TYPED}"), "print(repr((b, text, rate)))",
                     "print(repr((limit, quick, kind)))")  # fmt: skip
    values = {"b": "[7]", "text": "[7]", "rate": "1", "limit": "null", "quick": "true", "kind": "b"}
    given = [word for name, value in values.items() for word in ("-p", name, value)]
    project.nbprod("run", "typed.ipynb", *given)
    assert printed(project.read("runs/latest/typed.ipynb")) == "([7], '[7]', 1.0)\n(None, True, 'b')\n"


@pytest.fixture(scope="module")
def forest(make_project: Make) -> tuple[Project, Any]:
    """A project after the first run of a notebook that makes a model, and what the run said."""
    project = make_project("forest")
    project.notebook("forest.ipynb", parameters("n_trees: int = 10"), FOREST)
    return project, project.document("run", "forest.ipynb", "--name", "iris", "-p", "n_trees", "5", "--save")


def test_a_notebook_with_a_model_becomes_a_version_and_a_pipeline_file(forest: tuple[Project, Any]) -> None:
    project, report = forest
    assert report["version"] == {"name": "iris", "version": "1"}
    entry = project.document("show", "iris/1")
    assert [(metric["name"], metric["value"]) for metric in entry["metrics"]] == [("trees", 5)]
    assert entry["run"]["stages"][0]["parameters"] == {"n_trees": 5}
    assert entry["source"]["git"] == "unknown"
    assert entry["owner"] == "unknown"
    saved = (project.root / "pipelines" / "forest.yaml").read_text()
    assert "notebook: forest.ipynb" in saved
    assert "n_trees: 5" in saved
    again = project.document("run")
    assert stages(again) == {"forest": ("reuse", "succeeded")}
    assert again["version"] == {"name": "iris", "version": "1"}
    assert "is there already" in project.nbprod("run", "forest.ipynb", "-p", "n_trees", "5", "--save", code=2).stderr


OWN = """
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

import nbprod
from ratios import Ratio

X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 5.0], "b": [2.0, 1.0, 4.0, 3.0]})
model = make_pipeline(Ratio(), LinearRegression()).fit(X, X["a"] / X["b"])
nbprod.log_model(model, example=X)
"""

RATIOS = """
from sklearn.base import BaseEstimator, TransformerMixin


class Ratio(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return (X["a"] / X["b"]).to_frame()
"""


def test_a_notebook_by_itself_has_a_card_that_says_what_is_unknown(forest: tuple[Project, Any]) -> None:
    text = forest[0].nbprod("show", "iris/1", "--card").stdout
    assert text.startswith("---\nlicense: unknown\nlibrary_name: sklearn\n")
    assert "| trees | test | 5 | - |" in text
    for said in (
        "nobody said what it is for",
        "no input is named",
        "its pipeline asks for no gates",
        "there was no git",
    ):
        assert said in text


def test_a_notebook_whose_model_needs_a_module_beside_it_is_registered_without_a_pipelines_file(
    make_project: Make,
) -> None:
    project = make_project("own")
    project.write("ratios.py", RATIOS)
    project.notebook("own.ipynb", OWN)
    keys = project.root / "keys"
    done = project.call(*PROGRAM, "run", "own.ipynb", NBPROD_KEYS=str(keys))
    assert f"to sign with, in {keys}: nbprod keys" in done.stderr
    assert "registered: own/1" in done.stdout
    assert "note: the entry knows nothing of the data, because no input is named" in done.stderr
    entry = project.document("show", "own/1")
    assert entry["model"]["trusted"] == ["ratios.Ratio"]
    project.call(*PAPERMILL, "--no-progress-bar", "own.ipynb", "executed.ipynb")
    report = project.document("register", "executed.ipynb", "--name", "own")
    assert report["version"] == {"name": "own", "version": "2"}
    assert project.document("show", "own/2")["model"]["trusted"] == ["ratios.Ratio"]


def test_a_notebook_that_cannot_be_registered_leaves_no_copies(make_project: Make) -> None:
    project = make_project("left")
    project.notebook("empty.ipynb", "x = 1")
    project.call(*PAPERMILL, "--no-progress-bar", "empty.ipynb", "executed.ipynb")
    refused = project.nbprod("register", "executed.ipynb", "--name", "m", code=2).stderr
    assert "logged no model: name one with --model PATH" in refused
    assert [path.name for path in (project.root / "runs").iterdir()] == [".gitignore"]


def test_after_the_index_is_lost_nothing_runs_or_is_registered_again(forest: tuple[Project, Any]) -> None:
    project, _ = forest
    before = project.document("models")
    for file in (project.root / ".nbprod").glob("index.db*"):
        file.unlink()
    done = project.nbprod("run")
    assert "forest: reuse" in done.stderr
    assert done.stdout == "unchanged: iris/1\n"
    assert project.document("models") == before


NOTEBOOKS = {
    "class_in_notebook": ("R2 on the training rows", {}),
    "glue": ("", {"r2", "rows"}),
    "magics": ("line 3", {}),
    "no_kernelspec": ("", {}),
    "noisy": ("to stderr", {}),
    "plain_training": ("accuracy", {}),
    "mlflow_plain": ("", {"train_accuracy"}),
}
"""Notebook -> what it prints, and the metrics that are read from it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_as_people_write_them_runs_unmodified(make_project: Make, beside_tests: Path, name: str) -> None:
    project = make_project(name)
    shutil.copy(beside_tests / "notebooks" / f"{name}.ipynb", project.root)
    report = project.document("run", f"{name}.ipynb")
    assert [status for _, status in stages(report).values()] == ["succeeded"]
    says, metrics = NOTEBOOKS[name]
    (run,) = project.document("runs")
    assert {metric["name"] for stage in run["stages"] for metric in stage["metrics"]} == set(metrics)
    executed = project.read(report["stages"][0]["executed"])
    assert says in printed(executed)
    names = {path.name for path in project.root.iterdir()}
    assert names == {".nbprod", "runs", f"{name}.ipynb"}


@pytest.mark.slow
def test_three_classes_with_names_go_through_everything(make_project: Make, beside_tests: Path, tmp_path: Path) -> None:
    project = make_project("wine")
    shutil.copytree(beside_tests / "projects" / "multiclass", project.root, dirs_exist_ok=True)
    report = project.document("run", "--preset", "smoke", "--name", "wine-smoke")
    assert report["version"] == {"name": "wine-smoke", "version": "1"}
    entry = project.document("show", "wine-smoke")
    assert {item["role"] for item in entry["inputs"]} == {"train", "test", "input"}
    assert entry["model"]["example_predictions"][0] in {"Barolo", "Grignolino", "Barbera"}
    assert len({metric["dataset"] for metric in entry["metrics"]}) == 4
    folder = project.registered("wine-smoke", "1")
    (tmp_path / "rows.json").write_text(json.dumps(json.loads((folder / "serving_input_example.json").read_text())))
    answer = score(project, "models:/wine-smoke/1", tmp_path)
    assert answer == entry["model"]["example_predictions"]


def score(project: Project, uri: str, folder: Path) -> list[str]:
    """What MLflow's own command answers to the rows in a folder."""
    import sys

    done = project.call(
        sys.executable, "-m", "mlflow", "models", "predict", "-m", uri, "--env-manager", "local",
        "-i", str(folder / "rows.json"), "-o", str(folder / "answer.json"),
        folder=folder,
        MLFLOW_TRACKING_URI=f"sqlite:///{project.root / '.nbprod' / 'mlflow.db'}",
    )  # fmt: skip
    assert done.code == 0
    found: list[str] = json.loads((folder / "answer.json").read_text())["predictions"]
    return found
